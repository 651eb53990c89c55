// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One shard of the dictionary: the manager's logic as a deterministic state machine. Requests come in as
// transport events, replies go out through the transport; what is stored is the store's. No I/O, no clock, no
// threads.
//
// A request that fits into one message is answered before its event returns. A large put reserves its block
// first and has the payload received straight into it; the pair becomes visible when the payload is complete.
// Large operands of other verbs are received into private memory, and the request takes effect when they are
// complete. Nothing a peer sends is trusted: what makes no sense is counted and ignored.
//
// A message's way: read_call() checks its form; on_message() finds the session and whether the request has
// been executed before; execute() calls the function of its verb (manager/ops), which changes the store,
// replies, and wakes who waits.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "manager/shard_parts.h"

namespace ddict::manager {

class Shard final : public TransportEvents {
  public:
    /// `store` and `transport` must outlive the shard.
    Shard(store::Store& store, Transport& transport, const ShardOptions& options)
        : parts_(store, transport, options) {}

    /// Where the other managers are, for clients that ask, and how to ask them. Both must outlive the shard.
    /// Without a relay there are no broadcasts.
    void set_directory(const DirectoryView* directory, Relay* relay = nullptr);
    /// The same with what has been learned since. Requires that it was set.
    const DirectoryView& directory() const { return *parts_.directory; }
    /// An entry that replaces an older one. False if as much is known already. Requires a directory.
    bool replace_entry(const DirectoryEntry& entry) { return parts_.directory->replace(entry); }
    /// Those that other managers have sent, and that have replaced older ones.
    bool has_newer_entries() const noexcept { return !parts_.newer_entries.empty(); }
    std::vector<DirectoryEntry> take_newer_entries() { return std::exchange(parts_.newer_entries, {}); }
    void on_relayed(std::uint64_t tag, const Result<Reply>& outcome) {
        parts_.broadcaster.on_relayed(tag, outcome);
    }

    /// A client has asked for the end of the dictionary; the request has been answered.
    bool shutdown_requested() const noexcept { return parts_.shutdown_requested; }
    /// Whether its client wants the pool to stay.
    bool keep_requested() const noexcept { return parts_.keep_requested; }
    /// The same, of the end of this manager, whose place another one is to take.
    bool restart_requested() const noexcept { return parts_.restart_requested; }
    /// Requests that were refused since managers were killed over them; and the last one, for the log: with
    /// its key, and whose it is.
    std::uint64_t deadly_requests() const noexcept { return deadly_requests_; }
    const Error& last_deadly() const noexcept { return last_deadly_; }
    SessionGate& gate() noexcept { return parts_.gate; }
    const Sessions& sessions() const noexcept { return parts_.sessions; }
    /// As the session of this peer sees it.
    ManagerStats statistics(PeerId asking = no_peer) const;
    /// What is wrong with the invariants of its parts; empty if nothing is. Looks at everything: for tests.
    std::string inconsistency() const;
    /// Messages that were not for the shard, and that nobody else wanted: for statistics.
    void count_rejected(std::uint64_t messages) noexcept { parts_.counts.rejected_messages += messages; }
    /// How to find out how many reads clients have made without a message: ManagerStats::local_reads.
    void set_local_reads(std::function<std::uint64_t()> count) { parts_.local_reads = std::move(count); }
    /// Tunnels that the transport has now, and those that it has refused since it began.
    void note_tunnels(std::uint64_t open, std::uint64_t refused) noexcept {
        parts_.counts.tunnels = open;
        parts_.counts.refused_tunnels = refused;
    }

    /// Whether a payload's event is this shard's, and not that of another user of the same transport.
    static bool owns(std::uint64_t tag) noexcept { return (tag & Replies::transfer_tag) != 0; }

    /// Whether time matters to it at present.
    bool needs_tick() const noexcept {
        return !parts_.waiters.empty() || parts_.gate.needs_tick() || !parts_.deferred_puts.empty() ||
               parts_.store.has_retired() || parts_.hold.is_alive() || parts_.store.next_end() != shm::no_end;
    }
    /// Ends what has waited for too long, and forgets clients that have not come back. Returns when it wants
    /// to be called again, at the latest. To be called after events, if needs_tick().
    Time tick(Time now);

    void on_message(Bytes message, const IncomingPayload& payload) override;
    void on_payload_received(std::uint64_t tag, bool ok) override;
    void on_payload_sent(std::uint64_t tag, bool ok) override;
    void on_peer_lost(PeerId peer, const Error& why) override { parts_.gate.on_peer_lost(peer, why); }

  private:
    void reject(std::uint64_t payload_token);
    Time expire(Time now);
    bool is_new(Session& session, Call& call);
    bool is_still_new(const Call& call);
    [[gnu::noinline, gnu::cold]] bool is_at_checkpoint(Call& call);
    bool comes_too_early(const Call& call);
    void release_last(Session& session, std::uint64_t request);
    bool take_operand(Call& call) noexcept;
    void execute(Call& call);
    void refuse_deadly(const Call& call);
    std::string client_of(const Call& call);

    ShardParts parts_;
    std::vector<std::byte> operand_;  // scratch: the value of a request that is executed now
    std::uint64_t deadly_requests_ = 0;
    Error last_deadly_;
};

}  // namespace ddict::manager
