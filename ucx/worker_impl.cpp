// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Messages, payloads and the loop. Connections and their ends are in connections.cpp.
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
#include "ucx/library.h"
#include "ucx/status.h"

namespace ddict::ucx {
namespace {

constexpr unsigned message_id = 1;
constexpr std::size_t header_with_payload_bytes_max = 64 + limits::key_bytes_max;
// What the sender of a payload is told that has been refused: its connection is sound.
constexpr ucs_status_t status_of_refusal = UCS_ERR_NO_RESOURCE;
// Up to here a copy costs less than keeping UCX's buffer.
constexpr std::size_t copied_bytes_max = 512;
// A peer that does not read what it is sent is dropped before it costs more memory than this many messages.
constexpr std::uint32_t transfers_per_peer_max = 4 * limits::operations_in_flight_max;

// Workers of this process, those included that are being made or ended.
std::atomic<std::uint32_t> workers{0};
// See is_of_parent().
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

bool is_of_parent() noexcept {
    return ucx_is_of_parent.load(std::memory_order_relaxed);
}

Result<std::unique_ptr<Worker>> Worker::create(const WorkerOptions& options, os::Poller& poller,
                                               os::WaitPolicy& waiting) {
    if (is_of_parent()) {
        return Error(
            Errc::system,
            "this process is a child of one that used UCX at its fork(), which UCX does not survive, "
            "and no manager on this node passes its messages on: fork before attaching, or exec");
    }
    WorkerCount count;
    const SignalsBlocked blocked;
    auto context = make_context(options);
    if (!context) return context.error();
    auto worker = make_worker(context->handle.get());
    if (!worker) return worker.error();
    auto impl =
        std::make_unique<Impl>(options, poller, waiting, std::move(context->handle), *std::move(worker));
    if (auto started = impl->start(); !started) return started.error();
    return std::unique_ptr<Worker>(std::move(impl));
}

Worker::Impl::Impl(const WorkerOptions& options, os::Poller& poller, os::WaitPolicy& waiting,
                   ContextHandle context, WorkerHandle worker)
    : poller_(poller),
      waiting_(waiting),
      descriptors_(options.in_users_program),
      context_(std::move(context)),
      worker_(std::move(worker)) {
    // A message without a payload is sent as UCX's data, not as UCX's header, and always eagerly: the
    // shortest path through UCX.
    message_param_.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                                  UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_MEMORY_TYPE;
    message_param_.cb.send = &Impl::on_sent;
    message_param_.flags = UCP_AM_SEND_FLAG_EAGER;
    message_param_.memory_type = UCS_MEMORY_TYPE_HOST;
    // With a payload, UCX chooses between eager and rendezvous by size and transport.
    payload_param_ = message_param_;
    payload_param_.flags = 0;
    parts_param_ = payload_param_;
    parts_param_.op_attr_mask |= UCP_OP_ATTR_FIELD_DATATYPE;
    parts_param_.datatype = ucp_dt_make_iov();
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
    if (attributes.max_am_header < header_with_payload_bytes_max) {
        return Error(Errc::system, "UCX's transports take headers of at most " +
                                       std::to_string(attributes.max_am_header) + " bytes, ddict needs " +
                                       std::to_string(header_with_payload_bytes_max) +
                                       "; choose others with DDICT_UCX_TLS");
    }
    if (const ucs_status_t status = ucp_worker_get_efd(worker_.get(), &ucx_fd_); status != UCS_OK) {
        return to_error(status, "asking UCX for a descriptor to sleep on");
    }
    if (Result<void> watched = poller_.watch(ucx_fd_, nullptr); !watched) return watched;
    auto made = make_address(worker_.get());
    if (!made) return made.error();
    address_ = *std::move(made);
    return descriptors_.start(ucx_fd_);
}

// ---- receiving ----

ucs_status_t Worker::Impl::on_active_message(void* self, const void* header_data, std::size_t header_bytes,
                                             void* data, std::size_t bytes,
                                             const ucp_am_recv_param_t* param) noexcept {
    auto& impl = *static_cast<Impl*>(self);
    ++impl.counters_.messages_received;
    const Bytes header = bytes_at(header_data, header_bytes);
    if ((param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0)
        return impl.take_announcement(header, data, bytes);
    return impl.take_message(header, data, bytes, (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_DATA) != 0);
}

ucs_status_t Worker::Impl::take_message(Bytes header, void* data, std::size_t bytes, bool may_hold) {
    const bool has_payload = !header.empty();
    if (has_payload ? header.size() > header_with_payload_bytes_max || bytes == 0
                    : bytes > limits::header_bytes_max) {
        ++counters_.malformed;
        return UCS_OK;
    }
    const Bytes content = bytes_at(data, bytes);
    if (listener_ != nullptr) {
        IncomingPayload payload;
        if (has_payload) payload = {.in_memory = content, .token = 0, .bytes = bytes};
        tell(has_payload ? header : content, payload);
        return UCS_OK;
    }
    if (may_hold && bytes > copied_bytes_max && !stopping_ && events_.push_held_message(header, data, bytes))
        return UCS_INPROGRESS;
    if (!events_.push_message(has_payload ? header : content, has_payload ? content : Bytes{}))
        ++counters_.messages_dropped;
    return UCS_OK;
}

/// While UCX works for poll().
void Worker::Impl::tell(Bytes header, const IncomingPayload& payload) noexcept {
    ++heard_;
    try {
        listener_->on_message(header, payload);
    } catch (...) {
        if (!thrown_) thrown_ = std::current_exception();
    }
}

ucs_status_t Worker::Impl::take_announcement(Bytes header, void* descriptor, std::size_t bytes) {
    if (header.empty() || header.size() > header_with_payload_bytes_max || bytes == 0) {
        ++counters_.malformed;
        return UCS_ERR_INVALID_PARAM;
    }
    bool too_many = false;
    const bool is_kept = !stopping_ && keep_announcement(header, {descriptor, bytes}, too_many);
    return is_kept ? UCS_INPROGRESS : refuse_announcement(header, bytes, too_many);
}

/// False if there are too many, or memory is missing.
bool Worker::Impl::keep_announcement(Bytes header, const AnnouncedPayload& payload, bool& too_many) noexcept {
    std::uint64_t token = 0;
    try {
        token = payloads_.add(payload);
    } catch (const std::bad_alloc&) {
        return false;
    }
    too_many = token == 0;
    if (too_many) return false;
    if (events_.push_announcement(header, token, payload.bytes)) return true;
    static_cast<void>(payloads_.take(token));
    return false;
}

/// The status that is returned becomes that of the sender's request.
ucs_status_t Worker::Impl::refuse_announcement(Bytes header, std::size_t bytes, bool too_many) {
    ++counters_.payloads_refused;
    const IncomingPayload refused{.in_memory = {}, .token = 0, .bytes = bytes, .too_many = too_many};
    if (listener_ != nullptr) {
        tell(header, refused);
    } else if (!stopping_ && !events_.push_refused(header, bytes, too_many)) {
        ++counters_.messages_dropped;
    }
    return status_of_refusal;
}

void Worker::Impl::receive(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                           std::uint64_t tag) {
    Transfer* const transfer = take_transfer(2 * sizeof(ucp_dt_iov_t));
    const auto payload = payloads_.take(token);
    Endpoint* endpoint = endpoints_.find(from);
    DDICT_ASSERT(!payload || payload->bytes == into.size() + rest.size(),
                 "a payload is received into a buffer of another size");
    if (!payload || endpoint == nullptr || !endpoint->usable()) {
        if (payload) ucp_am_data_release(worker_.get(), payload->descriptor);
        pool_.give_back(transfer);
        events_.push_payload_received(tag, false);
        return;
    }
    transfer->owner = this;
    begin_payload(*transfer, Transfer::Kind::incoming_payload, tag);
    transfer->bytes = payload->bytes;
    endpoint->link(transfer);
    ucp_request_param_t param{};
    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_MEMORY_TYPE;
    param.cb.recv_am = &Impl::on_received;
    param.user_data = transfer;
    param.memory_type = UCS_MEMORY_TYPE_HOST;
    void* buffer = into.data();
    std::size_t count = into.size();
    if (!rest.empty()) {
        const ucp_dt_iov_t pieces[] = {{into.data(), into.size()}, {rest.data(), rest.size()}};
        buffer = std::memcpy(transfer->header(), pieces, sizeof pieces);
        count = std::size(pieces);
        param.op_attr_mask |= UCP_OP_ATTR_FIELD_DATATYPE;
        param.datatype = ucp_dt_make_iov();
    }
    void* request = ucp_am_recv_data_nbx(worker_.get(), payload->descriptor, buffer, count, &param);
    if (UCS_PTR_IS_PTR(request)) return;
    note_end(*transfer, UCS_PTR_STATUS(request));
    finish(transfer, request == nullptr);
}

/// For a payload, whose end will be told. std::bad_alloc; nothing was promised then.
Transfer* Worker::Impl::take_transfer(std::size_t header_bytes) {
    events_.promise();
    try {
        return pool_.take(header_bytes);
    } catch (...) {
        events_.forget();
        throw;
    }
}

void Worker::Impl::on_received(void* request, ucs_status_t status, std::size_t bytes,
                               void* user_data) noexcept {
    auto* transfer = static_cast<Transfer*>(user_data);
    ucp_request_free(request);
    note_end(*transfer, status);
    static_cast<Impl*>(transfer->owner)->finish(transfer, status == UCS_OK && bytes == transfer->bytes);
}

/// What was under way on a connection can fail a moment before UCX says that the connection has: whoever is
/// told of it must not answer over what is left of it, as if the peer's memory had been at fault.
void Worker::Impl::note_end(Transfer& transfer, ucs_status_t status) noexcept {
    if (status == UCS_OK || status == status_of_refusal || status == UCS_ERR_NO_MEMORY) return;
    Endpoint* endpoint = transfer.endpoint;
    if (endpoint == nullptr || endpoint->error != UCS_OK) return;
    endpoint->error = status;
    static_cast<Impl*>(transfer.owner)->need_attention(*endpoint);
}

void Worker::Impl::discard_payload(std::uint64_t token) {
    if (const auto payload = payloads_.take(token)) ucp_am_data_release(worker_.get(), payload->descriptor);
}

// ---- sending ----

void Worker::Impl::send(PeerId peer, Bytes header) {
    Endpoint* endpoint = endpoints_.find(peer);
    if (endpoint == nullptr || !endpoint->usable()) return;
    endpoint->reserve_held();
    Transfer* transfer = pool_.take(header.size());
    if (!header.empty()) std::memcpy(transfer->header(), header.data(), header.size());
    start_send(*endpoint, transfer, {}, bytes_at(transfer->header(), header.size()), message_param_);
}

/// Null if there is none to be used: the payload's end has been told then.
Endpoint* Worker::Impl::endpoint_for_payload(PeerId peer, std::uint64_t tag) {
    Endpoint* endpoint = endpoints_.find(peer);
    if (endpoint != nullptr && endpoint->usable()) {
        endpoint->reserve_held();
        return endpoint;
    }
    events_.promise();
    events_.push_payload_sent(tag, false);
    return nullptr;
}

void Worker::Impl::send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) {
    DDICT_ASSERT(!header.empty() && header.size() <= header_with_payload_bytes_max && !payload.empty(),
                 "a message with a wrong payload");
    Endpoint* endpoint = endpoint_for_payload(peer, tag);
    if (endpoint == nullptr) return;
    Transfer* const transfer = take_transfer(header.size());
    std::memcpy(transfer->header(), header.data(), header.size());
    begin_payload(*transfer, Transfer::Kind::outgoing_payload, tag);
    start_send(*endpoint, transfer, bytes_at(transfer->header(), header.size()), payload, payload_param_);
}

/// UCX is given the list of the parts, which stands before the header.
void Worker::Impl::send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) {
    DDICT_ASSERT(!header.empty() && header.size() <= header_with_payload_bytes_max && !payload.empty() &&
                     payload.size() <= limits::value_parts_max,
                 "a message with a wrong payload");
    Endpoint* endpoint = endpoint_for_payload(peer, tag);
    if (endpoint == nullptr) return;
    std::array<ucp_dt_iov_t, limits::value_parts_max> list;
    for (std::size_t i = 0; i < payload.size(); ++i)
        list[i] = {const_cast<std::byte*>(payload[i].data()), payload[i].size()};
    const std::size_t list_bytes = payload.size() * sizeof(ucp_dt_iov_t);
    Transfer* const transfer = take_transfer(list_bytes + header.size());
    std::memcpy(transfer->header(), list.data(), list_bytes);
    std::memcpy(transfer->header() + list_bytes, header.data(), header.size());
    begin_payload(*transfer, Transfer::Kind::outgoing_payload, tag);
    // (Its size is the number of parts.)
    start_send(*endpoint, transfer, bytes_at(transfer->header() + list_bytes, header.size()),
               bytes_at(transfer->header(), payload.size()), parts_param_);
}

void Worker::Impl::start_send(Endpoint& endpoint, Transfer* transfer, Bytes header, Bytes payload,
                              const ucp_request_param_t& common) {
    transfer->owner = this;
    endpoint.link(transfer);
    if (endpoint.reached && endpoint.held.empty()) {
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
    ++counters_.messages_sent;
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
    note_end(*transfer, status);
    static_cast<Impl*>(transfer->owner)->finish(transfer, status == UCS_OK);
}

void Worker::Impl::finish(Transfer* transfer, bool ok) {
    if (Endpoint* endpoint = transfer->endpoint; endpoint != nullptr) {
        endpoint->unlink(transfer);
        if (!endpoint->usable()) need_attention(*endpoint);
    }
    if (transfer->given_up) {
        --counters_.requests_given_up;
    } else {
        tell_of_end(*transfer, ok);
    }
    pool_.give_back(transfer);
}

void Worker::Impl::begin_payload(Transfer& transfer, Transfer::Kind kind, std::uint64_t tag) {
    transfer.kind = kind;
    transfer.tag = tag;
    waiting_.payload_began();
}

void Worker::Impl::tell_of_end(const Transfer& transfer, bool ok) {
    if (transfer.kind == Transfer::Kind::message) return;
    waiting_.payload_ended();
    if (transfer.kind == Transfer::Kind::outgoing_payload) {
        events_.push_payload_sent(transfer.tag, ok);
    } else {
        events_.push_payload_received(transfer.tag, ok);
    }
}

// ---- the loop ----

unsigned Worker::Impl::poll(TransportEvents& events) {
    heard_ = 0;
    listener_ = &events;
    quiet_ = ucp_worker_progress(worker_.get()) == 0;
    listener_ = nullptr;
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    const unsigned heard = heard_;
    if (!attention_.empty()) attend(Clock::now());
    if (retired_changed_) sweep_retired();
    if (heard != 0 && descriptors_.wants_look()) descriptors_.after(heard);
    return events_.empty() ? heard : heard + events_.deliver(events, worker_.get());
}

os::WaitPolicy::Arming Worker::Impl::prepare_to_sleep() {
    using Arming = os::WaitPolicy::Arming;
    descriptors_.before_sleep();
    const ucs_status_t status = ucp_worker_arm(worker_.get());
    if (status == UCS_OK) return Arming::armed;
    // A descriptor that was not armed may be ready for no reason.
    poller_.mute(ucx_fd_, true);
    is_muted_ = true;
    return status == UCS_ERR_BUSY ? Arming::busy : Arming::failed;
}

void Worker::Impl::end_sleep() {
    if (is_muted_) poller_.mute(ucx_fd_, false);
    is_muted_ = false;
}

}  // namespace ddict::ucx
