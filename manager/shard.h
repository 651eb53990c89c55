// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One shard of the dictionary: the manager's logic as a deterministic state machine. Requests come in as
// transport events, replies go out through the transport; pairs live in the pool. No I/O, no clock, no
// threads.
//
// A request that fits into one message is answered before its event returns. A large put reserves its block
// first and has the body received straight into it; the pair becomes visible when the body is complete. A
// large get is sent straight from its block, which stays pinned until the transport lets it go, whatever
// happens to the key meanwhile. Nothing a peer sends is trusted: what makes no sense is counted and ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include <ddict/stats.h>

#include "core/directory.h"
#include "core/transport.h"
#include "core/wire.h"
#include "shm/pool.h"

namespace ddict::manager {

struct ShardOptions {
    std::uint32_t ucx_version = 0;   // clients with another one are refused
    std::uint64_t session_seed = 0;  // of the numbers that sessions get; unpredictable in production
    std::int32_t pid = 0;            // for statistics
};

class Shard final : public TransportEvents {
  public:
    /// `pool` and `transport` must outlive the shard.
    Shard(shm::Pool& pool, Transport& transport, const ShardOptions& options);

    /// Where the shard finds the other managers' addresses for clients that ask. Must outlive the shard.
    void set_directory(const DirectoryView* directory) { directory_ = directory; }

    /// A client has asked for the end of the dictionary; the request has been answered.
    bool shutdown_requested() const { return shutdown_requested_; }
    std::size_t sessions() const { return sessions_by_peer_.size(); }
    /// Large values on their way in or out.
    std::size_t bodies_in_flight() const { return transfers_.size() - free_transfers_.size(); }

    void on_message(Bytes head, const IncomingBody& body) override;
    void on_body_received(std::uint64_t tag, bool ok) override;
    void on_body_sent(std::uint64_t tag, bool ok) override;
    void on_peer_lost(PeerId peer, const Error& why) override;

  private:
    struct Session {
        std::uint64_t id = 0;  // slot in the lower half, a random number in the upper; 0: free
        PeerId peer = no_peer;
        std::uint64_t greeter = 0;   // who it is: a hash of process and address
        std::uint64_t greeting = 0;  // the number of its hello
    };
    /// A body on its way: of a put into `reserved`, of a get out of `pinned`, or of a page of ours.
    struct Transfer {
        shm::Block* reserved = nullptr;
        const shm::Block* pinned = nullptr;
        std::vector<std::byte> page;
        std::uint64_t session = 0;
        std::uint64_t request = 0;
    };
    /// A request that has passed the checks.
    struct Call {
        wire::RequestHeader header;
        Bytes key;
        Bytes value;  // whole, unless the body has a token
        const IncomingBody& body;
        PeerId peer;
    };

    std::optional<Call> parse(Bytes head, const IncomingBody& body);
    void reject(const IncomingBody& body);
    Session* find_session(std::uint64_t id);
    void dispatch(const Call& call);

    void on_hello(const Call& call);
    Errc refusal_of(const wire::Hello& hello) const;
    bool replaces_session(std::uint64_t greeter, std::uint64_t greeting);
    void on_put(const Call& call);
    void on_get(const Call& call);
    void on_erase(const Call& call);
    void on_keys(const Call& call);
    void on_stats(const Call& call);
    void on_directory(const Call& call);

    void reply(const Call& call, std::uint64_t argument = 0);
    void reply_error(const Call& call, const Error& error);
    void reply_page(const Call& call, std::vector<std::byte> page, std::uint64_t argument);
    void send_reply(PeerId peer, const wire::ReplyHeader& header, Bytes inline_value);
    void end_session(std::uint64_t id);
    bool has_room_for_body() const { return bodies_in_flight() < limits::bodies_in_flight_max; }
    std::uint64_t start_transfer(Transfer transfer);
    Transfer end_transfer(std::uint64_t tag);
    ManagerStats statistics(PeerId asking) const;

    shm::Pool& pool_;
    Transport& transport_;
    ShardOptions options_;
    const DirectoryView* directory_ = nullptr;
    std::mt19937_64 random_;
    std::vector<Session> sessions_;
    std::vector<std::uint32_t> free_sessions_;
    std::unordered_map<PeerId, std::uint64_t> sessions_by_peer_;
    std::unordered_map<std::uint64_t, std::uint64_t> sessions_by_greeter_;
    std::vector<Transfer> transfers_;
    std::vector<std::uint32_t> free_transfers_;
    std::vector<std::byte> head_;  // scratch: a reply being put together
    ManagerStats counters_;        // of which only the counts of events are used
    bool shutdown_requested_ = false;
};

}  // namespace ddict::manager
