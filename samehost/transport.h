// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Messages between processes of one host, through memory that two of them share. docs/architecture.md has the
// picture, docs/protocol.md the bytes.
//
// Whoever dies harms no one else: what two processes share, no third one has. What arrives is checked, and
// copied before it is believed. The kernel tells who is at the other end, and that it has gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/token_table.h"
#include "os/poller.h"
#include "os/wait_policy.h"
#include "rpc/transport.h"
#include "samehost/events.h"
#include "samehost/handshake.h"
#include "samehost/link.h"
#include "samehost/payloads.h"
#include "samehost/tunnel_port.h"

namespace ddict::samehost {

struct Counters {
    std::uint64_t messages_sent = 0;
    std::uint64_t messages_received = 0;
    std::uint64_t links_refused = 0;  ///< of other users, of programs that speak something else, too many
    std::uint64_t links_without_descriptor = 0;  ///< of those: there was no file descriptor left for them
    std::uint64_t malformed = 0;  ///< links that were dropped because nonsense came through them
    std::uint64_t peers_lost = 0;
    std::uint64_t doorbells = 0;  ///< heard
};

/// Invariants:
/// 1. A PeerId is known from the call that returns it until close(), or until on_peer_lost is delivered.
/// 2. A link is polled exactly if it is in polled_, and its peer rings exactly if it is not.
///
/// Threads: belongs to the thread that made it. fork(): a child has neither sockets nor memory of it, and
/// must not touch it. Memory: Channel::bytes for each connection, of which it uses what messages need.
class Transport {
  public:
    using Clock = std::chrono::steady_clock;

    /// `poller` tells it, from its wait(), what the sockets have to say; `waiting` learns of payloads. Both
    /// must outlive it. Errors: system.
    static Result<std::unique_ptr<Transport>> create(
        os::Poller& poller, os::WaitPolicy& waiting,
        std::chrono::milliseconds claim_timeout = claim_timeout_default);
    /// How long a connection may stand that nobody claims: its first message proves nothing, or never comes.
    static constexpr std::chrono::milliseconds claim_timeout_default{5'000};
    /// Of this process's file descriptors: kept for what it has already, when others connect.
    static constexpr unsigned descriptors_reserved = 16;
    ~Transport();
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    /// From now on others can connect. Errors: invalid_argument, system.
    Result<void> listen(const std::string& path);
    /// What claim() of another transport knows a connection of this one by.
    const LinkName& name() const noexcept { return name_; }

    /// Connects to a transport that listens; without waiting for it to accept. Errors: those of meet(),
    /// system.
    Result<PeerId> connect(const std::string& path);
    /// The connection that the transport of this name has made to this one, and nobody has claimed yet;
    /// no_peer if there is none.
    PeerId claim(const LinkName& name);
    static constexpr bool is_own(PeerId peer) noexcept { return (peer & id_bit) != 0; }

    // Tunnels: see tunnel_port.h.

    /// Connects to a transport that listens, and asks it for a tunnel with these bytes, of at most
    /// limits::header_bytes_max. Errors: those of connect(). Where it is refused, or ends, on_peer_lost says
    /// so.
    Result<PeerId> connect_through(const std::string& path, Bytes request);
    /// Whether the process that it leads to is one of another host.
    bool is_through_tunnel(PeerId peer) const noexcept;
    /// From now on others are given tunnels. `tunnels` is its owner's, and must stay until unset_tunnels(),
    /// or until this transport has ended.
    void set_tunnels(TunnelPort& tunnels) noexcept { tunnels_ = &tunnels; }
    /// From now on they are given none. Requires that all tunnels are closed.
    void unset_tunnels() noexcept { tunnels_ = nullptr; }
    /// A tunnel's end in this process: as if the transport of this name, of another host, had connected to
    /// this one, which may claim it. What it writes is for the TunnelPort. Errors: system, busy.
    Result<PeerId> make_tunnel_end(const LinkName& name);
    /// Into the ring of a tunnel, now or when there is space. std::bad_alloc; nothing was written then.
    void write(PeerId link, const Record& record);
    bool has_waiting(PeerId link) noexcept;
    /// After TunnelPort::on_record() has said no.
    void resume(PeerId link);
    /// Closes a tunnel. The process of this host that has asked for it learns why.
    void end_tunnel(PeerId link, const Error& why);
    /// Before the end: the TunnelPort gets what is in the rings.
    void pass_on_all();

    // As of ddict::Transport.
    void close(PeerId peer);
    void send(PeerId peer, Bytes header);
    void send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag);
    void send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag);
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) {
        receive_payload(from, token, into, {}, tag);
    }
    /// `rest` may be empty.
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                         std::uint64_t tag);
    void discard_payload(std::uint64_t token);
    std::string describe(PeerId peer) const;

    /// Delivers what has arrived. The number of events. Waits in one case alone, for 20 ms at the most: a
    /// process that this one has connected to has gone, and the kernel is asked whether it has ended.
    unsigned poll(TransportEvents& listener);
    /// Whether a payload is under way that this process copies when it polls.
    bool is_copying() const noexcept { return payloads_.is_copying(); }
    /// Whether somebody may ring, or connect, whom only the poller hears.
    bool has_unpolled_links() const noexcept { return links_.size() > polled_.size(); }
    bool is_listening() const noexcept { return listener_socket_.is_open(); }
    /// Before the poller waits: from now on whoever sends something wakes it up. False if there is something
    /// to do already.
    bool prepare_to_sleep();
    /// To be called every now and then: closes what has not gone on in time.
    void tick(Clock::time_point now);
    /// Nothing more is accepted. True if all messages that wait have been written.
    bool drain();

    const Counters& counters() const noexcept { return counters_; }
    std::size_t links() const noexcept { return links_.size(); }

  private:
    class Reading;
    /// Accepted, and has not said anything yet.
    struct Stranger {
        os::FileDescriptor socket;
        pid_t peer;
        Clock::time_point deadline;
    };
    static constexpr std::uint64_t id_bit = std::uint64_t{1} << 63;
    /// Of one link before it is another one's turn.
    static constexpr unsigned records_at_once_max = 64;

    Transport(os::Poller& poller, os::WaitPolicy& waiting, std::chrono::milliseconds claim_timeout,
              const LinkName& name, std::uint64_t nonce);
    struct Met {
        os::UnsharedDescriptor socket;
        Channel channel;
        pid_t peer;
    };
    Result<Met> meet_at(const std::string& path) const;
    Result<PeerId> connect_now(const std::string& path);
    Result<PeerId> connect_through_now(const std::string& path, Bytes request);
    Result<PeerId> make_tunnel_end_now(const LinkName& name);
    Result<Link*> add_link(os::UnsharedDescriptor socket, Channel channel, Side side, pid_t peer);
    void remove_link(std::uint64_t token);
    bool make_claimable(Link& link, const LinkName& name);
    bool linger(Link& link);
    void await_introduction(os::FileDescriptor socket, pid_t peer);
    void accept_link(os::FileDescriptor socket, pid_t peer, Introduction introduction);
    Link* find(PeerId peer) noexcept;
    static bool leaves_descriptors(int fd) noexcept;
    void on_connection();
    void on_introduction(std::uint64_t stranger);
    void refuse(std::uint64_t stranger);
    void on_socket(Link& link);

    unsigned take_records(Link& link, TransportEvents& listener);
    unsigned pass_on_records(Link& link, bool are_last);
    bool take_tunnel(Link& link, const Record& record);
    bool take_tunnel_end(Link& link, const Record& record);
    bool take_record(Link& link, const Record& record, TransportEvents& listener);
    std::optional<Bytes> copied(Bytes content) noexcept;
    bool take_message(const Record& record, TransportEvents& listener);
    bool take_offer(Link& link, const Record& record, TransportEvents& listener);
    bool take_offer_of_parts(Link& link, const Record& record, TransportEvents& listener);
    void deliver_offer(Link& link, const PayloadOffer& offer, std::span<const RemotePart> parts, Bytes header,
                       TransportEvents& listener);
    unsigned attend(TransportEvents& listener);
    void flush();
    void lose(Link& link, TransportEvents& listener);
    void destroy_closed();
    void start_polling(Link& link);
    void stop_polling_idle();
    void expect_answer(Link& link);
    bool send_inline(Link& link, Bytes header, Bytes payload, std::uint64_t tag);
    void note_waiting(Link& link);
    void malformed(Link& link, const char* what);
    void out_of_memory(Link& link);
    /// Nothing more comes through it; attend() destroys it.
    void mark_closed(Link& link);
    void stop_waiting_for_claim(Link& link);
    /// The rest is for attend().
    void mark_lost(Link& link);
    /// Ends all payloads of a link; what its peer has copied of them does not count.
    void end_payloads(Link& link);

    os::Poller& poller_;
    os::WaitPolicy& wait_policy_;
    std::chrono::milliseconds claim_timeout_;
    LinkName name_;
    std::uint64_t nonce_;  // others find it in this process's memory: see EndFacts
    std::string path_;     // of the socket, if it listens
    TunnelPort* tunnels_ = nullptr;
    os::FileDescriptor listener_socket_;
    bool is_accepting_ = false;
    Clock::time_point accepts_again_{};
    TokenTable<Stranger> strangers_;
    TokenTable<std::unique_ptr<Link>> links_;
    std::map<LinkName, PeerId> unclaimed_;
    std::map<PeerId, Clock::time_point> deadlines_;  // of links that are unclaimed, or closing
    std::vector<Link*> polled_;
    std::vector<Link*> waiting_;  // have messages that wait for space
    std::vector<Link*> lost_;     // is_lost
    std::vector<Link*> closed_;   // LinkState::closed
    Clock::time_point next_tick_{};
    Link* reading_ = nullptr;  // a message of it is being delivered
    Events events_;
    Payloads payloads_;
    std::uint64_t turn_ = 0;
    std::uint64_t next_idle_look_ = 0;
    std::vector<std::byte> copy_;  // of a header, to be believed
    Counters counters_;
};

}  // namespace ddict::samehost
