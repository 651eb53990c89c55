// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// All the ways of a thread to other processes, and the loop that drives them: messages within the host go
// through samehost/, all others through UCX, which is started when the first of them comes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "os/poller.h"
#include "os/wait_policy.h"
#include "rpc/transport.h"
#include "samehost/host_identity.h"
#include "samehost/transport.h"
#include "transport/address.h"
#include "transport/tunnels.h"
#include "ucx/worker.h"

namespace ddict::transport {

using StartNetwork = std::function<Result<std::unique_ptr<ucx::Worker>>(os::Poller&, os::WaitPolicy&)>;

struct WorkerOptions {
    /// How long progress() polls, at the most, before it sleeps; the time really spent adapts to the traffic.
    /// While a payload is under way, and where processors are scarce, there are other limits.
    std::chrono::microseconds spin{50};
    /// The same at the least, where an answer is awaited of a process of this host that had to be woken up;
    /// for those that ask, as it takes a wake-up of the other side and not two.
    std::chrono::microseconds spin_for_woken{150};
    /// Starts UCX, once, when the first message must leave the host; without it none can.
    StartNetwork start_network{};
    /// Where processes of this host can connect; empty: nowhere.
    std::string listen_at{};
    /// Others can connect over the network: UCX is started at once.
    bool on_network = false;
    /// Asked before UCX is started: sockets of managers of this host that give tunnels, if this process must
    /// not touch UCX; none if it may, or if there are no such managers. Errors: those of connect().
    std::function<Result<std::vector<std::string>>()> tunnel_entrances{};
    /// For tunnels. Who is on the network and has it gives tunnels to others.
    std::optional<Secret> secret{};
    /// Of connections within the host that nobody claims.
    std::chrono::milliseconds claim_timeout = samehost::Transport::claim_timeout_default;
};

/// Invariant: a PeerId or token with the highest bit is samehost's, any other UCX's.
///
/// Threads: belongs to the thread that made it; nothing may be called from another. A child of fork() must
/// not touch it, and may make its own; where UCX was up in the parent, that reaches other hosts through
/// tunnels.
class Worker final : public Transport {
  public:
    /// Errors: invalid_argument, system.
    static Result<std::unique_ptr<Worker>> create(const WorkerOptions& options = {});
    /// Does what stop() has left to do, without waiting.
    ~Worker() override;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Delivers what has arrived; does not wait for more (see samehost::Transport::poll for the one
    /// exception). Returns the number of events delivered. Not to be called from an event.
    unsigned poll(TransportEvents& events);
    /// Delivers at least one event, or returns 0 at the deadline, or when a watched file descriptor was
    /// ready. Spins for a while, then sleeps; an idle worker costs no CPU worth naming.
    unsigned progress(TransportEvents& events, std::chrono::steady_clock::time_point deadline);

    /// Instead of progress(), for a loop of the caller's own: delivers what has arrived, and lets
    /// descriptor() become readable when there is more. False if that cannot be told, or more is there
    /// already: call again soon, as after descriptor() has become readable, and after any other call of this
    /// worker.
    bool turn(TransportEvents& events, unsigned& delivered);
    int descriptor() const noexcept { return poller_->descriptor(); }

    /// Calls `ready` from poll() or progress() while `fd` is readable: at once when asleep, within about a
    /// millisecond when busy. The descriptor stays the caller's; unwatch it before closing it. `ready` may
    /// call watch_fd and unwatch_fd, also for itself. Fails if the kernel cannot watch it.
    Result<void> watch_fd(int fd, std::function<void()> ready);
    void unwatch_fd(int fd) { poller_->unwatch(fd); }

    /// Orderly end: sends what is outstanding, closes all connections, returns at the deadline at the latest.
    /// Events are not delivered any more; afterwards only the destructor may be called.
    void stop(std::chrono::steady_clock::time_point deadline);

    bool has_started_ucx() const noexcept { return ucx_ != nullptr; }
    /// UCX was started while no interface led out of this host, as where a cable is out. Then no other host
    /// reaches this process, whatever comes.
    bool began_without_network() const noexcept { return ucx_ != nullptr && !interfaces_.lead_out(); }
    /// Whether one would lead out of this host now. Asks the kernel.
    static bool is_network_there() { return Interfaces::that_are_up().lead_out(); }
    const samehost::Counters& counters_of_samehost() const noexcept { return samehost_->counters(); }
    /// The user wants it so (DDICT_SAME_HOST=0).
    static bool speaks_over_network_only() noexcept { return samehost::is_switched_off(); }
    /// Why a process of this host was last connected to over the network; empty if none was.
    const std::string& why_not_within_host() const noexcept { return why_not_within_host_; }
    /// That pass through this process, or end in it.
    std::size_t tunnels() const noexcept { return tunnels_ != nullptr ? tunnels_->size() : 0; }
    std::uint64_t refused_tunnels() const noexcept { return tunnels_ != nullptr ? tunnels_->refused() : 0; }
    /// Messages that came as a tunnel's, and were none: of strangers.
    std::uint64_t rejected_frames() const noexcept { return tunnels_ != nullptr ? tunnels_->rejected() : 0; }
    /// Null as long as UCX has not been started.
    const ucx::WorkerCounters* counters_of_ucx() const noexcept {
        return ucx_ != nullptr ? &ucx_->counters() : nullptr;
    }

    /// How others reach it, over all its ways.
    std::vector<std::byte> address() const;

    Result<PeerId> connect(Bytes address, const ProcessIdentity& process) override;
    void close(PeerId peer) override;
    void send(PeerId peer, Bytes header) override;
    void send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) override;
    void send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) override;
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) override;
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                         std::uint64_t tag) override;
    void discard_payload(std::uint64_t token) override;
    std::string describe(PeerId peer) const override;
    std::string ways_back(PeerId peer) const override;
    bool is_same_host(PeerId peer) const override {
        return samehost::Transport::is_own(peer) && !samehost_->is_through_tunnel(peer);
    }
    Bytes address_for(PeerId peer) override;
    ProcessIdentity identity() const override { return identity_; }

  private:
    using Clock = std::chrono::steady_clock;
    struct Interface {
        std::string name;  // with its addresses
        bool leads_out = false;
        bool operator==(const Interface&) const = default;
    };
    struct Interfaces : std::vector<Interface> {
        static Interfaces that_are_up();
        bool lead_out() const noexcept;
    };

    Worker(const WorkerOptions& options, std::unique_ptr<os::Poller> poller, const ProcessIdentity& identity);
    Result<void> start_samehost();
    Result<void> start_ucx();
    Result<void> check_process(const ProcessIdentity& process) const;
    Result<PeerId> connect_over_ucx(const Address& address);
    void leave_network_if_it_has_changed();
    Result<PeerId> connect_through_tunnel(const std::vector<std::string>& entrances, Bytes ucx);
    void sleep(Clock::time_point now, Clock::time_point deadline);
    void look_around(Clock::time_point now);

    std::string why_not_within_host_;
    WorkerOptions options_;
    ProcessIdentity identity_;
    std::unique_ptr<os::Poller> poller_;
    os::WaitPolicy waiting_;
    std::unique_ptr<samehost::Transport> samehost_;
    std::unique_ptr<ucx::Worker> ucx_;  // once it is needed
    Interfaces interfaces_;             // that were up while it was started, all of the time
    bool has_connected_ = false;        // to anybody, over the network
    std::unique_ptr<Tunnels> tunnels_;  // over both, if it gives any: it ends before them
    unsigned next_entrance_ = 0;
    std::vector<std::byte> address_;  // that address_for() has returned last
    Clock::time_point last_look_;
    unsigned polls_since_look_ = 0;
    unsigned user_fds_ready_ = 0;
};

}  // namespace ddict::transport
