// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <deque>
#include <optional>
#include <string>

#include "bench/contestants.h"
#include "bench/measure.h"

namespace ddict::bench {
namespace {

std::uint64_t largest_value(const Options& options) {
    return *std::max_element(options.value_bytes.begin(), options.value_bytes.end());
}

RawOptions raw_options(const Options& options) {
    // More than any cache holds is enough.
    constexpr std::uint64_t memory_max = std::uint64_t{256} << 20;
    const std::uint64_t largest = largest_value(options);
    return {.key_bytes = options.workload.key_bytes,
            .value_bytes_max = largest,
            .memory_bytes = options.workload.pairs > memory_max / std::max<std::uint64_t>(largest, 1)
                                ? memory_max
                                : options.workload.pairs * largest};
}

class Headline {
  public:
    Headline(const Options& options, Progress& progress)
        : options_(options),
          progress_(progress),
          workload_(options.workload),
          ucx_(raw_options(options), options.pin),
          process_(workload_, options.pin) {
        if (options.peer == Peer::redis) redis_.emplace(workload_, options.clients.front());
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
    bool measures(Task task) const {
        return std::any_of(options_.operations_measured.begin(), options_.operations_measured.end(),
                           [task](const OperationKind* one) { return one->task == task; });
    }

    void with_clients(MeasuredDictionary& dictionary, std::uint32_t clients) {
        DictionaryClients team(dictionary, workload_, clients);
        if (redis_ && clients != options_.clients.front()) {
            redis_.reset();
            redis_.emplace(workload_, clients);
        }
        for (const std::uint64_t bytes : options_.value_bytes) {
            progress_.show("filling");
            if (!options_.attach) dictionary.empty();
            team.fill(bytes);
            if (measures(Task::bget) || measures(Task::bput)) team.fill_broadcast(bytes);
            if (redis_) redis_->fill(bytes);
            with_value_bytes(team, bytes);
        }
        if (options_.attach) team.erase();
    }

    /// UCX alone and what else the operations are compared with, each once and before the first that needs
    /// it.
    void with_value_bytes(DictionaryClients& clients, std::uint64_t bytes) {
        std::deque<Series> all;  // where they are they stay
        const Series* raw_get = nullptr;
        const Series* raw_put = nullptr;
        all.push_back(ucx_.series(Task::raw_round_trip, "raw_round_trip", 8));
        if (measures(Task::get)) raw_get = &all.emplace_back(ucx_.series(Task::raw_get, "raw_get", bytes));
        if (measures(Task::put)) raw_put = &all.emplace_back(ucx_.series(Task::raw_put, "raw_put", bytes));
        const bool map = ProcessAlone::can_hold(options_.workload, bytes);
        if (map && (measures(Task::get) || measures(Task::put))) process_.fill(bytes);

        for (const OperationKind* operation : options_.operations_measured) {
            const Series* of_map = nullptr;
            if (map && (operation->name == "get" || operation->name == "put")) {
                of_map = &all.emplace_back(
                    process_.series(operation->task, "map_" + std::string(operation->name), bytes));
            }
            const Series* of_peer = redis_ ? peer_series(all, *operation, bytes) : nullptr;
            Series& measured = all.emplace_back(clients.series(*operation, bytes, options_.grouping));
            if (operation->task == Task::get) measured.ucx = raw_get;
            if (operation->task == Task::put) measured.ucx = raw_put;
            measured.map = of_map;
            measured.peer = of_peer;
        }
        std::vector<Series*> turns;
        for (Series& one : all)
            turns.push_back(&one);
        run_in_turns(turns, options_.effort, [this](const Series& one, const std::string& what) {
            progress_.show(one.record.op + ", " + std::to_string(one.record.bytes) + " bytes, " +
                           std::to_string(one.record.clients) +
                           (one.record.clients == 1 ? " client: " : " clients: ") + what);
        });
        std::stable_sort(all.begin(), all.end(), [](const Series& a, const Series& b) {
            return a.record.managers == 0 && b.record.managers != 0;
        });
        for (Series& one : all)
            records_.push_back(std::move(one.record));
    }

    const Series* peer_series(std::deque<Series>& all, const OperationKind& operation, std::uint64_t bytes) {
        const std::string name = "redis_" + std::string(operation.name);
        if (operation.by_message) return nullptr;
        switch (operation.task) {
            case Task::get:
            case Task::put:
                return &all.emplace_back(redis_->series(operation.task, name, bytes, 1));
            case Task::batch_get:
            case Task::batch_put:
                return &all.emplace_back(
                    redis_->series(operation.task, name, bytes, options_.grouping.batch));
            default:
                return nullptr;
        }
    }

    const Options& options_;
    Progress& progress_;
    Workload workload_;
    UcxAlone ucx_;
    ProcessAlone process_;
    std::optional<RedisPeer> redis_;
    std::vector<Record> records_;
};

}  // namespace

std::vector<Record> measure_headline(const Options& options, Progress& progress) {
    return Headline(options, progress).measure();
}

}  // namespace ddict::bench
