// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/waiters.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"

namespace ddict::manager {

namespace {

/// In any case: what goes unnoticed here costs so long at the most.
constexpr std::chrono::microseconds told_every{2'000'000};

/// Under which all wait that are held.
KeyBytes key_of_held() {
    return bytes_of("held");
}

bool came_too_early(const wire::RequestHeader& header) {
    return header.verb != wire::Verb::wait_for;
}

}  // namespace

bool has_value(const shm::Block& block, std::uint16_t value_type, Bytes value) noexcept {
    const bool types_agree = block.value_type() == value_type || block.value_type() == 0 || value_type == 0;
    return types_agree && block.value_bytes() == value.size() &&
           (value.empty() || std::memcmp(block.value().data(), value.data(), value.size()) == 0);
}

void Waiters::add(const Call& call) {
    const shm::Block* block = store_.pool().find(call.key, call.hash, call.header.checkpoint);
    if (block != nullptr && ends(call, *block, call.value)) return;
    if (call.header.argument == 0) return time_out(call, call.key, call.hash);
    if (requests_.full()) return replies_.refuse(call, Errc::busy);
    PrivateMemory::Buffer value;
    if (!call.value.empty()) {
        // It may stay for long, and must leave memory for what comes and goes.
        value = replies_.memory().take(call.value.size(), limits::private_bytes_max / 2);
        if (!value) return replies_.refuse(call, Errc::busy);
        std::copy(call.value.begin(), call.value.end(), value.bytes().begin());
    }
    requests_.add(call.key, {.header = call.header, .value = std::move(value)});
}

/// At first it is told why, and comes again; then it is told nothing until that is worth it.
void Waiters::keep(WaitingRequests& requests, const Call& call, KeyBytes key, const wire::AskAgain& why) {
    if (!call.has(wire::sent_again)) return replies_.ask_again(call, why);
    if (requests.full()) return replies_.refuse(call, Errc::busy);
    replies_.discard_payload(call.payload_token);
    WaitingRequests::Request request{.header = call.header, .value = {}};
    request.header.argument = told_every.count();
    requests.add(key, std::move(request));
}

void Waiters::await_key(const Call& call) {
    keep(requests_, call, call.key, {.what = wire::AskAgain::Awaited::key, .count = 1});
}

void Waiters::await_checkpoint(const Call& call) {
    if (held_.empty() || call.header.checkpoint < lowest_held_) lowest_held_ = call.header.checkpoint;
    keep(held_, call, key_of_held(), store_.what_is_awaited());
}

void Waiters::wake_held() {
    const std::uint32_t newest = store_.newest_permitted();
    if (newest < lowest_held_) return;
    lowest_held_ = limits::newest_checkpoint;
    held_.for_each_of_key(key_of_held(), [&](const WaitingRequests::Request& request) {
        const std::uint32_t checkpoint = request.header.checkpoint;
        if (checkpoint > newest) {
            lowest_held_ = std::min(lowest_held_, checkpoint);
            return false;
        }
        replies_.ask_again(replies_.call_of(request.header), {});  // it waits for nothing any more
        return true;
    });
}

/// Answers if the pair is what is waited for. False if it is not.
bool Waiters::ends(const Call& call, const shm::Block& block, Bytes expected) {
    if (came_too_early(call.header)) {
        replies_.ask_again(call, {});
        return true;
    }
    if (!call.has(wire::wait_for_value)) {
        replies_.reply_pair(call, block);
        return true;
    }
    if (!has_value(block, call.header.value_type, expected)) return false;
    replies_.reply(call, block.checkpoint());
    return true;
}

/// Who waits for a value learns of what type the one is that is there: it may never be the expected one.
void Waiters::time_out(const Call& call, KeyBytes key, std::uint64_t hash) {
    if (came_too_early(call.header))
        return replies_.ask_again(call, {.what = wire::AskAgain::Awaited::key, .count = 1});
    const bool tells = call.has(wire::wait_for_value);
    replies_.reply_info(call, tells ? store_.pool().find(key, hash, call.header.checkpoint) : nullptr,
                        Errc::timeout);
}

void Waiters::wake(KeyBytes key, std::uint64_t hash) {
    const shm::Block* block = nullptr;
    std::uint32_t at = 0;
    requests_.for_each_of_key(key, [&](const WaitingRequests::Request& request) {
        if (block == nullptr || at != request.header.checkpoint) {
            at = request.header.checkpoint;
            block = store_.pool().find(key, hash, at);
        }
        return block != nullptr && ends(replies_.call_of(request.header), *block, request.value.bytes());
    });
}

/// Of a checkpoint that is kept no more nothing will come.
void Waiters::end_retired() {
    const std::uint32_t oldest = store_.checkpoints().oldest_open();
    if (oldest == oldest_) return;
    oldest_ = oldest;
    requests_.end_if([&](const wire::RequestHeader& header) {
        if (header.checkpoint >= oldest) return false;
        replies_.refuse(replies_.call_of(header),
                        Error(Errc::checkpoint_retired).set_bytes(header.checkpoint, oldest));
        return true;
    });
}

bool Waiters::cancel(std::uint64_t session, std::uint64_t request) {
    const std::optional<wire::RequestHeader> header = requests_.take(session, request);
    if (!header) return false;
    replies_.refuse(replies_.call_of(*header), Errc::timeout);
    return true;
}

Time Waiters::tick(Time now) {
    end_retired();
    look_at_held();
    const Time next_held = held_.tick(now, [this](const wire::RequestHeader& header, KeyBytes) {
        replies_.ask_again(replies_.call_of(header), store_.what_is_awaited());
    });
    return std::min(next_held, requests_.tick(now, [this](const wire::RequestHeader& header, KeyBytes key) {
        time_out(replies_.call_of(header), key, hash_of(key));
    }));
}

}  // namespace ddict::manager
