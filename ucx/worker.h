// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The transport over UCX active messages: one context, one worker, one owning thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "os/poller.h"
#include "os/wait_policy.h"
#include "rpc/transport.h"
#include "ucx/devices.h"

namespace ddict::ucx {

/// The version of the UCX library that was loaded: major << 16 | minor. Processes whose versions differ may
/// not understand each other.
std::uint32_t runtime_version();

/// Whether this process is a child of fork() whose parent had workers at that moment. Then UCX cannot be used
/// here: its own thread, which some of its transports rely on, is not here, and it does not notice; what it
/// would wait for is the parent's, in which it meddles; and that thread may have held one of UCX's locks, or
/// another thread one of ours, which nobody gives back here.
bool is_of_parent() noexcept;

/// One way of UCX to move bytes, and what it moves them through: {"tcp", "eth0"}, {"sysv", "memory"}.
struct TransportDevice {
    std::string transport;
    std::string device;
};

struct TransportSummary {
    std::string version;                  ///< of UCX, "1.13.1"
    std::vector<TransportDevice> usable;  ///< under the user's options TLS and NET_DEVICES
    /// What ddict sets and this version of UCX does not take: "UCX_TCP_MAX_POLL=1: UCX says '...'".
    std::vector<std::string> refused_settings;
};

/// What UCX can use on this node. Needs no peer. Costs a UCX context: some milliseconds.
Result<TransportSummary> available_transports(const DeviceOptions& devices = {});

/// What a worker has seen since it was made.
struct WorkerCounters {
    std::uint64_t messages_sent = 0;
    std::uint64_t messages_received = 0;
    std::uint64_t malformed = 0;         ///< messages dropped because they break the transport's limits
    std::uint64_t messages_dropped = 0;  ///< messages that there was no memory to keep
    /// Payloads for which there was no memory, or limits::payloads_in_flight_max were held already.
    std::uint64_t payloads_refused = 0;
    std::uint64_t peers_lost = 0;
    std::uint64_t requests_given_up = 0;  ///< requests that were reported as failed but UCX has not let go of
};

struct WorkerOptions {
    /// Unless the user has chosen the devices (os/ucx_variables.h).
    DeviceOptions devices{};
    /// In somebody's program: it may start others, which are to inherit nothing of UCX's (ucx/descriptors.h),
    /// and fork, for which UCX must leave the functions of memory alone (leave_memory_alone in
    /// ucx/context.cpp).
    bool in_users_program = false;
};

/// Messages to processes of other hosts, and to those of this one that cannot be reached otherwise.
///
/// Threads: belongs to the thread that made it; nothing may be called from another. A child of fork() must
/// not touch it. Memory: bounded by limits.h; no allocation per message once the buffers have grown to the
/// load. UCX reports errors of the network, and that a process has ended, but not a cut cable: that takes
/// heartbeats above this class.
///
/// An interface, so that what calls it need not be linked with UCX: see module.h.
class Worker {
  public:
    /// `poller` and `waiting` are those of the thread's loop, and must outlive it.
    static Result<std::unique_ptr<Worker>> create(const WorkerOptions& options, os::Poller& poller,
                                                  os::WaitPolicy& waiting);
    /// Does what stop() has left to do, without waiting.
    virtual ~Worker() = default;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Delivers what has arrived; never waits. Returns the number of events delivered. Not to be called from
    /// an event.
    virtual unsigned poll(TransportEvents& events) = 0;
    /// The last poll had nothing at all to do. Without that the thread must not sleep.
    virtual bool is_quiet() const noexcept = 0;
    /// Before the poller waits, and after that: whether UCX wakes it up.
    virtual os::WaitPolicy::Arming prepare_to_sleep() = 0;
    virtual void end_sleep() = 0;
    /// Connections want to be looked after soon, whatever arrives.
    virtual bool needs_attention() const noexcept = 0;

    /// Orderly end: sends what is outstanding, closes all connections, returns at the deadline at the latest.
    /// Events are not delivered any more; afterwards only the destructor may be called.
    virtual void stop(std::chrono::steady_clock::time_point deadline) = 0;

    virtual const WorkerCounters& counters() const noexcept = 0;

    // As of Transport.
    virtual Result<PeerId> connect(Bytes address) = 0;
    virtual void close(PeerId peer) = 0;
    virtual void send(PeerId peer, Bytes header) = 0;
    virtual void send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) = 0;
    virtual void send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) = 0;
    virtual void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) = 0;
    virtual void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                                 std::uint64_t tag) = 0;
    virtual void discard_payload(std::uint64_t token) = 0;
    virtual std::string describe(PeerId peer) const = 0;
    virtual std::string ways_back() const = 0;
    virtual Bytes address() const = 0;

  protected:
    Worker() = default;

  private:
    class Impl;
};

}  // namespace ddict::ucx
