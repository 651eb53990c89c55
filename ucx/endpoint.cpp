// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/endpoint.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/assert.h"

namespace ddict::ucx {
namespace {

bool may_follow(EndpointState from, EndpointState to) noexcept {
    switch (to) {
        case EndpointState::connecting:
            return false;
        case EndpointState::open:
            return from == EndpointState::connecting;
        case EndpointState::failed:
            return from == EndpointState::connecting || from == EndpointState::open ||
                   from == EndpointState::closing;
        case EndpointState::closing:
            return from == EndpointState::connecting || from == EndpointState::open;
        case EndpointState::closed:
            return from == EndpointState::failed || from == EndpointState::closing;
    }
    return false;
}

}  // namespace

const char* name(EndpointState state) noexcept {
    constexpr const char* names[] = {"connecting", "open", "failed", "closing", "closed"};
    return names[static_cast<std::size_t>(state)];
}

void Endpoint::set_state(EndpointState next) {
    static const bool traced = std::getenv("DDICT_TRACE_CONNECTIONS") != nullptr;
    DDICT_ASSERT(may_follow(state_, next), "an endpoint cannot change its state like this");
    if (traced) {
        std::fprintf(stderr, "ddict: peer %llx: %s -> %s%s, %u under way\n",
                     static_cast<unsigned long long>(id_), name(state_), name(next),
                     error != UCS_OK ? ", UCX reports an error" : "", transfer_count_);
    }
    state_ = next;
}

void Endpoint::link(Transfer* transfer) noexcept {
    transfer->endpoint = this;
    transfer->previous = nullptr;
    transfer->next = transfers_;
    if (transfers_ != nullptr) transfers_->previous = transfer;
    transfers_ = transfer;
    ++transfer_count_;
}

void Endpoint::unlink(Transfer* transfer) noexcept {
    if (transfer->previous != nullptr) {
        transfer->previous->next = transfer->next;
    } else {
        transfers_ = transfer->next;
    }
    if (transfer->next != nullptr) transfer->next->previous = transfer->previous;
    transfer->endpoint = nullptr;
    --transfer_count_;
}

Endpoint& EndpointTable::add(void* worker) {
    auto endpoint = std::make_unique<Endpoint>(no_peer, worker);
    if (free_.empty()) {
        if (free_.capacity() <= slots_.size()) free_.reserve(2 * slots_.size() + 8);
        slots_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    endpoint->set_id((PeerId{++slot.generation} << 32) | (index + 1));
    slot.endpoint = std::move(endpoint);
    return *slot.endpoint;
}

std::unique_ptr<Endpoint> EndpointTable::remove(PeerId id) {
    DDICT_ASSERT(find(id) != nullptr, "no such endpoint");
    const auto index = static_cast<std::uint32_t>(id) - 1;
    free_.push_back(index);
    return std::exchange(slots_[index].endpoint, nullptr);
}

}  // namespace ddict::ucx
