// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One connection: its state, and what is under way on it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <ucp/api/ucp.h>

#include "rpc/transport.h"
#include "ucx/send_pool.h"

namespace ddict::ucx {

/// connecting: made, UCX has not reached the peer, or not been told to; messages are taken already.
/// open: the peer has been reached.
/// failed: the peer is lost; outstanding operations are being ended. Then on_peer_lost, closed.
/// closing: the owner has closed it; what is outstanding is given some time. Then closed.
/// closed: nothing more comes. The object lives on until UCX has let go of it.
enum class EndpointState : std::uint8_t { connecting, open, failed, closing, closed };

const char* name(EndpointState state) noexcept;

/// A message that UCX is not given yet. The payload is the caller's or the transfer's.
struct HeldSend {
    Transfer* transfer;
    Bytes header;
    Bytes payload;
    const ucp_request_param_t* param;
};

/// Invariant: every Transfer that refers to this endpoint is in its list. Immovable: UCX keeps `this`.
class Endpoint {
  public:
    using Clock = std::chrono::steady_clock;

    Endpoint(PeerId id, void* worker) : owner(worker), id_(id) {}
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    PeerId id() const noexcept { return id_; }
    void set_id(PeerId id) noexcept { id_ = id; }
    EndpointState state() const noexcept { return state_; }
    bool usable() const noexcept {
        return state_ == EndpointState::connecting || state_ == EndpointState::open;
    }
    /// Logged to stderr when DDICT_TRACE_CONNECTIONS is set.
    void set_state(EndpointState next);

    void link(Transfer* transfer) noexcept;
    void unlink(Transfer* transfer) noexcept;
    Transfer* first_transfer() const noexcept { return transfers_; }
    std::uint32_t transfers() const noexcept { return transfer_count_; }
    /// So that one more message can be held without memory.
    void reserve_held() {
        if (held.size() == held.capacity()) held.reserve(2 * held.size() + 8);
    }
    /// Whether UCX still holds a pointer to this object.
    bool held_by_ucx() const noexcept { return flushes != 0 || close_request != nullptr; }

    void* const owner;                // the Worker::Impl
    std::vector<std::byte> address;   // of the peer, until UCX has been told to connect to it
    ucp_ep_h handle = nullptr;        // null before that, and once it has been closed in UCX
    ucs_status_t error = UCS_OK;      // reported by UCX
    bool reached = false;             // a flush has come through: both sides have the connection
    std::vector<HeldSend> held;       // until then
    unsigned flushes = 0;             // outstanding flush requests
    void* close_request = nullptr;    // outstanding
    bool attended = false;            // is in the worker's list of endpoints that need attention
    Clock::time_point deadline;       // of failed and closing
    mutable std::string description;  // cached

  private:
    PeerId id_;
    EndpointState state_ = EndpointState::connecting;
    Transfer* transfers_ = nullptr;
    std::uint32_t transfer_count_ = 0;
};

/// The endpoints by PeerId. A number is a slot and its generation, so it is not used again.
class EndpointTable {
  public:
    /// std::bad_alloc if memory is missing; nothing was added then.
    Endpoint& add(void* worker);
    /// Null if there is none (any more).
    Endpoint* find(PeerId id) const noexcept {
        const auto number = static_cast<std::uint32_t>(id);
        if (number == 0 || number > slots_.size()) return nullptr;
        Endpoint* endpoint = slots_[number - 1].endpoint.get();
        return endpoint != nullptr && endpoint->id() == id ? endpoint : nullptr;
    }
    std::unique_ptr<Endpoint> remove(PeerId id);

    template <class Function>
    void for_each(Function&& function) {
        for (Slot& slot : slots_) {
            if (slot.endpoint != nullptr) function(*slot.endpoint);
        }
    }
    std::size_t size() const noexcept { return slots_.size() - free_.size(); }
    bool empty() const noexcept { return size() == 0; }

  private:
    struct Slot {
        std::unique_ptr<Endpoint> endpoint;
        std::uint32_t generation = 0;
    };
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;  // its capacity is that of slots_: remove() needs no memory
};

}  // namespace ddict::ucx
