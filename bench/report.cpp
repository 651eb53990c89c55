// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/assert.h"

namespace ddict::bench {
namespace {

/// snprintf into a string; for lines of tables, all of which are short.
template <class... Args>
std::string format(const char* how, Args... args) {
    std::array<char, 512> line;
    const int bytes = std::snprintf(line.data(), line.size(), how, args...);
    return {line.data(), std::min(static_cast<std::size_t>(std::max(bytes, 0)), line.size() - 1)};
}

const Figure* find(const Record& record, std::string_view figure) {
    const auto found = std::find_if(record.figures.begin(), record.figures.end(),
                                    [figure](const Figure& one) { return one.name == figure; });
    return found == record.figures.end() ? nullptr : &*found;
}

std::string names_of(const std::vector<Transport>& transports) {
    std::string names;
    for (const Transport one : transports)
        names += (names.empty() ? "" : ",") + std::string(name_of(one));
    return names;
}

/// A figure that not every record has.
std::string ratio(const Record& record, std::string_view figure) {
    return record.has(figure) ? format("%6.2f", record.spread(figure).median) : std::string(6, ' ');
}

std::string row(const Record& record) {
    const Spread rate = record.spread(figure::ops_per_second);
    const double p50 = record.spread(figure::p50_us).median;
    const double p99 = record.spread(figure::p99_us).median;
    const auto digits = [](double us) { return us < 9999 ? 2 : 0; };
    std::string line =
        format("%-17s %8llu %3llu %3llu %8.1f %6.0f - %-6.0f %7.*f %7.*f ", record.op.c_str(),
               static_cast<unsigned long long>(record.bytes), static_cast<unsigned long long>(record.clients),
               static_cast<unsigned long long>(record.managers), rate.median / 1e3, rate.min / 1e3,
               rate.max / 1e3, digits(p50), p50, digits(p99), p99);
    line += ratio(record, figure::raw_us) + ratio(record, figure::ratio) +
            ratio(record, figure::ratio_to_map) + ratio(record, figure::ratio_to_peer);
    return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

nlohmann::ordered_json json_of(const Record& record) {
    nlohmann::ordered_json out;
    out["op"] = record.op;
    out["bytes"] = record.bytes;
    out["key_bytes"] = record.key_bytes;
    out["clients"] = record.clients;
    out["managers"] = record.managers;
    if (record.group > 1) out["group"] = record.group;
    out["operations_per_client"] = record.operations_per_client;
    std::size_t repetitions = 0;
    for (const Figure& one : record.figures) {
        const Spread spread = spread_of(one.values);
        out[one.name] = spread.median;
        out[one.name + "_min"] = spread.min;
        out[one.name + "_max"] = spread.max;
        repetitions = std::max(repetitions, one.values.size());
    }
    out["transport"] = record.transport;
    out["commit"] = commit();
    auto& each = out["repetitions"] = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < repetitions; ++i) {
        nlohmann::ordered_json one;
        for (const Figure& measured : record.figures) {
            if (i < measured.values.size()) one[measured.name] = measured.values[i];
        }
        each.push_back(std::move(one));
    }
    if (record.slices.empty()) return out;
    auto& slices = out["slices_us"] = nlohmann::ordered_json::array();
    for (const Slice& one : record.slices)
        slices.push_back({one.own_us, one.raw_us});
    return out;
}

nlohmann::ordered_json json_of(const Target& target) {
    nlohmann::ordered_json out;
    out["id"] = target.id;
    out["figure"] = target.figure;
    out["bound"] = target.bound == Target::Bound::at_least ? "at_least" : "at_most";
    out["limit"] = target.limit;
    out["unit"] = target.unit;
    out["own"] = target.own;
    out["baseline"] = target.baseline;
    if (target.values.empty()) return out;
    const Spread spread = spread_of(target.values);
    out["median"] = spread.median;
    out["min"] = spread.min;
    out["max"] = spread.max;
    out["met"] = target.met();
    out["values"] = target.values;
    return out;
}

}  // namespace

std::string brief(double value) {
    const double size = value < 0 ? -value : value;
    const int digits = size == 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4;
    return format("%.*f", digits, value);
}

Spread spread_of(std::vector<double> values) {
    DDICT_ASSERT(!values.empty(), "a spread of nothing");
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return {.median = values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2,
            .min = values.front(),
            .max = values.back()};
}

void Record::add(std::string_view figure, double value) {
    if (const Figure* found = find(*this, figure)) {
        const_cast<Figure*>(found)->values.push_back(value);
    } else {
        figures.push_back({std::string(figure), {value}});
    }
}

bool Record::has(std::string_view figure) const {
    return find(*this, figure) != nullptr;
}

Spread Record::spread(std::string_view figure) const {
    const Figure* found = find(*this, figure);
    DDICT_ASSERT(found != nullptr, "a figure that was not measured");
    return spread_of(found->values);
}

bool Target::met() const {
    const double median = spread_of(values).median;
    return bound == Bound::at_least ? median >= limit : median <= limit;
}

std::string banner(const Machine& machine, const Options& options) {
    std::string text =
        format("ddict %.*s, UCX %s, %s, %u cores, %s\n", static_cast<int>(commit().size()), commit().data(),
               machine.ucx_version.c_str(), machine.cpu.c_str(), machine.cores, machine.kernel.c_str());
    text += format("%u repetition%s, %s pinned, load before the run %.2f, reading the clock costs %.0f ns\n",
                   options.effort.repetitions, options.effort.repetitions == 1 ? "" : "s",
                   options.pin ? "all" : "nothing", machine.load_average, machine.clock_read_ns);
    if (std::string_view(DDICT_BUILD_TYPE) == "Debug" || std::string_view(DDICT_BUILD_SANITIZE) != "") {
        text += "this build is not optimised: its figures say nothing\n";
    }
    return text;
}

std::string table(const std::vector<Record>& records) {
    std::string text =
        format("\n%-17s %8s %3s %3s %8s %6s - %-6s %7s %7s %6s%6s%6s%6s\n", "op", "bytes", "cl", "mgr",
               "kops/s", "min", "max", "p50 us", "p99 us", "UCX", "t/UCX", "map", "peer");
    std::string over;
    for (const Record& record : records) {
        if (over != record.transport) text += format("over %s\n", record.transport.c_str());
        over = record.transport;
        text += row(record);
    }
    return text;
}

std::string list(const std::vector<Record>& records) {
    std::string text;
    for (const Record& record : records) {
        text += format("%s, %llu manager%s\n", record.op.c_str(),
                       static_cast<unsigned long long>(record.managers), record.managers == 1 ? "" : "s");
        for (const Figure& one : record.figures) {
            const Spread spread = spread_of(one.values);
            text += format("  %-32s %10.3f   (%.3f - %.3f)\n", one.name.c_str(), spread.median, spread.min,
                           spread.max);
        }
    }
    return text;
}

std::string json(const std::vector<Record>& records, const Machine& machine, const Options& options,
                 const std::vector<Target>& targets) {
    nlohmann::ordered_json out;
    out["program"] = "ddict-bench";
    out["schema"] = 2;
    out["commit"] = commit();
    out["build_type"] = DDICT_BUILD_TYPE;
    out["sanitizer"] = DDICT_BUILD_SANITIZE;
    out["machine"] = {{"cpu", machine.cpu},
                      {"cores", machine.cores},
                      {"kernel", machine.kernel},
                      {"ucx_version", machine.ucx_version},
                      {"load_average", machine.load_average},
                      {"clock_read_ns", machine.clock_read_ns}};
    out["options"] = {{"pairs", options.workload.pairs},
                      {"seed", options.workload.seed},
                      {"zipf_exponent", options.workload.zipf_exponent},
                      {"seconds", options.effort.operations == 0 ? options.effort.seconds : 0},
                      {"repetitions", options.effort.repetitions},
                      {"transport", names_of(options.transports)},
                      {"pin", options.pin},
                      {"attach", options.attach}};
    if (!targets.empty()) {
        auto& each = out["targets"] = nlohmann::ordered_json::array();
        for (const Target& one : targets)
            each.push_back(json_of(one));
    }
    auto& all = out["records"] = nlohmann::ordered_json::array();
    for (const Record& record : records)
        all.push_back(json_of(record));
    return out.dump(2) + "\n";
}

}  // namespace ddict::bench
