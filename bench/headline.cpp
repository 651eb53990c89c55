// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>

#include "bench/measure.h"
#include "bench/measured_dictionary.h"
#include "bench/raw_ucx.h"

namespace ddict::bench {
namespace {

constexpr std::uint64_t operations_min = 16;
constexpr std::uint64_t operations_max = 1'000'000'000;
constexpr std::uint64_t warm_up_max = 1'000;

/// One phase that is repeated: who does it, what, and where its figures go.
struct Series {
    Team* team;
    Phase phase;
    Record record;
    const Series* raw = nullptr;  // what it is compared with

    void choose_operations(const Options& options);
    void run_once();
};

/// As many operations as take about the time asked for; the search for the number is a warm-up as well.
void Series::choose_operations(const Options& options) {
    phase.operations = options.operations;
    if (phase.operations == 0) {
        std::uint64_t operations = 4 * operations_min;
        double elapsed = 0;
        for (;; operations *= 4) {
            Phase trial = phase;
            trial.operations = operations;
            elapsed = std::chrono::duration<double>(team->run(trial).elapsed).count();
            if (elapsed >= options.seconds / 8 || operations >= operations_max / 4) break;
        }
        const double wanted = static_cast<double>(operations) * options.seconds / elapsed;
        phase.operations =
            static_cast<std::uint64_t>(std::clamp(wanted, double{operations_min}, double{operations_max}));
    }
    phase.warm_up = std::min(phase.operations, warm_up_max);
    record.operations_per_client = phase.operations;
}

void Series::run_once() {
    const PhaseResult result = team->run(phase);
    const double rate = result.per_second();
    record.add(figure::ops_per_second, rate);
    // Of one client: what it waits for each operation on average.
    const double mean_us = 1e6 * static_cast<double>(record.clients) / rate;
    record.add(figure::mean_us, mean_us);
    record.add(figure::p50_us, result.latencies.quantile(0.5) / 1e3);
    record.add(figure::p99_us, result.latencies.quantile(0.99) / 1e3);
    if (raw == nullptr) return;
    const auto latest = [this](std::string_view name) {
        for (const Figure& one : raw->record.figures) {
            if (one.name == name) return one.values.back();
        }
        return std::nan("");
    };
    record.add(figure::raw_us, latest(figure::mean_us));
    record.add(figure::ratio, mean_us / latest(figure::mean_us));
    record.add(figure::ratio_p50, result.latencies.quantile(0.5) / 1e3 / latest(figure::p50_us));
}

class Headline {
  public:
    Headline(const Options& options, Progress& progress)
        : options_(options),
          progress_(progress),
          workload_(options.workload),
          addresses_(2),
          raw_("raw UCX", 2, [this, &options](unsigned member) {
              const RawOptions raw{.key_bytes = options.workload.key_bytes,
                                   .value_bytes_max = *std::max_element(options.value_bytes.begin(),
                                                                        options.value_bytes.end())};
              return std::make_unique<RawPeer>(raw, addresses_, member);
          }) {
        raw_.run({.task = Task::raw_address});
        raw_transport_ = raw_.run({.task = Task::raw_connect}).texts.front();
    }

    std::vector<Record> measure() {
        for (const std::uint32_t managers : options_.managers) {
            progress_.show("creating a dictionary");
            MeasuredDictionary dictionary(options_, managers);
            for (const std::uint32_t clients : options_.clients)
                with_clients(dictionary, clients);
            progress_.show("destroying the dictionary");
            dictionary.destroy();
        }
        return std::move(records_);
    }

  private:
    void with_clients(MeasuredDictionary& dictionary, std::uint32_t clients) {
        Team team = client_team(dictionary, workload_, clients);
        team.run({.task = Task::touch});
        for (const std::uint64_t bytes : options_.value_bytes) {
            progress_.show("filling the dictionary");
            if (!options_.attach) dictionary.empty();
            team.run({.task = Task::fill, .value_bytes = bytes});
            with_value_bytes(dictionary, team, bytes);
        }
        if (options_.attach) team.run({.task = Task::erase});
    }

    void with_value_bytes(const MeasuredDictionary& dictionary, Team& clients, std::uint64_t bytes) {
        Series round_trip = series(raw_, Task::raw_round_trip, "raw_round_trip", 8, nullptr);
        Series raw_get = series(raw_, Task::raw_get, "raw_get", bytes, nullptr);
        Series get = series(clients, Task::get, "get", bytes, &dictionary);
        Series raw_put = series(raw_, Task::raw_put, "raw_put", bytes, nullptr);
        Series put = series(clients, Task::put, "put", bytes, &dictionary);
        get.raw = &raw_get;
        put.raw = &raw_put;
        const std::array<Series*, 5> all{&round_trip, &raw_get, &get, &raw_put, &put};
        for (Series* one : all) {
            say(dictionary, *one, "counting");
            one->choose_operations(options_);
        }
        for (unsigned repetition = 1; repetition <= options_.repetitions; ++repetition) {
            for (Series* one : all) {
                say(dictionary, *one, "repetition " + std::to_string(repetition));
                one->run_once();
            }
        }
        for (Series* one : all)
            records_.push_back(std::move(one->record));
    }

    /// dictionary: null for UCX alone.
    Series series(Team& team, Task task, std::string op, std::uint64_t bytes,
                  const MeasuredDictionary* dictionary) {
        Series made{.team = &team, .phase = {.task = task, .value_bytes = bytes}, .record = {}};
        made.record.op = std::move(op);
        made.record.bytes = bytes;
        made.record.key_bytes = task == Task::raw_round_trip ? 0 : options_.workload.key_bytes;
        made.record.clients = dictionary == nullptr ? 1 : team.size();
        made.record.managers = dictionary == nullptr ? 0 : dictionary->manager_count();
        made.record.transport = dictionary == nullptr ? raw_transport_ : dictionary->transport();
        return made;
    }

    void say(const MeasuredDictionary& dictionary, const Series& one, const std::string& what) {
        progress_.show(one.record.op + ", " + std::to_string(one.record.bytes) + " bytes, " +
                       std::to_string(one.record.clients) + " clients, " +
                       std::to_string(dictionary.manager_count()) + " managers: " + what);
    }

    const Options& options_;
    Progress& progress_;
    Workload workload_;
    RawAddresses addresses_;
    Team raw_;
    std::string raw_transport_;
    std::vector<Record> records_;
};

}  // namespace

std::vector<Record> measure_headline(const Options& options, Progress& progress) {
    return Headline(options, progress).measure();
}

}  // namespace ddict::bench
