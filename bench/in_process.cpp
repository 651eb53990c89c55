// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/in_process.h"

#include <algorithm>
#include <stdexcept>

#include "bench/repeat.h"

namespace ddict::bench {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string_view InProcess::key(std::uint64_t pair) const {
    return text_of(workload_.key(pair));
}

void InProcess::prepare(const Phase& phase) {
    value_ = Workload::value_letters(phase.value_bytes);
    if (phase.task == Task::fill) return;
    const auto value_bytes = static_cast<std::size_t>(phase.value_bytes);
    const std::size_t all_bytes = static_cast<std::size_t>(workload_.pairs()) * value_bytes;
    if (phase.task == Task::copy && memory_.size() != all_bytes) {
        memory_.resize(all_bytes);
        for (std::uint64_t pair = 0; pair < workload_.pairs(); ++pair) {
            Workload::stamp(value_, pair);
            std::memcpy(memory_.data() + pair * value_bytes, value_.data(), value_bytes);
        }
    }
    Tally not_counted;
    work(phase, phase.warm_up, ~phase.number, not_counted);
}

std::string InProcess::run(const Phase& phase, Tally& tally) {
    if (phase.task == Task::fill) {
        fill(phase);
        tally.operations = workload_.pairs();
    } else {
        work(phase, phase.operations, phase.number, tally);
    }
    return {};
}

void InProcess::fill(const Phase&) {
    map_.clear();
    for (std::uint64_t pair = 0; pair < workload_.pairs(); ++pair) {
        Workload::stamp(value_, pair);
        map_.emplace(key(pair), text_of(value_));
    }
}

void InProcess::work(const Phase& phase, std::uint64_t operations, std::uint64_t seed, Tally& tally) {
    Random random(seed);
    const auto value_bytes = static_cast<std::size_t>(phase.value_bytes);
    switch (phase.task) {
        case Task::get:
            return repeat(operations, phase.each, 1, tally, [&] {
                const std::uint64_t pair = workload_.choose(random);
                const auto found = map_.find(key(pair));
                if (found == map_.end()) ValueBuffer::wrong();
                buffer_.copy_from(found->second.data(), found->second.size());
                buffer_.check(pair, phase.value_bytes);
            });
        case Task::put:
            return repeat(operations, phase.each, 1, tally, [&] {
                const std::uint64_t pair = workload_.choose(random);
                Workload::stamp(value_, pair);
                map_.find(key(pair))->second.assign(text_of(value_));
            });
        case Task::copy:
            return repeat(operations, phase.each, 1, tally, [&] {
                const std::uint64_t pair = workload_.choose(random);
                buffer_.copy_from(memory_.data() + pair * value_bytes, value_bytes);
                buffer_.check(pair, phase.value_bytes);
            });
        default:
            throw std::logic_error("not a task of a process alone");
    }
}

}  // namespace ddict::bench
