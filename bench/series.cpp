// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/series.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace ddict::bench {
namespace {

constexpr std::uint64_t operations_min = 8;
constexpr std::uint64_t operations_max = 1'000'000'000;
constexpr std::uint64_t warm_up_max = 10'000;
/// About so long is a slice.
constexpr double slice_seconds = 0.003;
/// Latencies are looked at in one slice of so many.
constexpr unsigned latency_share = 4;

/// Of each repetition.
unsigned turns_of(const Effort& effort) {
    if (effort.operations != 0) return 1;
    return static_cast<unsigned>(std::clamp(effort.seconds / slice_seconds, 1.0, 10'000.0));
}

double median(const std::vector<double>& values) {
    return spread_of(values).median;
}

}  // namespace

void Series::choose_operations(const Effort& effort) {
    phase.operations = effort.operations;
    if (phase.operations == 0) {
        std::uint64_t operations = operations_min;
        double elapsed = 0;
        for (;; operations *= 4) {
            Phase trial = phase;
            trial.operations = operations;
            elapsed = std::chrono::duration<double>(team->run(trial).elapsed).count();
            if (elapsed >= effort.seconds / 8 || operations >= operations_max / 4) break;
        }
        const double wanted = static_cast<double>(operations) * effort.seconds / elapsed;
        phase.operations =
            static_cast<std::uint64_t>(std::clamp(wanted, double{operations_min}, double{operations_max}));
    }
    // Whole batches, in each slice.
    const std::uint64_t groups = (phase.operations + phase.group - 1) / phase.group;
    slices = static_cast<unsigned>(std::clamp<std::uint64_t>(groups / slice_min, 1, turns_of(effort)));
    phase.operations = (groups + slices - 1) / slices * phase.group;
    phase.warm_up = std::min(phase.operations / 4 + 1, warm_up_max);
    record.operations_per_client = phase.operations * slices;
}

void Series::run_slice(unsigned turn, unsigned turns) {
    const auto done_before = [&](unsigned at) { return std::uint64_t{at} * slices / turns; };
    if (turn != 0 && done_before(turn) == done_before(turn - 1)) return;
    const PhaseResult result = team->run(phase);
    now.elapsed += result.elapsed;
    now.operations += result.operations;
    // Of one client: what it waits for each operation on average.
    slice_us = 1e6 * static_cast<double>(record.clients) / result.per_second();
    slice_turn = turn;
    if (ucx != nullptr && ucx->slice_turn == turn) {
        now.raw_us.push_back(ucx->slice_us);
        now.ratios.push_back(slice_us / ucx->slice_us);
        record.slices.push_back({.own_us = slice_us, .raw_us = ucx->slice_us});
    }
    if (now.slices++ % latency_share != 0) return;
    Phase each = phase;
    each.each = true;
    each.operations =
        slices == 1 ? std::max(phase.operations / latency_share, operations_min) : phase.operations;
    now.latencies.add(team->run(each).latencies);
}

void Series::end_repetition() {
    const double rate = static_cast<double>(now.operations) * 1e9 / static_cast<double>(now.elapsed.count());
    record.add(figure::ops_per_second, rate);
    record.add(figure::mean_us, 1e6 * static_cast<double>(record.clients) / rate);
    if (record.bytes >= 1024)
        record.add(figure::gb_per_second, rate * static_cast<double>(record.bytes) / 1e9);
    const double p50_us = now.latencies.quantile(0.5) / 1e3;
    record.add(figure::p50_us, p50_us);
    record.add(figure::p99_us, now.latencies.quantile(0.99) / 1e3);
    if (ucx != nullptr) {
        record.add(figure::raw_us, median(now.raw_us));
        record.add(figure::ratio, median(now.ratios));
        record.add(figure::ratio_p50, p50_us / ucx->latest(figure::p50_us));
    }
    if (map != nullptr) record.add(figure::ratio_to_map, rate / map->latest(figure::ops_per_second));
    if (peer != nullptr) record.add(figure::ratio_to_peer, rate / peer->latest(figure::ops_per_second));
    now = {};
}

double Series::latest(std::string_view name) const {
    for (const Figure& one : record.figures) {
        if (one.name == name) return one.values.back();
    }
    return std::nan("");
}

void run_in_turns(const std::vector<Series*>& all, const Effort& effort,
                  const std::function<void(const Series&, const std::string& what)>& say) {
    for (Series* one : all) {
        say(*one, "counting");
        one->choose_operations(effort);
    }
    const unsigned turns = turns_of(effort);
    for (unsigned repetition = 1; repetition <= effort.repetitions; ++repetition) {
        if (!all.empty()) say(*all.front(), "repetition " + std::to_string(repetition));
        for (unsigned turn = 0; turn < turns; ++turn) {
            for (Series* one : all)
                one->run_slice(turn, turns);
        }
        for (Series* one : all)
            one->end_repetition();
    }
}

}  // namespace ddict::bench
