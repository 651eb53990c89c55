// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/targets.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "base/assert.h"
#include "bench/command_time.h"
#include "bench/contestants.h"
#include "bench/measure.h"
#include "bench/redis_client.h"
#include "bench/transport.h"

namespace ddict::bench {
namespace {

using Bound = Target::Bound;

constexpr std::uint64_t large_memory = std::uint64_t{256} << 20;  // more than any cache
constexpr double idle_seconds = 10;

const OperationKind& operation(std::string_view name) {
    const OperationKind* found = operation_named(name);
    DDICT_ASSERT(found != nullptr, "an operation that does not exist");
    return *found;
}

std::vector<double> values_of(const Record& record, std::string_view figure) {
    for (const Figure& one : record.figures) {
        if (one.name == figure) return one.values;
    }
    return {};
}

std::vector<double> rates(const Record& record) {
    return values_of(record, figure::ops_per_second);
}

/// Repetition by repetition.
std::vector<double> quotients(std::vector<double> above, const std::vector<double>& below) {
    DDICT_ASSERT(above.size() == below.size(), "figures of different repetitions");
    for (std::size_t i = 0; i < above.size(); ++i)
        above[i] /= below[i];
    return above;
}

std::string bytes_in_words(std::uint64_t bytes) {
    if (bytes >= 1u << 20 && bytes % (1u << 20) == 0) return std::to_string(bytes >> 20) + " MiB";
    if (bytes >= 1u << 10 && bytes % (1u << 10) == 0) return std::to_string(bytes >> 10) + " KiB";
    return std::to_string(bytes) + " B";
}

std::string rate_in_words(const Record& record) {
    return brief(record.spread(figure::ops_per_second).median / 1e6) + " M/s";
}
std::string time_in_words(const Record& record) {
    return brief(record.spread(figure::mean_us).median) + " us";
}
std::string bandwidth_in_words(const Record& record) {
    return brief(record.spread(figure::gb_per_second).median) + " GB/s";
}

class Suite {
  public:
    Suite(const Options& options, Progress& progress) : options_(options), progress_(progress) {}

    TargetFigures measure() {
        same_node_reads();
        messages(Transport::samehost);
        messages(Transport::ucx);
        choose_transport(Transport::samehost);
        for (const std::uint64_t bytes : {4096u, 8192u, 65536u})
            medium_values(bytes);
        choose_transport(Transport::as_it_comes);
        for (const std::uint64_t bytes : options_.large_value_bytes)
            large_values(bytes);
        reference_workload();
        beside_redis();
        oversubscribed();
        idle();
        attaching();
        std::stable_sort(result_.targets.begin(), result_.targets.end(),
                         [](const Target& a, const Target& b) {
                             return std::pair(a.id.size(), a.id) < std::pair(b.id.size(), b.id);
                         });
        return std::move(result_);
    }

  private:
    /// Series that take turns; they stay where they are.
    class Turns {
      public:
        explicit Turns(Suite& suite) : suite_(suite) {}
        Series& add(Series series) { return all_.emplace_back(std::move(series)); }
        void run() {
            std::vector<Series*> turns;
            for (Series& one : all_)
                turns.push_back(&one);
            run_in_turns(turns, suite_.options_.effort, [this](const Series& one, const std::string& what) {
                suite_.progress_.show(one.record.op + ", " + bytes_in_words(one.record.bytes) + ": " + what);
            });
            for (const Series& one : all_)
                suite_.result_.records.push_back(one.record);
        }

      private:
        Suite& suite_;
        std::deque<Series> all_;
    };

    Options sized(std::uint64_t pairs, std::uint64_t value_bytes) const {
        Options options = options_;
        options.workload.pairs = pairs;
        options.value_bytes = {value_bytes};
        return options;
    }

    static RawOptions raw_options(const Options& options) {
        const std::uint64_t bytes = options.value_bytes.front();
        return {.key_bytes = options.workload.key_bytes,
                .value_bytes_max = bytes,
                .memory_bytes = std::min(large_memory, options.workload.pairs * bytes)};
    }

    void add(Target target) { result_.targets.push_back(std::move(target)); }

    void compare_rates(std::string id, std::string figure, double at_least, const Series& own,
                       const Series& baseline, std::string_view baseline_name) {
        add({.id = std::move(id),
             .figure = std::move(figure),
             .limit = at_least,
             .values = quotients(rates(own.record), rates(baseline.record)),
             .own = rate_in_words(own.record),
             .baseline = std::string(baseline_name) + " " + rate_in_words(baseline.record)});
    }

    /// With UCX alone, slice by slice.
    void compare_times(std::string id, std::string figure, double at_most, const Series& own) {
        add({.id = std::move(id),
             .figure = std::move(figure),
             .bound = Bound::at_most,
             .limit = at_most,
             .values = values_of(own.record, figure::ratio),
             .own = time_in_words(own.record),
             .baseline = "UCX " + brief(own.record.spread(figure::raw_us).median) + " us"});
    }

    void reach_rate(std::string id, std::string figure, double at_least, const Record& own) {
        std::vector<double> millions = rates(own);
        for (double& one : millions)
            one /= 1e6;
        add({.id = std::move(id),
             .figure = std::move(figure),
             .limit = at_least,
             .unit = "M/s",
             .values = std::move(millions),
             .own = rate_in_words(own)});
    }

    /// S1, S2
    void same_node_reads() {
        choose_transport(Transport::as_it_comes);
        for (const std::uint64_t bytes : {std::uint64_t{8}, std::uint64_t{8192}}) {
            const Options options = sized(options_.workload.pairs, bytes);
            const Workload workload(options.workload);
            ProcessAlone process(workload, options.pin);
            MeasuredDictionary dictionary(options, 1);
            DictionaryClients clients(dictionary, workload, 1);
            clients.fill(bytes);
            process.fill(bytes);
            Turns turns(*this);
            const Series& map = turns.add(process.series(Task::get, "map_get", bytes));
            const Series& get = turns.add(clients.series(operation("get"), bytes, options.grouping));
            turns.run();
            compare_rates(bytes == 8 ? "S1" : "S2",
                          "same-node get, " + bytes_in_words(bytes) + ": rate / in-process map",
                          bytes == 8 ? 0.35 : 0.7, get, map, "map");
            dictionary.destroy();
        }
    }

    /// S3, S4, S5
    void messages(Transport transport) {
        choose_transport(transport);
        const bool near = transport == Transport::samehost;
        const std::string over = near ? ", within the node" : ", over UCX";
        constexpr std::uint64_t bytes = 8;
        const Options options = sized(options_.workload.pairs, bytes);
        const Workload workload(options.workload);
        UcxAlone ucx(raw_options(options), options.pin);
        MeasuredDictionary dictionary(options, 1);
        DictionaryClients clients(dictionary, workload, 1);
        clients.fill(bytes);
        Turns turns(*this);
        turns.add(ucx.series(Task::raw_round_trip, "raw_round_trip", bytes));
        const Series& raw_put = turns.add(ucx.series(Task::raw_put, "raw_put", bytes));
        Series& put = turns.add(clients.series(operation("put"), bytes, options.grouping));
        put.ucx = &raw_put;
        const Series& raw_get = turns.add(ucx.series(Task::raw_get, "raw_get", bytes));
        Series& get = turns.add(clients.series(operation("get_message"), bytes, options.grouping));
        get.ucx = &raw_get;
        const Grouping batch{.batch = 64};
        const Series& batch_put = turns.add(clients.series(operation("batch_put"), bytes, batch));
        const Series& batch_get = turns.add(clients.series(operation("batch_get_message"), bytes, batch));
        turns.run();
        dictionary.destroy();
        if (near) compare_times("S3", "put, 8 B: time / raw UCX, shared memory", 0.75, put);
        compare_times("S4", "get by message, 8 B: time / raw UCX" + over, near ? 0.7 : 1.2, get);
        reach_rate("S5", "put in batches of 64, 8 B" + over, near ? 8 : 1, batch_put.record);
        reach_rate("S5", "get in batches of 64 by message, 8 B" + over, near ? 8 : 1, batch_get.record);
    }

    /// S3
    void medium_values(std::uint64_t bytes) {
        const Options options = sized(options_.workload.pairs, bytes);
        const Workload workload(options.workload);
        UcxAlone ucx(raw_options(options), options.pin);
        MeasuredDictionary dictionary(options, 1);
        DictionaryClients clients(dictionary, workload, 1);
        clients.fill(bytes);
        Turns turns(*this);
        const Series& raw_put = turns.add(ucx.series(Task::raw_put, "raw_put", bytes));
        Series& put = turns.add(clients.series(operation("put"), bytes, options.grouping));
        put.ucx = &raw_put;
        turns.run();
        dictionary.destroy();
        compare_times("S3", "put, " + bytes_in_words(bytes) + ": time / raw UCX, shared memory", 0.6, put);
    }

    /// S6
    void large_values(std::uint64_t bytes) {
        const std::uint64_t pairs =
            std::clamp(large_memory / bytes, std::uint64_t{2}, options_.workload.pairs);
        const Options options = sized(pairs, bytes);
        const Workload workload(options.workload);
        UcxAlone ucx(raw_options(options), options.pin);
        ProcessAlone process(workload, options.pin);
        MeasuredDictionary dictionary(options, 1);
        DictionaryClients clients(dictionary, workload, 1);
        clients.fill(bytes);
        Turns turns(*this);
        turns.add(ucx.series(Task::raw_put, "raw_put", bytes));
        Series& stream = turns.add(ucx.series(Task::raw_stream, "raw_stream", bytes));
        stream.slice_min = 8;  // the way there and back is to be a small part of it
        const Series& put = turns.add(clients.series(operation("put"), bytes, options.grouping));
        const Series& copy = turns.add(process.series(Task::copy, "memcpy", bytes));
        const Series& get = turns.add(clients.series(operation("get"), bytes, options.grouping));
        turns.add(clients.series(operation("get_message"), bytes, options.grouping));
        turns.run();
        dictionary.destroy();
        const auto compare = [&](std::string figure, double at_least, const Series& own, const Series& other,
                                 std::string name) {
            add({.id = "S6",
                 .figure = std::move(figure),
                 .limit = at_least,
                 .values = quotients(rates(own.record), rates(other.record)),
                 .own = bandwidth_in_words(own.record),
                 .baseline = std::move(name) + " " + bandwidth_in_words(other.record)});
        };
        const std::string size = bytes_in_words(bytes);
        compare("put, " + size + ": bandwidth / raw UCX stream", 1, put, stream, "UCX");
        compare("put, " + size + ": bandwidth / cold memcpy", 0.9, put, copy, "memcpy");
        compare("same-node get, " + size + ": bandwidth / cold memcpy", 0.85, get, copy, "memcpy");
    }

    /// S7: the best of clients and managers.
    void reference_workload() {
        struct Best {
            std::string_view operation;
            std::uint64_t bytes;
            double limit;
            Record record{};
        };
        std::array<Best, 4> best{{{"get", 8, 5}, {"put", 8, 2.5}, {"get", 8192, 1}, {"put", 8192, 0.8}}};
        constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 4> sizes{
            {{1, 1}, {2, 1}, {2, 2}, {4, 2}}};
        for (const auto& [clients_count, managers] : sizes) {
            const Options options = sized(options_.workload.pairs, 8192);
            const Workload workload(options.workload);
            MeasuredDictionary dictionary(options, managers);
            DictionaryClients clients(dictionary, workload, clients_count);
            for (const std::uint64_t bytes : {std::uint64_t{8}, std::uint64_t{8192}}) {
                dictionary.empty();
                clients.fill(bytes);
                Turns turns(*this);
                const Series& get = turns.add(clients.series(operation("get"), bytes, options.grouping));
                const Series& put = turns.add(clients.series(operation("put"), bytes, options.grouping));
                turns.run();
                for (Best& one : best) {
                    const Record& record = (one.operation == "get" ? get : put).record;
                    if (one.bytes != bytes) continue;
                    const bool first = one.record.figures.empty();
                    if (first || record.spread(figure::ops_per_second).median >
                                     one.record.spread(figure::ops_per_second).median)
                        one.record = record;
                }
            }
            dictionary.destroy();
        }
        for (const Best& one : best) {
            reach_rate("S7",
                       "reference workload, " + std::string(one.operation) + ", " +
                           bytes_in_words(one.bytes) + " (best: clients " +
                           std::to_string(one.record.clients) + ", managers " +
                           std::to_string(one.record.managers) + ")",
                       one.limit, one.record);
        }
    }

    /// S8
    void beside_redis() {
        constexpr std::array<std::pair<std::string_view, double>, 4> limits{
            {{"get", 25}, {"put", 25}, {"batch_get", 5}, {"batch_put", 3}}};
        const auto figure = [](std::string_view name) {
            const bool batch = name.substr(0, 5) == "batch";
            return std::string(batch ? name.substr(6) : name) +
                   (batch ? ", 8 B: rate of batches of 64 / Redis, pipeline of 64"
                          : ", 8 B: synchronous rate / Redis over its Unix socket");
        };
        if (!RedisServer::is_installed() || !can_talk_to_redis()) {
            for (const auto& [name, limit] : limits) {
                add({.id = "S8",
                     .figure = figure(name),
                     .limit = limit,
                     .own = "not measured: redis-server or hiredis is not installed"});
            }
            return;
        }
        constexpr std::uint64_t bytes = 8;
        const Options options = sized(options_.workload.pairs, bytes);
        const Workload workload(options.workload);
        RedisPeer redis(workload, 1);
        redis.fill(bytes);
        MeasuredDictionary dictionary(options, 1);
        DictionaryClients clients(dictionary, workload, 1);
        clients.fill(bytes);
        Turns turns(*this);
        struct Two {
            const Series* peer;
            const Series* own;
        };
        std::vector<Two> pairs;
        const Grouping batch{.batch = 64};
        for (const auto& [name, limit] : limits) {
            const OperationKind& kind = operation(name);
            const unsigned depth = kind.grouped ? batch.batch : 1;
            if (kind.grouped) {
                turns.add(redis.series(kind.task, "redis_" + std::string(name), bytes, 16));
            }
            const Series& peer =
                turns.add(redis.series(kind.task, "redis_" + std::string(name), bytes, depth));
            Series& own = turns.add(clients.series(kind, bytes, batch));
            own.peer = &peer;
            pairs.push_back({.peer = &peer, .own = &own});
        }
        turns.run();
        dictionary.destroy();
        for (std::size_t i = 0; i < limits.size(); ++i) {
            compare_rates("S8", figure(limits[i].first), limits[i].second, *pairs[i].own, *pairs[i].peer,
                          "Redis");
        }
    }

    /// S9
    void oversubscribed() {
        constexpr std::uint64_t bytes = 8;
        const Options options = sized(options_.workload.pairs, bytes);
        const Workload workload(options.workload);
        MeasuredDictionary small(options, 1);
        MeasuredDictionary large(options, 4);
        DictionaryClients one(small, workload, 1);
        DictionaryClients four(large, workload, 4);
        BareFlags flags_of_one(1, options.pin);
        BareFlags flags_of_four(4, options.pin);
        one.fill(bytes);
        four.fill(bytes);
        Turns turns(*this);
        constexpr std::array<std::string_view, 3> names{"get", "get_message", "put"};
        std::vector<std::pair<const Series*, const Series*>> both;
        for (const std::string_view name : names) {
            const Series& few = turns.add(one.series(operation(name), bytes, options.grouping));
            const Series& many = turns.add(four.series(operation(name), bytes, options.grouping));
            both.emplace_back(&few, &many);
        }
        const Series& few_flags = turns.add(flags_of_one.series());
        const Series& many_flags = turns.add(flags_of_four.series());
        turns.run();
        large.destroy();
        small.destroy();
        const std::vector<double> limits = quotients(rates(many_flags.record), rates(few_flags.record));
        const std::string limit = "bare flags " + brief(spread_of(limits).median) + " of 1, 1";
        for (std::size_t i = 0; i < names.size(); ++i) {
            const auto& [few, many] = both[i];
            const std::string what = std::string(names[i]) + ", 8 B: ";
            compare_rates("S9", what + "total rate of 4 clients, 4 managers / of 1, 1",
                          names[i] == "get" ? 0.6 : 0.5, *many, *few, limit + "; 1, 1:");
            if (names[i] == "get") continue;  // it needs no other process
            add({.id = "S9",
                 .figure = what + "that quotient / of bare flags",
                 .limit = 0.9,
                 .values = quotients(quotients(rates(many->record), rates(few->record)), limits),
                 .own = rate_in_words(many->record),
                 .baseline = limit});
        }
    }

    /// S10
    void idle() {
        Options options = sized(options_.workload.pairs, 8);
        options.idle = options_.idle != 0 ? options_.idle : idle_seconds;
        options.managers = {1};
        const unsigned rounds = std::min(options_.effort.repetitions, 3u);
        Record all;
        for (unsigned i = 0; i < rounds; ++i) {
            const Record once = measure_idle(options, progress_).front();
            if (i == 0) all = once;
            for (const Figure& one : once.figures) {
                for (std::size_t value = 0; i != 0 && value < one.values.size(); ++value)
                    all.add(one.name, one.values[value]);
            }
        }
        const std::string after = ", after " + brief(options.idle) + " s idle";
        add({.id = "S10",
             .figure = "idle manager: CPU",
             .bound = Bound::at_most,
             .limit = 0.01,
             .unit = "%",
             .values = values_of(all, "manager_percent_of_a_core"),
             .own = "over " + brief(options.idle) + " s",
             .baseline = "a thread that looks up once a second " +
                         brief(all.spread("bare_percent_of_a_core").median) + " %"});
        add({.id = "S10",
             .figure = "first request" + after,
             .bound = Bound::at_most,
             .limit = 60,
             .unit = "us",
             .values = values_of(all, "first_request_us"),
             .own = "the second: " + brief(all.spread("second_request_us").median) + " us",
             .baseline = "bare wake-up " + brief(all.spread("bare_wake_us").median) + " us"});
        result_.records.push_back(std::move(all));
    }

    /// S11
    void attaching() {
        Options options = sized(options_.workload.pairs, 8);
        options.managers = {1};
        Record once = measure_connections(options, progress_).front();
        const auto at_most = [&](std::string what, double limit, std::string unit, std::string_view figure) {
            add({.id = "S11",
                 .figure = std::move(what),
                 .bound = Bound::at_most,
                 .limit = limit,
                 .unit = std::move(unit),
                 .values = values_of(once, figure),
                 .own = "one client, one manager"});
        };
        at_most("attach", 500, "us", "attach_us");
        at_most("first request", 30, "us", "first_request_us");
        at_most("memory of an attached client", 150, "KiB", "attach_kib");
        at_most("memory at the manager for a client", 80, "KiB", "connection_kib_at_manager");
        constexpr unsigned runs = 9;
        MeasuredDictionary dictionary(options, 1);
        for (unsigned i = 0; i < options_.effort.repetitions; ++i) {
            progress_.show("running ddict size");
            const Nanoseconds took = time_of_ddict(dictionary.handle(), {"size"}, runs);
            once.add("command_ms", static_cast<double>(took.count()) / 1e6);
        }
        dictionary.destroy();
        at_most("ddict size, as a process", 8, "ms", "command_ms");
        result_.records.push_back(std::move(once));
    }

    const Options& options_;
    Progress& progress_;
    TargetFigures result_;
};

}  // namespace

TargetFigures measure_targets(const Options& options, Progress& progress) {
    return Suite(options, progress).measure();
}

std::string table_of_targets(const std::vector<Target>& targets) {
    std::string text;
    for (const Target& one : targets) {
        const std::string bound = one.bound == Bound::at_least ? ">= " : "<= ";
        text += one.id + std::string(one.id.size() < 4 ? 4 - one.id.size() : 1, ' ') + one.figure + "\n";
        text += "    target " + bound + brief(one.limit) + " " + one.unit;
        if (one.values.empty()) {
            text += (one.unit.empty() ? "" : " ") + ("| " + one.own) + "\n";
            continue;
        }
        const Spread spread = spread_of(one.values);
        text += std::string(one.unit.empty() ? "" : " ") + "| " + (one.met() ? "met: " : "NOT MET: ") +
                brief(spread.median) + " [" + brief(spread.min) + " .. " + brief(spread.max) + "] | " +
                one.own;
        text += (one.baseline.empty() ? "" : ", " + one.baseline) + "\n";
    }
    return text;
}

}  // namespace ddict::bench
