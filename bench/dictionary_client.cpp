// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/dictionary_client.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "bench/repeat.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// A question to every manager, so that all connections are there before anything is timed.
void touch_managers(const Dictionary& dictionary) {
    const std::uint32_t managers = dictionary.manager_count();
    std::vector<bool> touched(managers, false);
    std::uint32_t left = managers;
    for (std::uint64_t i = 0; left > 0; ++i) {
        const std::string key = "a key that is not there " + std::to_string(i);
        const std::uint32_t manager = dictionary.which_manager(key);
        if (touched[manager]) continue;
        (void)dictionary.erase(key);
        touched[manager] = true;
        --left;
    }
}

std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_shared_out(Task task) {
    return task == Task::fill || task == Task::fill_broadcast || task == Task::erase;
}

}  // namespace

DictionaryClient::DictionaryClient(std::string handle, const Workload& workload, ClientPlace place)
    : workload_(workload), place_(place), handle_(std::move(handle)) {}

void DictionaryClient::prepare(const Phase& phase) {
    if (!dictionary_) dictionary_.emplace(Dictionary::attach(handle_));
    if (phase.by_message && !by_message_) {
        by_message_.emplace(Dictionary::attach(handle_, AttachOptions{.local_reads = false}));
        touch_managers(*by_message_);
    }
    if (phase.task == Task::touch) touch_managers(*dictionary_);
    make_buffers(phase);
    if (phase.task == Task::touch || is_shared_out(phase.task)) return;
    Tally not_counted;
    work(phase, phase.warm_up, ~phase.number, not_counted);
}

void DictionaryClient::make_buffers(const Phase& phase) {
    value_ = Workload::value_letters(phase.value_bytes);
    const bool many = phase.group > 1 || phase.task == Task::batch_get || phase.task == Task::batch_put ||
                      phase.task == Task::async_get || phase.task == Task::async_put;
    const std::size_t items = many ? phase.group : 0;
    values_.assign(items, value_);
    pairs_.assign(items, 0);
    keys_.assign(items, {});
    items_.assign(items, {});
    if (phase.task == Task::batch_get) batch_buffer_.expect(items, phase.value_bytes);
}

std::string DictionaryClient::run(const Phase& phase, Tally& tally) {
    if (phase.task == Task::touch) return {};
    if (is_shared_out(phase.task)) {
        work_shared_out(phase, tally);
    } else {
        work(phase, phase.operations, phase.number, tally);
    }
    return {};
}

void DictionaryClient::work_shared_out(const Phase& phase, Tally& tally) {
    const std::uint64_t pairs =
        phase.task == Task::fill_broadcast ? workload_.broadcast_pairs() : workload_.pairs();
    for (std::uint64_t pair = place_.member; pair < pairs; pair += place_.members) {
        if (phase.task == Task::fill) put(pair);
        if (phase.task == Task::fill_broadcast) bput(pair);
        if (phase.task == Task::erase) {
            (void)dictionary_->try_erase(KeyBytes(workload_.key(pair))).value();
            if (pair < workload_.broadcast_pairs())
                (void)dictionary_->try_berase(KeyBytes(workload_.broadcast_key(pair))).value();
        }
        ++tally.operations;
    }
}

void DictionaryClient::work(const Phase& phase, std::uint64_t operations, std::uint64_t seed, Tally& tally) {
    Random random(seed * place_.members + place_.member);
    const Dictionary& from = dictionary(phase);
    const std::uint64_t batches = (operations + phase.group - 1) / phase.group;
    switch (phase.task) {
        case Task::get:
            return repeat(operations, phase.each, 1, tally,
                          [&] { get(from, workload_.choose(random), phase); });
        case Task::put:
            return repeat(operations, phase.each, 1, tally, [&] { put(workload_.choose(random)); });
        case Task::mixed:
            return repeat(operations, phase.each, 1, tally, [&] {
                const std::uint64_t pair = workload_.choose(random);
                if (random.below(100) < phase.put_percent) return put(pair);
                get(from, pair, phase);
            });
        case Task::batch_get:
            return repeat(batches, phase.each, phase.group, tally, [&] { batch_get(from, phase, random); });
        case Task::batch_put:
            return repeat(batches, phase.each, phase.group, tally, [&] { batch_put(phase, random); });
        case Task::async_get:
            return async_get(phase, operations, random, tally);
        case Task::async_put:
            return async_put(phase, operations, random, tally);
        case Task::bget:
            return repeat(operations, phase.each, 1, tally,
                          [&] { bget(random.below(workload_.broadcast_pairs()), phase); });
        case Task::bput:
            return repeat(operations, phase.each, 1, tally,
                          [&] { bput(random.below(workload_.broadcast_pairs())); });
        default:
            throw std::logic_error("not a task of a client");
    }
}

void DictionaryClient::get(const Dictionary& from, std::uint64_t pair, const Phase& phase) {
    from.get_bytes(workload_.key(pair), buffer_).value();
    buffer_.check(pair, phase.value_bytes);
}

void DictionaryClient::put(std::uint64_t pair) {
    Workload::stamp(value_, pair);
    dictionary_->put_bytes(workload_.key(pair), value_, type_text).value();
}

void DictionaryClient::batch_get(const Dictionary& from, const Phase& phase, Random& random) {
    for (std::size_t i = 0; i < phase.group; ++i) {
        pairs_[i] = workload_.choose(random);
        keys_[i] = workload_.key(pairs_[i]);
    }
    from.multi_get_bytes(keys_, batch_buffer_).value();
    for (std::size_t i = 0; i < phase.group; ++i)
        batch_buffer_.check(i, pairs_[i]);
}

void DictionaryClient::batch_put(const Phase& phase, Random& random) {
    for (std::size_t i = 0; i < phase.group; ++i) {
        const std::uint64_t pair = workload_.choose(random);
        Workload::stamp(values_[i], pair);
        items_[i] = {.key = workload_.key(pair), .value = values_[i], .value_type = type_text};
    }
    dictionary_->multi_put_bytes(items_, {}).value();
}

void DictionaryClient::bget(std::uint64_t pair, const Phase& phase) {
    dictionary_->broadcast_get_bytes(workload_.broadcast_key(pair), buffer_).value();
    buffer_.check(pair, phase.value_bytes);
}

void DictionaryClient::bput(std::uint64_t pair) {
    Workload::stamp(value_, pair);
    dictionary_->broadcast_put_bytes(workload_.broadcast_key(pair), value_, type_text).value();
}

/// The oldest is waited for before the next begins; its latency runs from its beginning to that.
void DictionaryClient::async_get(const Phase& phase, std::uint64_t operations, Random& random, Tally& tally) {
    const Dictionary& from = dictionary(phase);
    std::vector<Pending<std::string>> under_way(phase.group);
    std::vector<Clock::time_point> begun(phase.group);
    const auto finish = [&](std::size_t slot) {
        if (!under_way[slot].valid()) return;
        const std::string value = under_way[slot].wait();
        if (value.size() != phase.value_bytes ||
            !Workload::stamped(std::as_bytes(std::span(value)), pairs_[slot]))
            ValueBuffer::wrong();
        if (phase.each) tally.latencies.add(nanoseconds_between(begun[slot], Clock::now()));
    };
    for (std::uint64_t i = 0, slot = 0; i < operations; ++i) {
        finish(slot);
        pairs_[slot] = workload_.choose(random);
        if (phase.each) begun[slot] = Clock::now();
        under_way[slot] = from.get_async(KeyBytes(workload_.key(pairs_[slot])));
        if (++slot == phase.group) slot = 0;
    }
    for (std::size_t slot = 0; slot < phase.group; ++slot)
        finish(slot);
    tally.operations += operations;
}

void DictionaryClient::async_put(const Phase& phase, std::uint64_t operations, Random& random, Tally& tally) {
    std::vector<Pending<void>> under_way(phase.group);
    std::vector<Clock::time_point> begun(phase.group);
    const auto finish = [&](std::size_t slot) {
        if (!under_way[slot].valid()) return;
        under_way[slot].wait();
        if (phase.each) tally.latencies.add(nanoseconds_between(begun[slot], Clock::now()));
    };
    for (std::uint64_t i = 0, slot = 0; i < operations; ++i) {
        finish(slot);
        const std::uint64_t pair = workload_.choose(random);
        Workload::stamp(values_[slot], pair);
        if (phase.each) begun[slot] = Clock::now();
        under_way[slot] = dictionary_->put_async(KeyBytes(workload_.key(pair)), as_text(values_[slot]));
        if (++slot == phase.group) slot = 0;
    }
    for (std::size_t slot = 0; slot < phase.group; ++slot)
        finish(slot);
    tally.operations += operations;
}

}  // namespace ddict::bench
