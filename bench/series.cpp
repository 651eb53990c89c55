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
/// Latencies are looked at in so much shorter phases.
constexpr std::uint64_t latency_share = 4;

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
    // Whole batches.
    phase.operations = (phase.operations + phase.group - 1) / phase.group * phase.group;
    phase.warm_up = std::min(phase.operations / 4 + 1, warm_up_max);
    record.operations_per_client = phase.operations;
}

void Series::run_once() {
    const double rate = team->run(phase).per_second();
    record.add(figure::ops_per_second, rate);
    // Of one client: what it waits for each operation on average.
    const double mean_us = 1e6 * static_cast<double>(record.clients) / rate;
    record.add(figure::mean_us, mean_us);
    if (record.bytes >= 1024)
        record.add(figure::gb_per_second, rate * static_cast<double>(record.bytes) / 1e9);

    Phase each = phase;
    each.each = true;
    each.operations = std::max<std::uint64_t>(phase.operations / latency_share, operations_min);
    const PhaseResult one_by_one = team->run(each);
    record.add(figure::p50_us, one_by_one.latencies.quantile(0.5) / 1e3);
    record.add(figure::p99_us, one_by_one.latencies.quantile(0.99) / 1e3);

    if (ucx != nullptr) {
        record.add(figure::raw_us, ucx->latest(figure::mean_us));
        record.add(figure::ratio, mean_us / ucx->latest(figure::mean_us));
        record.add(figure::ratio_p50, one_by_one.latencies.quantile(0.5) / 1e3 / ucx->latest(figure::p50_us));
    }
    if (map != nullptr) record.add(figure::ratio_to_map, rate / map->latest(figure::ops_per_second));
    if (peer != nullptr) record.add(figure::ratio_to_peer, rate / peer->latest(figure::ops_per_second));
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
    for (unsigned repetition = 1; repetition <= effort.repetitions; ++repetition) {
        for (Series* one : all) {
            say(*one, "repetition " + std::to_string(repetition));
            one->run_once();
        }
    }
}

}  // namespace ddict::bench
