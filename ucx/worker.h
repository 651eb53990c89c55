// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The transport over UCX active messages: one context, one worker, one owning thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rpc/transport.h"
#include "ucx/devices.h"

namespace ddict::ucx {

/// The version of the UCX library that was loaded: major << 16 | minor. Processes whose versions differ may
/// not understand each other.
std::uint32_t runtime_version();

/// One way of UCX to move bytes, and what it moves them through: {"tcp", "eth0"}, {"sysv", "memory"}.
struct TransportDevice {
    std::string transport;
    std::string device;
};

struct TransportSummary {
    std::string version;                  ///< of UCX, "1.13.1"
    std::vector<TransportDevice> usable;  ///< under the user's UCX_TLS and UCX_NET_DEVICES
    /// What ddict sets and this version of UCX does not take: "UCX_TCP_MAX_POLL=1: UCX says '...'".
    std::vector<std::string> refused_settings;
};

/// What UCX can use on this node. Needs no peer. Costs a UCX context: some milliseconds.
Result<TransportSummary> available_transports(const DeviceOptions& devices = {});

struct WorkerOptions {
    /// How long progress() polls, at the most, before it sleeps; the time really spent adapts to the traffic.
    /// While a body is under way, and where processors are scarce, there are other limits.
    std::chrono::microseconds spin{50};
    /// Unless the user has set UCX_NET_DEVICES.
    DeviceOptions devices{};
};

/// What a worker has seen since it was made.
struct WorkerCounters {
    std::uint64_t messages_sent = 0;
    std::uint64_t messages_received = 0;
    std::uint64_t malformed = 0;  ///< messages dropped because they break the transport's limits
    std::uint64_t bodies_refused =
        0;  ///< bodies dropped because limits::bodies_in_flight_max were held already
    std::uint64_t peers_lost = 0;
    std::uint64_t queue_repairs =
        0;                     ///< messages that their killed senders left half-written in shared memory
    std::uint64_t sleeps = 0;  ///< how often progress() went to sleep
    std::uint64_t requests_given_up = 0;  ///< requests that were reported as failed but UCX has not let go of
};

/// A Transport over UCX.
///
/// Threads: belongs to the thread that made it; nothing may be called from another. A child of fork() must
/// not touch it. Memory: bounded by limits.h; no allocation per message once the buffers have grown to the
/// load. Endpoints to processes of the same host use shared memory, and the death of the process is learnt
/// from the kernel; for others UCX reports errors of the network, but not a cut cable: that takes heartbeats
/// above this class.
class Worker final : public Transport {
  public:
    static Result<std::unique_ptr<Worker>> create(const WorkerOptions& options = {});
    /// Does what stop() has left to do, without waiting.
    ~Worker() override;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Delivers what has arrived; never waits. Returns the number of events delivered. Not to be called from
    /// an event.
    unsigned poll(TransportEvents& events);
    /// Delivers at least one event, or returns 0 at the deadline, or when a watched file descriptor was
    /// ready. Spins for a while, then sleeps; an idle worker costs no CPU worth naming.
    unsigned progress(TransportEvents& events, std::chrono::steady_clock::time_point deadline);

    /// Calls `ready` from poll() or progress() while `fd` is readable: at once when asleep, within about a
    /// millisecond when busy. The descriptor stays the caller's; unwatch it before closing it. `ready` may
    /// call watch_fd and unwatch_fd, also for itself. Fails if the kernel cannot watch it.
    Result<void> watch_fd(int fd, std::function<void()> ready);
    void unwatch_fd(int fd);

    /// Orderly end: sends what is outstanding, closes all connections, returns at the deadline at the latest.
    /// Events are not delivered any more; afterwards only the destructor may be called.
    void stop(std::chrono::steady_clock::time_point deadline);

    const WorkerCounters& counters() const noexcept;

    Result<PeerId> connect(Bytes address, const ProcessIdentity& process) override;
    void close(PeerId peer) override;
    void send(PeerId peer, Bytes head) override;
    void send(PeerId peer, Bytes head, Bytes body, std::uint64_t tag) override;
    void receive_body(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) override;
    void discard_body(std::uint64_t token) override;
    std::string describe(PeerId peer) const override;
    Bytes address() const override;
    ProcessIdentity identity() const override;

  private:
    class Impl;
    explicit Worker(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace ddict::ucx
