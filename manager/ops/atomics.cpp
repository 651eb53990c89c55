// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// compare_and_swap fetch_add append: each reads a value and writes another in one step, since a shard does
// one thing at a time.
#include <algorithm>
#include <bit>
#include <optional>

#include <ddict/number.h>
#include <ddict/value_type.h>

#include "manager/ops/ops.h"

namespace ddict::manager::ops {
namespace {

using store::ChangeKind;

// The types of numbers, as <ddict/codec.h> gives them.
constexpr std::uint16_t type_of_i64 = 0x0113;
constexpr std::uint16_t type_of_u64 = 0x0123;
constexpr std::uint16_t type_of_f64 = 0x0133;

bool is_number(std::uint16_t type) {
    return type == type_of_i64 || type == type_of_u64 || type == type_of_f64;
}

template <class N>
std::optional<std::uint64_t> bits_as(Bytes value, std::uint16_t type) {
    const std::optional<N> number = ddict::detail::number_as<N>(value, type);
    return number ? std::optional(std::bit_cast<std::uint64_t>(*number)) : std::nullopt;
}

/// A value as a number of the type that is added: nothing of it may be lost, and a float is no integer.
std::optional<std::uint64_t> bits_in(Bytes value, std::uint16_t stored, std::uint16_t type) {
    if (type == type_of_f64) return bits_as<double>(value, stored);
    if ((stored & 0xf0) == (type_of_f64 & 0xf0)) return std::nullopt;
    return type == type_of_i64 ? bits_as<std::int64_t>(value, stored) : bits_as<std::uint64_t>(value, stored);
}

/// What changes a value leaves the pair its time to live, unless the call has another.
void keep_end(store::Change& change, const shm::Block* before) {
    if (change.pair.until == 0 && before != nullptr) change.pair.until = before->until();
}

/// Integers wrap around, signed or not.
std::uint64_t sum_of(std::uint16_t type, std::uint64_t a, std::uint64_t b) {
    if (type != type_of_f64) return a + b;
    return std::bit_cast<std::uint64_t>(std::bit_cast<double>(a) + std::bit_cast<double>(b));
}

}  // namespace

void compare_and_swap(ShardParts& shard, const Call& call) {
    if (call.payload_token != 0) return shard.replies.receive_operand(call);
    const wire::RequestHeader& header = call.header;
    const shm::Block* block = shard.store.pool().find(call.key, call.hash, call.header.checkpoint);
    const Bytes expected = call.value.first(header.argument);
    const bool as_expected = call.has(wire::swap_if_absent)
                                 ? block == nullptr
                                 : block != nullptr && has_value(*block, header.value_type, expected);
    if (!as_expected) return shard.replies.reply(call, 0);
    store::Change change = change_of(call, call.has(wire::swap_erases) ? ChangeKind::erase : ChangeKind::put);
    change.pair.value = call.value.subspan(expected.size());
    if (change.kind == ChangeKind::put) keep_end(change, block);
    change.argument = 1;
    commit(shard, call, change);
}

void fetch_add(ShardParts& shard, const Call& call) {
    const wire::RequestHeader& header = call.header;
    if (!is_number(header.value_type)) return shard.replies.refuse_type(call, header.value_type, 0);
    const shm::Block* block = shard.store.pool().find(call.key, call.hash, call.header.checkpoint);
    if (block == nullptr && call.value.empty()) return shard.replies.refuse(call, Errc::not_found);
    const std::uint16_t type = header.value_type;
    const std::optional<std::uint64_t> before = block != nullptr
                                                    ? bits_in(block->value(), block->value_type(), type)
                                                    : bits_in(call.value, type, type);
    if (!before) return shard.replies.refuse_type(call, block->value_type(), block->value_bytes());
    const std::uint64_t after = sum_of(type, *before, header.argument);
    store::Change change = change_of(call, ChangeKind::put);
    change.pair.value = std::as_bytes(std::span(&after, 1));
    change.argument = *before;
    keep_end(change, block);
    commit(shard, call, change);
}

/// Costs a copy of the whole value: a pair that is visible does not change.
void append(ShardParts& shard, const Call& call) {
    if (call.payload_token != 0) return shard.replies.receive_operand(call);
    const std::uint16_t type = call.header.value_type;
    if (!can_be_appended_to(type)) return shard.replies.refuse_type(call, type, 0);
    const shm::Block* old = shard.store.pool().find(call.key, call.hash, call.header.checkpoint);
    store::Change change = change_of(call, ChangeKind::put);
    if (old == nullptr) {
        change.pair.value = call.value;
        change.argument = call.value.size();
        commit(shard, call, change);
        return;
    }
    if (old->value_type() != type)
        return shard.replies.refuse_type(call, old->value_type(), old->value_bytes());
    const std::uint64_t bytes = old->value_bytes() + call.value.size();
    shard.store.pin(*old);  // it must not be moved to make space
    keep_end(change, old);
    const Result<shm::Block*> block = shard.store.reserve(change.pair, bytes);
    shard.store.unpin(*old);
    if (!block) return shard.replies.refuse(call, block.error());
    const Bytes before = old->value();
    const auto end = std::copy(before.begin(), before.end(), (*block)->value().begin());
    std::copy(call.value.begin(), call.value.end(), end);
    change.reserved = *block;
    change.argument = bytes;
    commit(shard, call, change);
}

}  // namespace ddict::manager::ops
