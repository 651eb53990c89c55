// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// compare_and_swap fetch_add append: each reads a value and writes another in one step, since a shard does
// one thing at a time.
#include <algorithm>
#include <bit>
#include <cstring>

#include <ddict/value_type.h>

#include "manager/shard.h"

namespace ddict::manager {
namespace {

// The types of numbers, as <ddict/codec.h> gives them.
constexpr std::uint16_t type_of_i64 = 0x0113;
constexpr std::uint16_t type_of_u64 = 0x0123;
constexpr std::uint16_t type_of_f64 = 0x0133;

bool is_number(std::uint16_t type) {
    return type == type_of_i64 || type == type_of_u64 || type == type_of_f64;
}

std::uint64_t bits_in(Bytes value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, value.data(), sizeof bits);
    return bits;
}

/// Integers wrap around, signed or not.
std::uint64_t sum_of(std::uint16_t type, std::uint64_t a, std::uint64_t b) {
    if (type != type_of_f64) return a + b;
    return std::bit_cast<std::uint64_t>(std::bit_cast<double>(a) + std::bit_cast<double>(b));
}

}  // namespace

void Shard::on_compare_and_swap(const Call& call) {
    if (call.body_token != 0) return receive_operand(call);
    const wire::RequestHeader& header = call.header;
    const shm::Block* block = pool_.find(call.key, call.hash);
    const Bytes expected = call.value.first(header.argument);
    const bool as_expected = header.flags == wire::swap_if_absent
                                 ? block == nullptr
                                 : block != nullptr && has_value(*block, header.value_type, expected);
    if (!as_expected) return reply(call, 0);
    if (header.flags == wire::swap_erases) {
        pool_.erase(call.key, call.hash);
        return reply(call, 1);
    }
    const Bytes desired = call.value.subspan(expected.size());
    const Result<void> stored = store(call, desired);
    if (!stored) return refuse(call, stored.error());
    reply(call, 1);
    written(call.key, call.hash);
}

void Shard::on_fetch_add(const Call& call) {
    const wire::RequestHeader& header = call.header;
    if (!is_number(header.value_type)) return refuse_type(call, header.value_type, 0);
    const shm::Block* block = pool_.find(call.key, call.hash);
    if (block == nullptr && call.value.empty()) return refuse(call, Errc::not_found);
    if (block != nullptr && (block->value_type() != header.value_type || block->value_bytes() != 8))
        return refuse_type(call, block->value_type(), block->value_bytes());
    const std::uint64_t before = bits_in(block != nullptr ? block->value() : call.value);
    const std::uint64_t after = sum_of(header.value_type, before, header.argument);
    const Result<void> stored = store(call, std::as_bytes(std::span(&after, 1)));
    if (!stored) return refuse(call, stored.error());
    reply(call, before);
    written(call.key, call.hash);
}

/// Costs a copy of the whole value: a pair that is visible does not change.
void Shard::on_append(const Call& call) {
    if (call.body_token != 0) return receive_operand(call);
    const wire::RequestHeader& header = call.header;
    if (!can_be_appended_to(header.value_type)) return refuse_type(call, header.value_type, 0);
    const shm::Block* old = pool_.find(call.key, call.hash);
    if (old == nullptr) {
        const Result<void> stored = store(call, call.value);
        if (!stored) return refuse(call, stored.error());
        reply(call, call.value.size());
        return written(call.key, call.hash);
    }
    if (old->value_type() != header.value_type)
        return refuse_type(call, old->value_type(), old->value_bytes());
    const std::uint64_t bytes = old->value_bytes() + call.value.size();
    pool_.pin(old);  // it must not be moved to make room
    const Result<shm::Block*> block = reserve(call, bytes);
    pool_.unpin(old);
    if (!block) return refuse(call, block.error());
    const Bytes before = old->value();
    const auto end = std::copy(before.begin(), before.end(), (*block)->value().begin());
    std::copy(call.value.begin(), call.value.end(), end);
    if (const Result<void> stored = pool_.publish(*block); !stored) return refuse(call, stored.error());
    reply(call, bytes);
    written(call.key, call.hash);
}

}  // namespace ddict::manager
