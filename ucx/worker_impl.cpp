// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Messages, bodies and the loop. Connections and their ends are in connections.cpp.
#include "ucx/worker_impl.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "base/assert.h"
#include "base/limits.h"
#include "base/process_identity.h"
#include "ucx/host_identity.h"
#include "ucx/library.h"
#include "ucx/private_segments.h"
#include "ucx/status.h"

namespace ddict::ucx {
namespace {

using std::chrono::milliseconds;

constexpr unsigned message_id = 1;
constexpr std::size_t body_head_bytes_max = 64 + limits::key_bytes_max;
// Up to here a copy costs less than keeping UCX's buffer.
constexpr std::size_t copied_bytes_max = 512;
// What UCX's shared memory takes into the queue itself (its option FIFO_ELEM_SIZE less the headers).
constexpr std::size_t short_message_bytes_max = 96;
// A peer that does not read what it is sent is dropped before it costs more memory than this many messages.
constexpr std::uint32_t transfers_per_peer_max = 4 * limits::operations_in_flight_max;
// Looks at the clock and at the watched descriptors while messages keep coming.
constexpr unsigned polls_between_clock = 32;
constexpr milliseconds look_interval{1};
constexpr milliseconds queue_check_interval{5};

// Workers of this process, those included that are being made or ended.
std::atomic<std::uint32_t> workers{0};
// This process is a child of fork(), and its parent had workers at that moment. Then UCX cannot be used here:
// its own thread, which some of its transports rely on, is not here, and it does not notice; what it would
// wait for is the parent's, in which it meddles; and that thread may have held one of UCX's locks, or another
// thread one of ours, which nobody gives back here.
std::atomic<bool> ucx_is_of_parent{false};
// While the library is loaded: no thread can be in the middle of it at a fork.
[[maybe_unused]] const int fork_is_watched = ::pthread_atfork(nullptr, nullptr, [] {
    if (workers.exchange(0) != 0) ucx_is_of_parent = true;
});

Bytes bytes_at(const void* data, std::size_t size) {
    return {static_cast<const std::byte*>(data), size};
}

}  // namespace

WorkerCount::WorkerCount() noexcept {
    ++workers;
}

WorkerCount::~WorkerCount() {
    --workers;
}

Result<std::unique_ptr<Worker::Impl>> Worker::Impl::create(const WorkerOptions& options) {
    if (ucx_is_of_parent) {
        return Error(
            Errc::system,
            "this process is a child of one that was attached when it called fork(), which UCX does not "
            "survive: fork before attaching, detach before forking, or exec before attaching");
    }
    WorkerCount count;
    const SignalsBlocked blocked;
    auto context = make_context(options.devices);
    if (!context) return context.error();
    // One at a time: what is mapped meanwhile is taken for the new worker's.
    static std::mutex one_at_a_time;
    std::unique_lock lock(one_at_a_time);
    const auto mapped_before = ReceiveQueues::mapped();
    if (!mapped_before) return mapped_before.error();
    const std::uint64_t segments_before = private_segments_made();
    auto worker = make_worker(context->handle.get());
    if (!worker) return worker.error();
    auto queues = ReceiveQueues::find(*mapped_before);
    if (!queues) return queues.error();
    const bool none_redirected = private_segments_made() == segments_before;
    if (none_redirected && has_transport(context->handle.get(), {"sysv"})) return segments_not_private();
    lock.unlock();
    auto poller = os::Poller::create();
    if (!poller) return poller.error();
    // Without a way to repair the queues, one killed process could silence this one: rather no shared memory.
    const auto identity = own_identity(has_shared_memory(context->handle.get()) && !queues->empty());
    if (!identity) return identity.error();
    auto impl = std::make_unique<Impl>(options, std::move(context->handle), *std::move(worker),
                                       *std::move(queues), *std::move(poller), *identity);
    if (auto started = impl->start(); !started) return started.error();
    return impl;
}

Worker::Impl::Impl(const WorkerOptions& options, ContextHandle context, WorkerHandle worker,
                   ReceiveQueues queues, os::Poller sleep, const ProcessIdentity& own)
    : poller(std::move(sleep)),
      identity(own),
      options_(options),
      queues_(std::move(queues)),
      waiting_(options.spin),
      last_look_(Clock::now()),
      context_(std::move(context)),
      worker_(std::move(worker)) {
    // The head of a message without body is its payload, and always eager: the shortest path through UCX.
    message_param_.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                                  UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_MEMORY_TYPE;
    message_param_.cb.send = &Impl::on_sent;
    message_param_.flags = UCP_AM_SEND_FLAG_EAGER;
    message_param_.memory_type = UCS_MEMORY_TYPE_HOST;
    short_message_param_.op_attr_mask =
        UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_MEMORY_TYPE | UCP_OP_ATTR_FLAG_FORCE_IMM_CMPL;
    short_message_param_.flags = UCP_AM_SEND_FLAG_EAGER;
    short_message_param_.memory_type = UCS_MEMORY_TYPE_HOST;
    // With a body, UCX chooses between eager and rendezvous by size and transport.
    body_param_ = message_param_;
    body_param_.flags = 0;
}

Result<void> Worker::Impl::start() {
    ucp_am_handler_param_t handler{};
    handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                         UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
    handler.id = message_id;
    handler.flags = UCP_AM_FLAG_WHOLE_MSG;
    handler.cb = &Impl::on_active_message;
    handler.arg = this;
    if (const ucs_status_t status = ucp_worker_set_am_recv_handler(worker_.get(), &handler);
        status != UCS_OK) {
        return to_error(status, "setting the handler of messages");
    }
    ucp_worker_attr_t attributes{};
    attributes.field_mask = UCP_WORKER_ATTR_FIELD_MAX_AM_HEADER;
    if (const ucs_status_t status = ucp_worker_query(worker_.get(), &attributes); status != UCS_OK) {
        return to_error(status, "asking UCX for its limits");
    }
    if (attributes.max_am_header < body_head_bytes_max) {
        return Error(Errc::system, "UCX's transports take headers of at most " +
                                       std::to_string(attributes.max_am_header) + " bytes, ddict needs " +
                                       std::to_string(body_head_bytes_max) + "; choose others with UCX_TLS");
    }
    if (const ucs_status_t status = ucp_worker_get_efd(worker_.get(), &ucx_fd_); status != UCS_OK) {
        return to_error(status, "asking UCX for a descriptor to sleep on");
    }
    if (Result<void> watched = poller.watch(ucx_fd_, nullptr); !watched) return watched;
    auto made = make_address(worker_.get());
    if (!made) return made.error();
    address = *std::move(made);
    return {};
}

// ---- receiving ----

ucs_status_t Worker::Impl::on_active_message(void* self, const void* header, std::size_t header_bytes,
                                             void* data, std::size_t bytes,
                                             const ucp_am_recv_param_t* param) noexcept {
    auto& impl = *static_cast<Impl*>(self);
    ++impl.counters.messages_received;
    const Bytes head = bytes_at(header, header_bytes);
    if ((param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0)
        return impl.take_announcement(head, data, bytes);
    return impl.take_message(head, data, bytes, (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_DATA) != 0);
}

ucs_status_t Worker::Impl::take_message(Bytes header, void* data, std::size_t bytes, bool may_hold) {
    const bool has_body = !header.empty();
    if (has_body ? header.size() > body_head_bytes_max || bytes == 0 : bytes > limits::head_bytes_max) {
        ++counters.malformed;
        return UCS_OK;
    }
    const Bytes payload = bytes_at(data, bytes);
    if (listener_ != nullptr) {
        ++heard_;
        IncomingBody body;
        if (has_body) body = {.in_memory = payload, .token = 0, .bytes = bytes};
        listener_->on_message(has_body ? header : payload, body);
        return UCS_OK;
    }
    if (may_hold && bytes > copied_bytes_max && !stopping_) {
        events_.push_held_message(header, data, bytes);
        return UCS_INPROGRESS;
    }
    events_.push_message(has_body ? header : payload, has_body ? payload : Bytes{});
    return UCS_OK;
}

ucs_status_t Worker::Impl::take_announcement(Bytes header, void* descriptor, std::size_t bytes) {
    // The status that is returned for a body that is not wanted becomes the status of the sender's request.
    if (header.empty() || header.size() > body_head_bytes_max || bytes == 0) {
        ++counters.malformed;
        return UCS_ERR_INVALID_PARAM;
    }
    std::uint64_t token = 0;
    try {
        if (!stopping_) token = bodies_.add({descriptor, bytes});
        if (token != 0) events_.push_announcement(header, token, bytes);
    } catch (const std::bad_alloc&) {
        if (token != 0) static_cast<void>(bodies_.take(token));
        token = 0;
    }
    if (token == 0) {
        ++counters.bodies_refused;
        return UCS_ERR_NO_RESOURCE;
    }
    return UCS_INPROGRESS;
}

void Worker::Impl::receive_body(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) {
    Transfer* transfer = pool_.take(0);
    const auto body = bodies_.take(token);
    Endpoint* endpoint = endpoints_.find(from);
    DDICT_ASSERT(!body || body->bytes == into.size(), "a body is received into a buffer of another size");
    if (!body || endpoint == nullptr || !endpoint->usable()) {
        if (body) ucp_am_data_release(worker_.get(), body->descriptor);
        pool_.give_back(transfer);
        events_.push_body_received(tag, false);
        return;
    }
    transfer->owner = this;
    begin_body(*transfer, Transfer::Kind::incoming_body, tag);
    transfer->bytes = body->bytes;
    endpoint->link(transfer);
    ucp_request_param_t param{};
    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_MEMORY_TYPE;
    param.cb.recv_am = &Impl::on_received;
    param.user_data = transfer;
    param.memory_type = UCS_MEMORY_TYPE_HOST;
    void* request = ucp_am_recv_data_nbx(worker_.get(), body->descriptor, into.data(), into.size(), &param);
    if (!UCS_PTR_IS_PTR(request)) finish(transfer, request == nullptr);
}

void Worker::Impl::on_received(void* request, ucs_status_t status, std::size_t bytes,
                               void* user_data) noexcept {
    auto* transfer = static_cast<Transfer*>(user_data);
    ucp_request_free(request);
    static_cast<Impl*>(transfer->owner)->finish(transfer, status == UCS_OK && bytes == transfer->bytes);
}

void Worker::Impl::discard_body(std::uint64_t token) {
    if (const auto body = bodies_.take(token)) ucp_am_data_release(worker_.get(), body->descriptor);
}

// ---- sending ----

void Worker::Impl::send(PeerId peer, Bytes head) {
    Endpoint* endpoint = endpoints_.find(peer);
    if (endpoint == nullptr || !endpoint->usable() || send_at_once(*endpoint, head)) return;
    endpoint->reserve_held();
    Transfer* transfer = pool_.take(head.size());
    if (!head.empty()) std::memcpy(transfer->head(), head.data(), head.size());
    start_send(*endpoint, transfer, {}, bytes_at(transfer->head(), head.size()), message_param_);
}

/// The way of most messages: UCX copies it into the queue of a peer on this host, and that was it. False if
/// that is not possible.
bool Worker::Impl::send_at_once(Endpoint& endpoint, Bytes head) {
    if (!endpoint.sends_at_once || head.size() > short_message_bytes_max || endpoint.transfers() != 0)
        return false;
    const void* sent = ucp_am_send_nbx(endpoint.handle, message_id, nullptr, 0, head.data(), head.size(),
                                       &short_message_param_);
    if (sent != nullptr) return false;
    ++counters.messages_sent;
    return true;
}

void Worker::Impl::send_with_body(PeerId peer, Bytes head, Bytes body, std::uint64_t tag) {
    DDICT_ASSERT(!head.empty() && head.size() <= body_head_bytes_max && !body.empty(),
                 "a message with a wrong body");
    Endpoint* endpoint = endpoints_.find(peer);
    if (endpoint == nullptr || !endpoint->usable()) {
        events_.push_body_sent(tag, false);
        return;
    }
    endpoint->reserve_held();
    Transfer* transfer = pool_.take(head.size());
    std::memcpy(transfer->head(), head.data(), head.size());
    begin_body(*transfer, Transfer::Kind::outgoing_body, tag);
    start_send(*endpoint, transfer, bytes_at(transfer->head(), head.size()), body, body_param_);
}

void Worker::Impl::start_send(Endpoint& endpoint, Transfer* transfer, Bytes header, Bytes payload,
                              const ucp_request_param_t& common) {
    transfer->owner = this;
    endpoint.link(transfer);
    if (endpoint.sends_at_once || (endpoint.reached && endpoint.held.empty())) {
        hand_over(endpoint, transfer, header, payload, common);
        return;
    }
    endpoint.held.push_back({transfer, header, payload, &common});
    if (endpoint.transfers() > transfers_per_peer_max) {
        if (endpoint.error == UCS_OK) endpoint.error = UCS_ERR_EXCEEDS_LIMIT;
        need_attention(endpoint);
    }
}

void Worker::Impl::hand_over(Endpoint& endpoint, Transfer* transfer, Bytes header, Bytes payload,
                             const ucp_request_param_t& common) {
    ucp_request_param_t param = common;
    param.user_data = transfer;
    void* request = ucp_am_send_nbx(endpoint.handle, message_id, header.empty() ? nullptr : header.data(),
                                    header.size(), payload.data(), payload.size(), &param);
    ++counters.messages_sent;
    if (request == nullptr) {
        finish(transfer, true);
        return;
    }
    if (UCS_PTR_IS_ERR(request)) {
        if (endpoint.error == UCS_OK) endpoint.error = UCS_PTR_STATUS(request);
        need_attention(endpoint);
        finish(transfer, false);
    } else if (endpoint.transfers() > transfers_per_peer_max) {
        if (endpoint.error == UCS_OK) endpoint.error = UCS_ERR_EXCEEDS_LIMIT;
        need_attention(endpoint);
    }
}

void Worker::Impl::on_sent(void* request, ucs_status_t status, void* user_data) noexcept {
    auto* transfer = static_cast<Transfer*>(user_data);
    ucp_request_free(request);
    static_cast<Impl*>(transfer->owner)->finish(transfer, status == UCS_OK);
}

void Worker::Impl::finish(Transfer* transfer, bool ok) {
    if (Endpoint* endpoint = transfer->endpoint; endpoint != nullptr) {
        endpoint->unlink(transfer);
        if (!endpoint->usable()) need_attention(*endpoint);
    }
    if (transfer->given_up) {
        --counters.requests_given_up;
    } else {
        tell_of_end(*transfer, ok);
    }
    pool_.give_back(transfer);
}

void Worker::Impl::begin_body(Transfer& transfer, Transfer::Kind kind, std::uint64_t tag) {
    transfer.kind = kind;
    transfer.tag = tag;
    waiting_.payload_began();
}

void Worker::Impl::tell_of_end(const Transfer& transfer, bool ok) {
    if (transfer.kind == Transfer::Kind::message) return;
    waiting_.payload_ended();
    if (transfer.kind == Transfer::Kind::outgoing_body) {
        events_.push_body_sent(transfer.tag, ok);
    } else {
        events_.push_body_received(transfer.tag, ok);
    }
}

// ---- the loop ----

unsigned Worker::Impl::poll(TransportEvents& events) {
    heard_ = 0;
    listener_ = &events;
    quiet_ = ucp_worker_progress(worker_.get()) == 0;
    listener_ = nullptr;
    const unsigned heard = heard_;
    if (++polls_since_clock_ >= polls_between_clock || !attention_.empty()) {
        polls_since_clock_ = 0;
        const auto now = Clock::now();
        if (now - last_look_ >= look_interval) look_around(now);
        if (now - last_queue_check_ >= queue_check_interval) check_queues(now);
        if (!attention_.empty()) attend(now);
        if (retired_changed_) sweep_retired();
    }
    return events_.empty() ? heard : heard + events_.deliver(events, worker_.get());
}

unsigned Worker::Impl::progress(TransportEvents& events, Clock::time_point deadline) {
    user_fds_ready_ = 0;
    waiting_.begin();
    for (;;) {
        const unsigned delivered = poll(events);
        if (delivered != 0 || user_fds_ready_ != 0) {
            waiting_.end(waiting_.has_slept() ? Clock::now() : Clock::time_point{});
            return delivered;
        }
        if (!waiting_.wants_time()) continue;
        const auto now = Clock::now();
        if (now >= deadline) return 0;
        switch (waiting_.next(now, quiet_)) {
            case os::WaitPolicy::Step::poll:
                break;
            case os::WaitPolicy::Step::yield:
                waiting_.yielded(now, os::yield_processor());
                break;
            case os::WaitPolicy::Step::sleep:
                sleep(now, deadline);
                break;
        }
    }
}

void Worker::Impl::sleep(Clock::time_point now, Clock::time_point deadline) {
    const ucs_status_t status = ucp_worker_arm(worker_.get());
    const bool armed = status == UCS_OK;
    auto timeout = waiting_.sleep_time(armed                    ? os::WaitPolicy::Arming::armed
                                       : status == UCS_ERR_BUSY ? os::WaitPolicy::Arming::busy
                                                                : os::WaitPolicy::Arming::failed);
    if (!timeout) return;
    if (!attention_.empty()) timeout = std::min<std::chrono::nanoseconds>(*timeout, milliseconds(1));
    ++counters.sleeps;
    // A descriptor that was not armed may be ready for no reason.
    if (!armed) poller.mute(ucx_fd_, true);
    poller.wait(std::min<std::chrono::nanoseconds>(*timeout, deadline - now));
    if (!armed) poller.mute(ucx_fd_, false);
    polls_since_clock_ = polls_between_clock;  // attend to what the sleep has shown
}

void Worker::Impl::look_around(Clock::time_point now) {
    last_look_ = now;
    poller.wait(std::chrono::nanoseconds(0));
}

Result<void> Worker::Impl::watch_fd(int fd, std::function<void()> ready) {
    return poller.watch(fd, [this, ready = std::move(ready)] {
        ++user_fds_ready_;
        ready();
    });
}

}  // namespace ddict::ucx
