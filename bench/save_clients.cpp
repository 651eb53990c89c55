// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/save_clients.h"

#include <ddict/batch.h>
#include <ddict/checkpoint.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "bench/repeat.h"
#include "bench/saved_files.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::uint64_t batch_pairs = 64;
constexpr std::uint64_t batch_bytes_max = 1 << 20;
constexpr unsigned warm_up = 200;
constexpr std::chrono::milliseconds asked_again{20};
constexpr std::chrono::minutes retired_within{2};

json figures_of(const Histogram& latencies) {
    return {{"p50_us", latencies.quantile(0.5) / 1e3},
            {"p99_us", latencies.quantile(0.99) / 1e3},
            {"max_us", latencies.quantile(1) / 1e3}};
}

Latencies latencies_of(const json& figures) {
    return {.p50_us = figures.at("p50_us").get<double>(),
            .p99_us = figures.at("p99_us").get<double>(),
            .max_us = figures.at("max_us").get<double>()};
}

class Once final : public Role {
  public:
    explicit Once(const std::function<std::string()>& work) : work_(work) {}
    void prepare(const Phase&) override {}
    std::string run(const Phase&, Tally&) override { return work_(); }

  private:
    const std::function<std::string()>& work_;
};

}  // namespace

void SteadyClient::prepare(const Phase& phase) {
    if (!dictionary_) {
        dictionary_.emplace(Dictionary::attach(handle_, AttachOptions{.local_reads = false}));
        dictionary_->set_checkpoint_id(newest_checkpoint);
        value_ = Workload::value_letters(value_bytes);
        put_all(*dictionary_, workload_, value_bytes);
    }
    Random random(~phase.number);
    for (unsigned i = 0; i < warm_up; ++i) {
        get(random);
        put(random);
    }
}

std::string SteadyClient::run(const Phase& phase, Tally& tally) {
    Random random(phase.number);
    Histogram puts;
    Clock::time_point before = Clock::now();
    const auto took = [&] {
        const Clock::time_point after = Clock::now();
        return nanoseconds_between(std::exchange(before, after), after);
    };
    while (over_[0].load(std::memory_order_acquire) != phase.number) {
        get(random);
        tally.latencies.add(took());
        put(random);
        puts.add(took());
        tally.operations += 2;
    }
    return json{{"get", figures_of(tally.latencies)}, {"put", figures_of(puts)}}.dump();
}

void SteadyClient::get(Random& random) {
    const std::uint64_t pair = workload_.choose(random);
    dictionary_->get_bytes(workload_.key(pair), buffer_).value();
    buffer_.check(pair, value_bytes);
}

void SteadyClient::put(Random& random) {
    const std::uint64_t pair = workload_.choose(random);
    Workload::stamp(value_, pair);
    dictionary_->put_bytes(workload_.key(pair), value_, type_text).value();
}

void OtherClient::prepare(const Phase&) {
    if (!dictionary_)
        dictionary_.emplace(
            Dictionary::attach(options_.handle, AttachOptions{.local_reads = !options_.by_message}));
}

std::string OtherClient::run(const Phase& phase, Tally& tally) {
    const Clock::time_point start = Clock::now();
    const std::uint64_t bytes = work(phase);
    const std::chrono::duration<double> took = Clock::now() - start;
    over_[0].store(phase.number, std::memory_order_release);
    tally.operations = 1;
    return json{{"seconds", took.count()}, {"bytes", bytes}}.dump();
}

/// Returns how many bytes it has written to files.
std::uint64_t OtherClient::work(const Phase& phase) {
    switch (phase.task) {
        case Task::rest:
            std::this_thread::sleep_for(std::chrono::milliseconds(phase.operations));
            return 0;
        case Task::write_file:
            write_and_sync(options_.folder / "written", phase.operations);
            return phase.operations;
        case Task::save:
            return save();
        case Task::step:
            dictionary_->checkpoint();
            put_pairs(phase.value_bytes);
            return 0;
        case Task::change:
            put_pairs(phase.value_bytes);
            return 0;
        case Task::retire:
            retire(phase.value_bytes);
            return 0;
        default:
            throw std::logic_error("not a task of the client beside the steady one");
    }
}

std::uint64_t OtherClient::save() {
    const CheckpointInfo info = dictionary_->save(options_.folder.string());
    Checkpoints::remove(info.path).value();
    return info.bytes;
}

void OtherClient::put_pairs(std::uint64_t value_bytes) {
    put_all(*dictionary_, workload_, value_bytes);
}

/// What is retired counts as an old version until it is taken out. Each pair of the steady client may have
/// one that is not retired.
void OtherClient::retire(std::uint64_t value_bytes) {
    dictionary_->checkpoint();
    std::vector<std::byte> value = Workload::value_letters(value_bytes);
    Workload::stamp(value, 0);
    dictionary_->put_bytes(workload_.key(0), value, type_text).value();
    const Clock::time_point deadline = Clock::now() + retired_within;
    const auto left = [&] {
        std::uint64_t versions = 0;
        for (const ManagerStats& one : dictionary_->stats())
            versions += one.old_versions;
        return versions;
    };
    while (left() > options_.steady_pairs + 1) {
        if (Clock::now() > deadline) throw std::runtime_error("what is retired does not go");
        std::this_thread::sleep_for(asked_again);
    }
}

Beside run_beside(Team& both, const Phase& phase) {
    const PhaseResult result = both.run(phase);
    const json steady = json::parse(result.texts.at(0));
    const json other = json::parse(result.texts.at(1));
    return {.get = latencies_of(steady.at("get")),
            .put = latencies_of(steady.at("put")),
            .seconds = other.at("seconds").get<double>(),
            .bytes = other.at("bytes").get<std::uint64_t>()};
}

std::string in_own_process(const std::string& name, const std::function<std::string()>& work) {
    Team team(name, 1, [&](unsigned) { return std::make_unique<Once>(work); });
    return team.run({.task = Task::request}).texts.front();
}

void put_all(const View& dictionary, const Workload& workload, std::uint64_t value_bytes) {
    const std::uint64_t pairs =
        std::clamp<std::uint64_t>(batch_bytes_max / std::max<std::uint64_t>(value_bytes, 1), 1, batch_pairs);
    std::vector<std::vector<std::byte>> values(pairs, Workload::value_letters(value_bytes));
    std::vector<PutItem> items;
    for (std::uint64_t pair = 0; pair < workload.pairs();) {
        items.clear();
        for (std::size_t i = 0; i < pairs && pair < workload.pairs(); ++i, ++pair) {
            Workload::stamp(values[i], pair);
            items.push_back(
                {.key = KeyBytes(workload.key(pair)), .value = values[i], .value_type = type_text});
        }
        dictionary.multi_put_bytes(items, {}).value();
    }
}

}  // namespace ddict::bench
