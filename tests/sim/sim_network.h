// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A network, hosts and processes in one thread, in virtual time, driven by a seed. Each process has a
// Transport whose every promise is kept as late and in as odd an order as rpc/transport.h allows: messages
// overtake each other, payloads are fetched in two steps while everything else goes on, the sender hears of
// it at any time, a dead process is missed after a while, a cut network tells nobody.
//
// The network also watches what the logic does with its transport. A breach of the port's contract is
// recorded and ends up in breaches().
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rpc/requester.h"
#include "rpc/transport.h"
#include "tests/sim/random.h"

namespace ddict::sim {

using Duration = std::chrono::nanoseconds;

struct NetworkOptions {
    Duration delay_min{};                                 // of every message
    Duration delay_max = std::chrono::microseconds{100};  // above that, of most; some take ten times as long
    Duration detection_max_same_host = std::chrono::milliseconds{2};
    Duration detection_max_other_host = std::chrono::milliseconds{250};
    std::size_t eager_payload_bytes_max = 16 * 1024;  // smaller payloads may come in memory
};

class Network;

/// A simulated process, seen as its transport. Lives as long as the network, also when it has been killed.
class Process final : public Transport {
  public:
    /// Who gets the events. `after_event` is called after each of them, and after each timer. Both must stay
    /// until the process is killed.
    void listen(
        TransportEvents& events, std::function<void()> after_event = [] {});

    /// No network leads to it any more, and who connects from another host is told so at once.
    void lose_way() { has_way_ = false; }
    bool alive() const { return alive_; }
    std::uint32_t host() const { return host_; }
    /// Connections that are open now.
    std::size_t connections() const;

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
    std::string ways_back(PeerId) const override { return "sim0 sim1"; }
    bool is_same_host(PeerId peer) const override;
    Bytes address_for(PeerId) override { return address_; }
    Bytes address() const { return address_; }
    ProcessIdentity identity() const override { return identity_; }

  private:
    friend class Network;
    struct Connection {
        Process* remote = nullptr;
        bool open = true;
        bool severed = false;  // nothing passes any more
    };

    Network* network_ = nullptr;
    std::size_t index_ = 0;
    std::uint32_t host_ = 0;
    bool has_way_ = true;
    bool alive_ = true;
    ProcessIdentity identity_;
    std::vector<std::byte> address_;
    std::map<PeerId, Connection> connections_;
    PeerId next_peer_ = 1;
    TransportEvents* events_ = nullptr;
    std::function<void()> after_event_;
};

struct NetworkCounters {
    std::uint64_t events = 0;
    std::uint64_t messages = 0;
    std::uint64_t payloads = 0;        // announced with a token
    std::uint64_t eager_payloads = 0;  // delivered in memory
    std::uint64_t failed_payloads = 0;
    std::uint64_t severed = 0;      // connections
    std::uint64_t overtakings = 0;  // messages that arrived before an older one of the same connection
};

class Network {
  public:
    explicit Network(std::uint64_t seed, const NetworkOptions& options = {});

    Time now() const { return now_; }
    Process& start(std::uint32_t host);

    /// The process is gone from this instant: nothing of it is called any more, and its memory is not read.
    void kill(Process& process);
    /// Nothing passes between the two hosts, and nobody is told, until they are joined again. What was on
    /// its way then goes on.
    void cut(std::uint32_t host, std::uint32_t other);
    void join(std::uint32_t host, std::uint32_t other);

    /// All connections between two living processes break for good; new ones can be made. What was on its way
    /// may get lost or not. Each process that is to be told hears of it after a while.
    void sever(Process& a, Process& b, bool a_is_told, bool b_is_told);

    /// Calls `action` at a time, unless the process has died by then; without one, in any case.
    void at(Time when, Process& process, std::function<void()> action);
    void at(Time when, std::function<void()> action);
    /// Delivers a message from nowhere, as a stranger might send it.
    void inject(Process& to, std::vector<std::byte> header, std::vector<std::byte> payload);

    /// Moves on to the next event; false if there is none.
    bool step();
    /// Steps until nothing happens any more; false if `steps_max` were not enough.
    bool run(std::uint64_t steps_max = 50'000'000);
    bool run_until(const std::function<bool()>& done, std::uint64_t steps_max = 50'000'000);

    /// What the logic did against the contract of the port; empty if nothing.
    const std::vector<std::string>& breaches() const { return breaches_; }
    /// What the logic of living processes still owes: payloads neither received nor discarded; and what the
    /// network owes to them. Empty when all is settled. Meant for a network where nothing happens any more.
    std::string unsettled() const;
    const NetworkCounters& counters() const { return counters_; }
    Random& random() { return random_; }

  private:
    friend class Process;

    struct Payload {
        std::uint64_t id = 0;
        Process* sender = nullptr;  // null: injected
        PeerId sender_peer = no_peer;
        std::uint64_t sender_tag = 0;
        Bytes data;  // the sender's memory; not touched once the sender is told or dead
        Process* receiver = nullptr;
        PeerId from = no_peer;
        MutableBytes into;  // the receiver's memory; not touched once it is told or dead
        std::uint64_t receiver_tag = 0;
        bool announced = false;
        bool claimed = false;    // received or discarded
        bool receiving = false;  // receive_payload() was called
        bool aborted = false;
        bool complete = false;
        bool sender_told = false;
        bool receiver_told = false;
        std::vector<std::byte> owned;  // of injected payloads, and those of parts
        std::vector<std::byte> whole;  // received, if it goes into two pieces
        MutableBytes first;            // these
        MutableBytes rest;
    };
    using Action = std::function<void()>;

    Duration delay();
    void after(Duration wait, Action action);
    bool is_cut(const Process& a, const Process& b) const;
    void sever_one_way(Process& from, const Process& to, bool is_told);
    bool is_severed(const Process& from, PeerId peer) const;
    /// Runs an action that needs the network between two processes: later, if it is cut.
    void across(Process& a, Process& b, Duration wait, Action action);
    void deliver(Process& to, const std::function<void(TransportEvents&)>& event);
    void breach(const Process& process, const std::string& what);

    void send(Process& from, PeerId peer, Bytes header, Payload* payload);
    void arrive(Process& from, Process& to, const std::vector<std::byte>& header, Payload* payload,
                const std::vector<std::byte>* eager);
    void announce(Process& to, const std::vector<std::byte>& header, Payload* payload);
    Payload& new_payload(Process* sender, PeerId peer, Bytes data, std::uint64_t tag);
    bool readable(const Payload& payload) const;
    void send_eagerly(Process& from, Process& to, PeerId peer, std::vector<std::byte> header,
                      Payload& payload);
    void copy(Payload& payload, bool second_half);
    void abort(Payload& payload);
    void tell_sender(Payload& payload, bool ok);
    void tell_receiver(Payload& payload, bool ok);
    void tell_sender_later(Payload& payload, bool ok);
    void drop_payloads_of(Process& process, PeerId peer);
    void lose(Process& process, PeerId peer);
    void watch_for_death(Process& process, PeerId peer, const Process& remote);

    Random random_;
    NetworkOptions options_;
    Time now_ = Time(std::chrono::hours(1));
    std::uint64_t order_ = 0;
    std::map<std::pair<Time, std::uint64_t>, Action> queue_;
    std::deque<Process> processes_;
    std::deque<Payload> payloads_;
    std::set<std::pair<std::uint32_t, std::uint32_t>> cuts_;
    struct Held {
        Process* a;
        Process* b;
        Action action;
    };
    std::vector<Held> held_;  // waits for the network between two hosts
    std::map<std::pair<std::size_t, PeerId>, std::uint64_t> last_arrived_;
    std::map<std::pair<std::size_t, PeerId>, std::uint64_t> last_sent_;
    std::vector<std::string> breaches_;
    NetworkCounters counters_;
};

}  // namespace ddict::sim
