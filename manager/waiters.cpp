// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/waiters.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"

namespace ddict::manager {

bool has_value(const shm::Block& block, std::uint16_t value_type, Bytes value) noexcept {
    const bool types_agree = block.value_type() == value_type || block.value_type() == 0 || value_type == 0;
    return types_agree && block.value_bytes() == value.size() &&
           (value.empty() || std::memcmp(block.value().data(), value.data(), value.size()) == 0);
}

void Waiters::add(const Call& call) {
    const shm::Block* block = store_.pool().find(call.key, call.hash);
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

/// Answers if the pair is what is waited for. False if it is not.
bool Waiters::ends(const Call& call, const shm::Block& block, Bytes expected) {
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
    const bool tells = call.has(wire::wait_for_value);
    replies_.reply_info(call, tells ? store_.pool().find(key, hash) : nullptr, Errc::timeout);
}

void Waiters::wake(KeyBytes key, std::uint64_t hash) {
    const shm::Block* block = nullptr;
    requests_.for_each_of_key(key, [&](const WaitingRequests::Request& request) {
        if (block == nullptr) block = store_.pool().find(key, hash);
        return block != nullptr && ends(replies_.call_of(request.header), *block, request.value.bytes());
    });
}

bool Waiters::cancel(std::uint64_t session, std::uint64_t request) {
    const std::optional<wire::RequestHeader> header = requests_.take(session, request);
    if (!header) return false;
    replies_.refuse(replies_.call_of(*header), Errc::timeout);
    return true;
}

Time Waiters::tick(Time now) {
    return requests_.tick(now, [this](const wire::RequestHeader& header, KeyBytes key) {
        time_out(replies_.call_of(header), key, hash_of(key));
    });
}

}  // namespace ddict::manager
