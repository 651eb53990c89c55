// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// batch_get batch_put batch_erase. A batch is read and hashed as a whole first: if its packing is damaged,
// nothing of it is executed. Then it is executed a group at a time: while the caches fetch the places of the
// group's keys, and then their blocks, nobody waits for any one of them.
#include <algorithm>

#include "core/batch.h"
#include "core/hash.h"
#include "manager/shard.h"

namespace ddict::manager {
namespace {

using wire::Verb;

constexpr std::size_t group_items = 64;

}  // namespace

/// Fills items_. False if the packing is damaged.
bool Shard::read_batch(const Call& call) {
    items_.clear();
    wire::ItemReader in(call.value);
    const auto count = static_cast<std::size_t>(call.header.argument);
    wire::PackedPair pair;
    if (call.header.verb == Verb::batch_put) {
        while (items_.size() < count && in.pair(pair) && !pair.ask_alone)
            items_.push_back({hash_of(pair.key), pair.key, pair.value, pair.value_type});
    } else {
        while (items_.size() < count && in.key(pair.key))
            items_.push_back({hash_of(pair.key), pair.key, {}, 0});
    }
    return items_.size() == count && in.at_end();
}

void Shard::on_batch(const Call& call) {
    if (call.body_token != 0) return receive_operand(call);
    if (!read_batch(call)) return reject(0);
    // Whether the statuses can be answered has to be known before anything is changed.
    const bool answers_body = items_.size() * sizeof(std::uint16_t) > limits::inline_value_bytes_max;
    if (answers_body && !has_room_for_body()) return refuse(call, Errc::busy);
    Buffer buffer = memory_.take_page();
    if (!buffer) return refuse(call, Errc::busy);
    const shm::Pool::OneStep one_step(pool_);
    wire::ItemWriter results(
        buffer.bytes().subspan(sizeof(wire::ReplyHeader), std::size_t{limits::batch_bytes_max}));
    for (std::size_t begin = 0; begin < items_.size(); begin += group_items) {
        const std::size_t end = std::min(begin + group_items, items_.size());
        for (std::size_t i = begin; i < end; ++i)
            pool_.prefetch(items_[i].hash);
        for (std::size_t i = begin; i < end; ++i)
            pool_.prefetch_pair(items_[i].hash);
        switch (call.header.verb) {
            case Verb::batch_get:
                get_items(begin, end, results);
                break;
            case Verb::batch_put:
                put_items(begin, end, call.header.checkpoint, results);
                break;
            default:
                erase_items(begin, end, results);
        }
    }
    const std::size_t bytes = results.written().size();
    if (call.header.verb != Verb::batch_get) remember_statuses(call, results.written());
    reply_page(call, std::move(buffer), bytes, 0);
}

/// There is always room for the results that are to come, if their values are to be asked for alone.
void Shard::get_items(std::size_t begin, std::size_t end, wire::ItemWriter& results) {
    for (std::size_t i = begin; i < end; ++i) {
        const shm::Block* block = pool_.find(items_[i].key, items_[i].hash);
        if (block == nullptr) {
            results.result(static_cast<std::uint16_t>(Errc::not_found));
            continue;
        }
        ++counters_.hits;
        const std::size_t to_come = (items_.size() - i) * wire::item_head_bytes;
        if (block->value_bytes() <= results.left() - to_come) {
            results.result(0, block->value_type(), block->value());
        } else {
            results.result(wire::status_ask_alone, block->value_type());
        }
    }
    counters_.gets += end - begin;
}

void Shard::put_items(std::size_t begin, std::size_t end, std::uint64_t checkpoint,
                      wire::ItemWriter& results) {
    for (std::size_t i = begin; i < end; ++i) {
        const Item& item = items_[i];
        Errc code = refusal_of_change(Verb::batch_put, item.key);
        if (code == Errc{}) {
            const Result<void> stored = store(item.key, item.hash, item.value_type, checkpoint, item.value);
            if (stored) {
                ++counters_.puts;
                written(item.key, item.hash);
            } else {
                code = stored.error().code;
                ++counters_.refused_puts;
            }
        }
        results.status(static_cast<std::uint16_t>(code));
    }
}

void Shard::erase_items(std::size_t begin, std::size_t end, wire::ItemWriter& results) {
    for (std::size_t i = begin; i < end; ++i) {
        Errc code = refusal_of_change(Verb::batch_erase, items_[i].key);
        if (code == Errc{} && !pool_.erase(items_[i].key, items_[i].hash)) code = Errc::not_found;
        results.status(static_cast<std::uint16_t>(code));
    }
    counters_.erases += end - begin;
}

}  // namespace ddict::manager
