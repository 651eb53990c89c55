// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/dictionary_client.h"

#include <stdexcept>
#include <utility>

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t since(Clock::time_point from, Clock::time_point to) {
    return static_cast<std::uint64_t>((to - from) / Nanoseconds(1));
}

}  // namespace

Result<std::span<std::byte>> DictionaryClient::Buffer::prepare(std::uint64_t bytes, std::uint16_t) {
    bytes_ = static_cast<std::size_t>(bytes);
    if (memory_.size() < bytes_) memory_.resize(bytes_);
    return std::span(memory_).first(bytes_);
}

DictionaryClient::DictionaryClient(std::string handle, const Workload& workload, ClientPlace place)
    : workload_(workload), place_(place), handle_(std::move(handle)) {}

void DictionaryClient::prepare(const Phase& phase) {
    if (!dictionary_) dictionary_.emplace(Dictionary::attach(handle_));
    if (phase.task == Task::touch) touch_managers();
    value_ = Workload::value_letters(phase.value_bytes);
    if (phase.task == Task::get || phase.task == Task::put) {
        Histogram not_counted;
        work(phase, phase.warm_up, ~phase.number, not_counted);
    }
}

std::string DictionaryClient::run(const Phase& phase, Histogram& latencies) {
    work(phase, phase.operations, phase.number, latencies);
    return {};
}

void DictionaryClient::work(const Phase& phase, std::uint64_t operations, std::uint64_t seed,
                            Histogram& latencies) {
    Random random(seed * place_.members + place_.member);
    switch (phase.task) {
        case Task::touch:
            return;
        case Task::get:
            return on_random_pairs(operations, random, latencies,
                                   [&](std::uint64_t pair) { get(pair, phase.value_bytes); });
        case Task::put:
            return on_random_pairs(operations, random, latencies, [&](std::uint64_t pair) { put(pair); });
        case Task::fill:
            return on_own_pairs(latencies, [&](std::uint64_t pair) { put(pair); });
        case Task::erase:
            return on_own_pairs(latencies, [&](std::uint64_t pair) {
                (void)dictionary_->try_erase(workload_.key(pair)).value();
            });
        default:
            throw std::logic_error("not a task of a client");
    }
}

/// One clock reading per operation: where one ends the next begins, so that all time is counted.
template <class Operation>
void DictionaryClient::on_random_pairs(std::uint64_t operations, Random& random, Histogram& latencies,
                                       Operation operation) {
    Clock::time_point before = Clock::now();
    for (std::uint64_t i = 0; i < operations; ++i) {
        operation(random.below(workload_.pairs()));
        const Clock::time_point after = Clock::now();
        latencies.add(since(before, after));
        before = after;
    }
}

template <class Operation>
void DictionaryClient::on_own_pairs(Histogram& latencies, Operation operation) {
    Clock::time_point before = Clock::now();
    for (std::uint64_t pair = place_.member; pair < workload_.pairs(); pair += place_.members) {
        operation(pair);
        const Clock::time_point after = Clock::now();
        latencies.add(since(before, after));
        before = after;
    }
}

/// A question to every manager, so that all connections are there before anything is timed.
void DictionaryClient::touch_managers() {
    const std::uint32_t managers = dictionary_->manager_count();
    std::vector<bool> touched(managers, false);
    std::uint32_t left = managers;
    for (std::uint64_t i = 0; left > 0; ++i) {
        const std::string key = "a key that is not there " + std::to_string(i);
        const std::uint32_t manager = dictionary_->which_manager(key);
        if (touched[manager]) continue;
        (void)dictionary_->contains(key);
        touched[manager] = true;
        --left;
    }
}

void DictionaryClient::get(std::uint64_t pair, std::uint64_t value_bytes) {
    dictionary_->get_bytes(workload_.key(pair), buffer_).value();
    if (buffer_.value().size() != value_bytes || !Workload::stamped(buffer_.value(), pair)) {
        throw std::runtime_error("get brought another value than the one that was put");
    }
}

void DictionaryClient::put(std::uint64_t pair) {
    Workload::stamp(value_, pair);
    dictionary_->put_bytes(workload_.key(pair), value_).value();
}

}  // namespace ddict::bench
