// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The connections of a worker: how they come about, and how they end.
//
// The error mode is PEER: UCX itself reports errors, and closing by force cancels everything.
//
// Nothing is sent before the connection stands on both sides. UCX takes messages earlier, but
// then asks the peer for the id of its endpoint, and the peer's answer waits inside TCP for the connection
// back to us; if we die before that is up, UCX 1.13 aborts the peer by an assertion ("got REP message"). A
// message on a standing connection needs no id, and the answer to a later question (the first payload) need
// not wait.
//
// UCX is not told to connect while it delivers a message. Where the peer has connected over TCP already, the
// new endpoint takes over that socket together with what has been read from it behind the message; the loop
// that is still parsing it then gives back a buffer that has gone: SIGSEGV (seen with UCX 1.13; 1.23 has the
// same code).
#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.h"
#include "os/error.h"
#include "ucx/status.h"
#include "ucx/worker_impl.h"

namespace ddict::ucx {
namespace {

using std::chrono::milliseconds;

// How long what is outstanding may take when the owner has closed the connection.
constexpr milliseconds closing_grace{300};
// How long UCX may take to end what is outstanding on a connection that was closed by force.
constexpr milliseconds failing_grace{200};
// Sockets to the peer and back from it, and one that is being made anew.
constexpr unsigned descriptors_of_connection = 3;

}  // namespace

Result<PeerId> Worker::Impl::connect(Bytes envelope) {
    try {
        return connect_now(envelope);
    } catch (const std::bad_alloc&) {
        return Error(Errc::system, "this process has no memory for another connection");
    }
}

/// All that memory may be missing for comes first: what happens to the endpoint later happens inside UCX.
Endpoint& Worker::Impl::add_endpoint(Bytes address) {
    const std::size_t endpoints = endpoints_.size() + 1;
    const auto reserve = [](auto& list, std::size_t needed) {
        if (list.capacity() < needed) list.reserve(2 * needed + 8);
    };
    reserve(attention_, endpoints);
    reserve(attended_now_, endpoints);
    reserve(retired_, retired_.size() + endpoints);
    std::vector<std::byte> copy(address.begin(), address.end());
    events_.promise();  // of its loss
    try {
        Endpoint& endpoint = endpoints_.add(this);
        endpoint.address = std::move(copy);
        return endpoint;
    } catch (...) {
        events_.forget();
        throw;
    }
}

Result<PeerId> Worker::Impl::connect_now(Bytes envelope) {
    auto raw = open_address(envelope);
    if (!raw) return raw.error();
    // UCX says "Input/output error" where a socket of its is missing, and loses its listener where it cannot
    // accept the peer's.
    if (const Result<void> enough = os::need_descriptors(descriptors_of_connection, "connecting to a peer");
        !enough)
        return enough.error();
    Endpoint& endpoint = add_endpoint(*raw);
    if (listener_ != nullptr) {  // inside UCX
        need_attention(endpoint);
    } else if (const ucs_status_t status = connect_in_ucx(endpoint); status != UCS_OK) {
        endpoints_.remove(endpoint.id());
        events_.forget();
        return peer_error(status, "connecting to a peer");
    }
    return endpoint.id();
}

/// Not from inside a callback of UCX.
ucs_status_t Worker::Impl::connect_in_ucx(Endpoint& endpoint) {
    const std::vector<std::byte> of_peer = std::exchange(endpoint.address, {});
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                        UCP_EP_PARAM_FIELD_ERR_HANDLER;
    params.address = reinterpret_cast<const ucp_address_t*>(of_peer.data());
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params.err_handler.cb = &Impl::on_endpoint_error;
    params.err_handler.arg = &endpoint;
    const ucs_status_t status = ucp_ep_create(worker_.get(), &params, &endpoint.handle);
    if (status != UCS_OK) return status;
    descriptors_.begun();
    flush(endpoint);
    return UCS_OK;
}

void Worker::Impl::on_endpoint_error(void* user_data, ucp_ep_h, ucs_status_t status) noexcept {
    auto& endpoint = *static_cast<Endpoint*>(user_data);
    if (endpoint.error == UCS_OK) endpoint.error = status;
    static_cast<Impl*>(endpoint.owner)->need_attention(endpoint);
}

/// Shows when the peer has been reached, or when everything sent to it has left.
void Worker::Impl::flush(Endpoint& endpoint) {
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    param.cb.send = &Impl::on_flushed;
    param.user_data = &endpoint;
    ++endpoint.flushes;
    void* request = ucp_ep_flush_nbx(endpoint.handle, &param);
    if (!UCS_PTR_IS_PTR(request)) on_flushed(nullptr, UCS_PTR_STATUS(request), &endpoint);
}

void Worker::Impl::on_flushed(void* request, ucs_status_t status, void* user_data) noexcept {
    auto& endpoint = *static_cast<Endpoint*>(user_data);
    auto& impl = *static_cast<Impl*>(endpoint.owner);
    if (request != nullptr) ucp_request_free(request);
    --endpoint.flushes;
    if (status == UCS_OK) {
        endpoint.reached = true;
        if (!endpoint.held.empty()) impl.need_attention(endpoint);
    }
    if (status == UCS_OK && endpoint.state() == EndpointState::connecting) {
        endpoint.set_state(EndpointState::open);
        impl.descriptors_.opened();
        return;
    }
    if (status != UCS_OK && endpoint.error == UCS_OK) endpoint.error = status;
    if (!endpoint.usable() || status != UCS_OK) impl.need_attention(endpoint);
}

void Worker::Impl::release_held(Endpoint& endpoint) {
    const std::vector<HeldSend> held = std::exchange(endpoint.held, {});
    for (const HeldSend& send : held)
        hand_over(endpoint, send.transfer, send.header, send.payload, *send.param);
}

/// UCX has never seen these: they end at once.
void Worker::Impl::drop_held(Endpoint& endpoint) {
    const std::vector<HeldSend> held = std::exchange(endpoint.held, {});
    for (const HeldSend& send : held)
        finish(send.transfer, false);
}

void Worker::Impl::close(PeerId peer) {
    Endpoint* endpoint = endpoints_.find(peer);
    if (endpoint == nullptr || !endpoint->usable()) return;
    endpoint->set_state(EndpointState::closing);
    endpoint->deadline = Clock::now() + closing_grace;
    if (endpoint->handle != nullptr) flush(*endpoint);
    need_attention(*endpoint);
}

void Worker::Impl::close_in_ucx(Endpoint& endpoint) {
    drop_held(endpoint);
    if (endpoint.handle == nullptr) return;
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
    param.cb.send = &Impl::on_closed;
    param.user_data = &endpoint;
    param.flags = UCP_EP_CLOSE_FLAG_FORCE;
    void* request = ucp_ep_close_nbx(std::exchange(endpoint.handle, nullptr), &param);
    if (UCS_PTR_IS_PTR(request)) endpoint.close_request = request;
}

void Worker::Impl::on_closed(void* request, ucs_status_t, void* user_data) noexcept {
    auto& endpoint = *static_cast<Endpoint*>(user_data);
    ucp_request_free(request);
    endpoint.close_request = nullptr;
    static_cast<Impl*>(endpoint.owner)->need_attention(endpoint);
}

void Worker::Impl::give_up_transfers(Endpoint& endpoint) {
    for (Transfer* transfer = endpoint.first_transfer(); transfer != nullptr; transfer = transfer->next) {
        if (transfer->given_up) continue;
        transfer->given_up = true;
        ++counters_.requests_given_up;
        tell_of_end(*transfer, false);
    }
}

/// The transfers outlive the endpoint: UCX may call back for them when the worker is destroyed, or never.
void Worker::Impl::forget_transfers(Endpoint& endpoint) {
    give_up_transfers(endpoint);
    while (endpoint.first_transfer() != nullptr)
        endpoint.unlink(endpoint.first_transfer());
}

void Worker::Impl::need_attention(Endpoint& endpoint) {
    if (endpoint.state() == EndpointState::closed) {
        retired_changed_ = true;
        return;
    }
    if (endpoint.attended) return;
    endpoint.attended = true;
    attention_.push_back(&endpoint);
}

void Worker::Impl::attend(Clock::time_point now) {
    std::swap(attention_, attended_now_);
    for (Endpoint* endpoint : attended_now_) {
        endpoint->attended = false;
        if (attend_one(*endpoint, now)) {
            retire(*endpoint);
        } else if (!endpoint->usable()) {
            need_attention(*endpoint);  // until its deadline
        }
    }
    attended_now_.clear();
}

bool Worker::Impl::attend_one(Endpoint& endpoint, Clock::time_point now) {
    if (!endpoint.address.empty()) {
        const ucs_status_t status = connect_in_ucx(endpoint);
        if (status != UCS_OK) endpoint.error = status;
    }
    const bool broken = endpoint.error != UCS_OK;
    if (endpoint.usable() && broken) begin_failure(endpoint, now);
    if (endpoint.reached && !broken && !endpoint.held.empty()) {
        release_held(endpoint);
        if (endpoint.state() == EndpointState::closing) flush(endpoint);
    }
    if (endpoint.state() == EndpointState::failed) {
        const bool done = endpoint.transfers() == 0 && !endpoint.held_by_ucx();
        if (!done && now < endpoint.deadline) return false;
        give_up_transfers(endpoint);
        ++counters_.peers_lost;
        events_.push_peer_lost(endpoint.id(), endpoint.error);
        return true;
    }
    if (endpoint.state() == EndpointState::closing) {
        if (!broken && endpoint.flushes != 0 && now < endpoint.deadline) return false;
        if (endpoint.handle != nullptr) {
            close_in_ucx(endpoint);
            endpoint.deadline = now + failing_grace;
        }
        if (endpoint.transfers() != 0 && now < endpoint.deadline) return false;
        give_up_transfers(endpoint);
        events_.forget();  // who closes it is told nothing more
        return true;
    }
    return false;
}

void Worker::Impl::begin_failure(Endpoint& endpoint, Clock::time_point now) {
    endpoint.set_state(EndpointState::failed);
    endpoint.deadline = now + failing_grace;
    close_in_ucx(endpoint);
}

void Worker::Impl::retire(Endpoint& endpoint) {
    // Its last attention may have closed it in UCX, whose callbacks have asked for attention once more.
    if (endpoint.attended) std::erase(attention_, &endpoint);
    endpoint.set_state(EndpointState::closed);
    retired_.push_back(endpoints_.remove(endpoint.id()));
    retired_changed_ = true;
}

void Worker::Impl::sweep_retired() {
    retired_changed_ = false;
    std::erase_if(retired_, [this](const std::unique_ptr<Endpoint>& endpoint) {
        close_in_ucx(*endpoint);
        if (endpoint->held_by_ucx()) return false;
        forget_transfers(*endpoint);
        return true;
    });
}

void Worker::Impl::stop(Clock::time_point deadline) {
    stopping_ = true;
    while (const auto payload = payloads_.take_any())
        ucp_am_data_release(worker_.get(), payload->descriptor);
    endpoints_.for_each([&](Endpoint& endpoint) {
        if (endpoint.usable()) close(endpoint.id());
        endpoint.deadline = std::min(endpoint.deadline, deadline);
    });
    while (!endpoints_.empty() || !retired_.empty()) {
        const bool moved = ucp_worker_progress(worker_.get()) != 0;
        events_.drop(worker_.get());
        const auto now = Clock::now();
        poller_.wait(milliseconds(0));
        attend(now);
        sweep_retired();
        // What is left waits for peers (over TCP, UCX's flush wants an answer), who need not be reading.
        if (endpoints_.empty()) deadline = std::min(deadline, now + failing_grace);
        if (now >= deadline) break;
        if (!moved) poller_.wait(endpoints_.empty() ? milliseconds(1) : milliseconds(0));
    }
}

Worker::Impl::~Impl() {
    stopping_ = true;
    poller_.unwatch(ucx_fd_);
    endpoints_.for_each([this](Endpoint& endpoint) { close_in_ucx(endpoint); });
    while (const auto payload = payloads_.take_any())
        ucp_am_data_release(worker_.get(), payload->descriptor);
    for (unsigned i = 0; i < 16; ++i) {
        ucp_worker_progress(worker_.get());
    }
    events_.drop(worker_.get());
    // UCX wants the requests of closing endpoints given back before the worker is destroyed.
    const auto give_back = [](Endpoint& endpoint) {
        if (endpoint.close_request != nullptr)
            ucp_request_free(std::exchange(endpoint.close_request, nullptr));
    };
    endpoints_.for_each(give_back);
    for (const auto& endpoint : retired_)
        give_back(*endpoint);
}

}  // namespace ddict::ucx
