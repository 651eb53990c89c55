// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The inside of Worker. While poll() makes UCX work, messages are delivered where they lie, from inside UCX's
// callback: UCX allows new sends there, and nothing that the logic calls makes it work again. Everything else
// that callbacks see or the logic asks for they only note (in the event queue, in the endpoint); poll() then
// acts on endpoints that need attention, and delivers the events. (A send to a dead peer closes its TCP
// socket, which is sound because UCX takes one event of its sockets at a time, see context.cpp. A new
// endpoint is not sound there, see connections.cpp.)
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "base/token_table.h"
#include "os/poller.h"
#include "os/wait_policy.h"
#include "ucx/context.h"
#include "ucx/descriptors.h"
#include "ucx/endpoint.h"
#include "ucx/event_queue.h"
#include "ucx/send_pool.h"
#include "ucx/worker.h"

namespace ddict::ucx {

struct AnnouncedPayload {
    void* descriptor = nullptr;  // UCX's
    std::uint64_t bytes = 0;
};

/// Counts a worker as long as anything of it may use UCX; a fork meanwhile makes UCX useless in the child.
class WorkerCount {
  public:
    WorkerCount() noexcept;
    ~WorkerCount();
    WorkerCount(const WorkerCount&) = delete;
    WorkerCount& operator=(const WorkerCount&) = delete;
};

class Worker::Impl final : public Worker {
  public:
    using Clock = std::chrono::steady_clock;

    Impl(const WorkerOptions& options, os::Poller& poller, os::WaitPolicy& waiting, ContextHandle context,
         WorkerHandle worker);
    ~Impl() override;

    Result<void> start();

    unsigned poll(TransportEvents& events) override;
    bool is_quiet() const noexcept override { return quiet_; }
    os::WaitPolicy::Arming prepare_to_sleep() override;
    void end_sleep() override;
    bool needs_attention() const noexcept override { return !attention_.empty(); }
    void stop(Clock::time_point deadline) override;
    const WorkerCounters& counters() const noexcept override { return counters_; }

    Result<PeerId> connect(Bytes address) override;
    void close(PeerId peer) override;
    void send(PeerId peer, Bytes header) override;
    void send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) override;
    void send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) override;
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) override {
        receive(from, token, into, {}, tag);
    }
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                         std::uint64_t tag) override {
        receive(from, token, into, rest, tag);
    }
    void discard_payload(std::uint64_t token) override;
    std::string describe(PeerId peer) const override;
    std::string ways_back() const override;
    Bytes address() const override { return address_; }

  private:
    // UCX's callbacks (worker_callbacks in worker_impl.cpp). `self` is the Impl, or what was given with the
    // request.
    static ucs_status_t on_active_message(void* self, const void* header, std::size_t header_bytes,
                                          void* data, std::size_t bytes,
                                          const ucp_am_recv_param_t* param) noexcept;
    static void on_endpoint_error(void* endpoint, ucp_ep_h handle, ucs_status_t status) noexcept;
    static void on_sent(void* request, ucs_status_t status, void* transfer) noexcept;
    static void on_received(void* request, ucs_status_t status, std::size_t bytes, void* transfer) noexcept;
    static void on_flushed(void* request, ucs_status_t status, void* endpoint) noexcept;
    static void on_closed(void* request, ucs_status_t status, void* endpoint) noexcept;

    ucs_status_t take_message(Bytes header, void* data, std::size_t bytes, bool may_hold);
    ucs_status_t take_announcement(Bytes header, void* descriptor, std::size_t bytes);
    bool keep_announcement(Bytes header, const AnnouncedPayload& payload, bool& too_many) noexcept;
    ucs_status_t refuse_announcement(Bytes header, std::size_t bytes, bool too_many);
    void tell(Bytes header, const IncomingPayload& payload) noexcept;
    void receive(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest, std::uint64_t tag);
    static void note_end(Transfer& transfer, ucs_status_t status) noexcept;
    void start_send(Endpoint& endpoint, Transfer* transfer, Bytes header, Bytes payload,
                    const ucp_request_param_t& common);
    void hand_over(Endpoint& endpoint, Transfer* transfer, Bytes header, Bytes payload,
                   const ucp_request_param_t& common);
    Transfer* take_transfer(std::size_t header_bytes);
    Endpoint* endpoint_for_payload(PeerId peer, std::uint64_t tag);
    void release_held(Endpoint& endpoint);
    void drop_held(Endpoint& endpoint);
    /// Ends a transfer that UCX has finished: tells the logic, and takes the memory back.
    void finish(Transfer* transfer, bool ok);
    /// Tells the logic that a payload has ended; once for each. Nothing for messages.
    void tell_of_end(const Transfer& transfer, bool ok);
    void begin_payload(Transfer& transfer, Transfer::Kind kind, std::uint64_t tag);
    /// Tells the logic that all transfers of an endpoint have ended, although UCX has not finished them.
    void give_up_transfers(Endpoint& endpoint);
    void forget_transfers(Endpoint& endpoint);

    Result<PeerId> connect_now(Bytes envelope);
    Endpoint& add_endpoint(Bytes address);
    ucs_status_t connect_in_ucx(Endpoint& endpoint);
    void need_attention(Endpoint& endpoint);
    void attend(Clock::time_point now);
    bool attend_one(Endpoint& endpoint, Clock::time_point now);  // true when it is closed
    void begin_failure(Endpoint& endpoint, Clock::time_point now);
    void flush(Endpoint& endpoint);
    void close_in_ucx(Endpoint& endpoint);
    void retire(Endpoint& endpoint);
    void sweep_retired();

    WorkerCount count_;  // before what uses UCX, so that it goes after that
    os::Poller& poller_;
    os::WaitPolicy& waiting_;
    WorkerCounters counters_;
    std::vector<std::byte> address_;
    TransportEvents* listener_ = nullptr;  // while poll() makes UCX work
    unsigned heard_ = 0;                   // messages delivered to it
    std::exception_ptr thrown_;            // by it, inside UCX, which nothing may be thrown through
    EventQueue events_;
    TokenTable<AnnouncedPayload> payloads_{limits::payloads_in_flight_max};  // that wait at their senders
    SendPool pool_;
    EndpointTable endpoints_;
    std::vector<std::unique_ptr<Endpoint>> retired_;  // closed for the logic, but UCX is not done with them
    bool retired_changed_ = false;
    std::vector<Endpoint*> attention_;
    std::vector<Endpoint*> attended_now_;
    // UCX had nothing to do when it was last asked. Only then may the worker sleep: to take notice of a
    // device that was not in use, UCX needs to be asked until it says so, and arming does not check that.
    bool quiet_ = false;
    bool is_muted_ = false;  // UCX does not wake the poller up
    bool stopping_ = false;
    int ucx_fd_ = -1;
    Descriptors descriptors_;
    ucp_request_param_t message_param_{};
    ucp_request_param_t payload_param_{};
    ucp_request_param_t parts_param_{};

    // Last, so that they go first: UCX calls back while the worker is destroyed.
    ContextHandle context_;
    WorkerHandle worker_;
};

}  // namespace ddict::ucx
