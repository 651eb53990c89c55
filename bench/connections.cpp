// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What it costs to attach, and to speak to every manager: for clients, each a fresh process, and for the
// managers.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <stdexcept>

#include <ddict/dictionary.h>

#include "bench/measure.h"
#include "bench/measured_dictionary.h"
#include "bench/memory.h"
#include "bench/repeat.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t pool_bytes = std::uint64_t{2} << 20;
constexpr unsigned clients_at_once = 4;

double kibibytes(std::uint64_t bytes) {
    return static_cast<double>(bytes) / 1024;
}

/// Tells what it has cost as JSON.
class FreshClient final : public Role {
  public:
    explicit FreshClient(std::string handle) : handle_(std::move(handle)) {}

    void prepare(const Phase& phase) override {
        if (phase.task == Task::touch) return;
        before_ = memory_of(::getpid()).own;
    }
    std::string run(const Phase& phase, Tally& tally) override {
        switch (phase.task) {
            case Task::open:
                return attach(tally);
            case Task::request:
                return ask_all(tally);
            default:
                throw std::logic_error("not a task of a fresh client");
        }
    }

  private:
    std::string attach(Tally& tally) {
        const auto start = Clock::now();
        dictionary_.emplace(Dictionary::attach(handle_));
        const auto took = nanoseconds_between(start, Clock::now());
        tally.operations = 1;
        std::uint64_t requests = 0;
        for (const OperationProfile& one : dictionary_->profile().operations)
            requests += one.count;
        return nlohmann::json{{"us", static_cast<double>(took) / 1e3},
                              {"requests", requests},
                              {"kib", kibibytes(memory_of(::getpid()).own - before_)}}
            .dump();
    }
    /// Erasing what is not there is a message in any case.
    std::string ask_all(Tally& tally) {
        const std::uint32_t managers = dictionary_->manager_count();
        const auto ask = [&](std::uint32_t manager) {
            const auto start = Clock::now();
            (void)dictionary_->manager(manager).erase("a key that is not there");
            return static_cast<double>(nanoseconds_between(start, Clock::now())) / 1e3;
        };
        std::vector<double> first;
        std::vector<double> second;
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            first.push_back(ask(manager));
        const std::uint64_t after = memory_of(::getpid()).own;
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            second.push_back(ask(manager));
        tally.operations = managers;
        const auto sum = [](const std::vector<double>& all) { return std::reduce(all.begin(), all.end()); };
        return nlohmann::json{{"first_us", spread_of(first).median},
                              {"first_us_max", spread_of(first).max},
                              {"all_ms", sum(first) / 1e3},
                              {"second_us", spread_of(second).median},
                              {"kib_per_manager", kibibytes(after - before_) / managers}}
            .dump();
    }

    std::string handle_;
    std::optional<Dictionary> dictionary_;
    std::uint64_t before_ = 0;
};

std::uint64_t sessions_of(MeasuredDictionary& dictionary) {
    std::uint64_t sessions = 0;
    for (const ManagerStats& one : dictionary.managers_now())
        sessions += one.sessions;
    return sessions;
}

std::uint64_t memory_of_managers(const MeasuredDictionary& dictionary) {
    std::uint64_t bytes = 0;
    for (const ManagerStats& one : dictionary.managers())
        bytes += memory_of(one.pid).own;
    return bytes;
}

void once(const Options& options, std::uint32_t managers, Record& record) {
    MeasuredDictionary dictionary(options, managers, managers * pool_bytes);
    record.managers = dictionary.manager_count();
    record.transport = dictionary.transport();
    record.add("create_ms", static_cast<double>(dictionary.time_to_open().count()) / 1e6);
    const auto fresh = [&](unsigned) { return std::make_unique<FreshClient>(dictionary.handle()); };
    {
        Team client("client", 1, fresh);
        const std::uint64_t before = sessions_of(dictionary);
        const auto attached = nlohmann::json::parse(client.run({.task = Task::open}).texts.front());
        record.add("attach_us", attached.at("us").get<double>());
        record.add("attach_requests", attached.at("requests").get<double>());
        record.add("attach_connections", static_cast<double>(sessions_of(dictionary) - before));
        record.add("attach_kib", attached.at("kib").get<double>());
        const auto asked = nlohmann::json::parse(client.run({.task = Task::request}).texts.front());
        record.add("first_request_us", asked.at("first_us").get<double>());
        record.add("first_request_us_slowest", asked.at("first_us_max").get<double>());
        record.add("second_request_us", asked.at("second_us").get<double>());
        record.add("all_first_requests_ms", asked.at("all_ms").get<double>());
        record.add("connection_kib_at_client", asked.at("kib_per_manager").get<double>());
    }
    {
        Team several("client", clients_at_once, fresh);
        const std::uint64_t before = memory_of_managers(dictionary);
        several.run({.task = Task::open});
        several.run({.task = Task::request});
        const std::uint64_t after = memory_of_managers(dictionary);
        record.add("connection_kib_at_manager", kibibytes(after - std::min(before, after)) / clients_at_once /
                                                    static_cast<double>(record.managers));
    }
    dictionary.destroy();
}

}  // namespace

std::vector<Record> measure_connections(const Options& options, Progress& progress) {
    std::vector<Record> records;
    for (const std::uint32_t managers : options.managers) {
        Record& record = records.emplace_back();
        record.op = "connections";
        record.clients = 1;
        progress.repeat(std::to_string(managers) + (managers == 1 ? " manager: " : " managers: "),
                        options.effort.repetitions, [&](unsigned) { once(options, managers, record); });
    }
    return records;
}

}  // namespace ddict::bench
