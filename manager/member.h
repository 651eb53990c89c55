// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A manager among managers: its shard, and itself as a client of the others, on one transport. Tells requests
// from replies, does the roll call, and carries the shard's broadcasts. No I/O, no clock, no threads: driven
// by the server over UCX, and by the simulation.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "manager/announcement.h"
#include "manager/relay.h"
#include "manager/roll_call.h"
#include "manager/shard.h"
#include "rpc/requester.h"

namespace ddict::manager {

class Member final : public TransportEvents, private Relay, private Whereabouts {
  public:
    /// `store` and `transport` must outlive the member.
    Member(store::Store& store, Transport& transport, const ShardOptions& options);

    Shard& shard() { return shard_; }
    const Shard& shard() const { return shard_; }

    /// Where all managers are. Must outlive the member.
    void set_directory(const DirectoryView& directory);

    /// A newer entry of the directory: of this manager's own node launcher. It goes to all other managers.
    /// Without effect if as much is known already. Requires a directory.
    void announce(const DirectoryEntry& entry);
    /// Newer entries that other managers have sent, for this manager's node launcher.
    bool has_newer_entries() const noexcept { return shard_.has_newer_entries(); }
    std::vector<DirectoryEntry> take_newer_entries();

    /// Says hello to the neighbours. Requires a directory.
    void begin_roll_call(Time now, Time deadline);
    /// Once, when the roll call has ended: success, or the first error.
    std::optional<Result<void>> take_roll_call();

    /// Whether tick() need be called at all.
    bool needs_tick() const {
        return shard_.needs_tick() || !queued_.empty() || !under_way_.empty() || roll_call_.has_value() ||
               !announcements_.empty();
    }
    /// What takes time, or has waited for the time to be known. Returns when it wants to be called again, at
    /// the latest. To be called after events.
    Time tick(Time now);

    /// Says goodbye to the other managers. Requires that nothing is asked of them.
    void leave();

    void on_message(Bytes message, const IncomingPayload& payload) override;
    void on_payload_received(std::uint64_t tag, bool ok) override;
    void on_payload_sent(std::uint64_t tag, bool ok) override;
    void on_peer_lost(PeerId peer, const Error& why) override;

  private:
    struct Queued {
        Request request;
        std::chrono::nanoseconds timeout;
        std::uint64_t tag;
    };
    struct UnderWay {
        Requester::OperationId operation;
        std::uint64_t tag;
    };

    std::optional<DirectoryEntry> look_up(ShardId shard) override;
    void learn(const DirectoryEntry& entry) override;
    std::optional<DirectoryEntry> someone_else(ShardId shard, unsigned turn) override;
    std::optional<bool> has_node_launcher() override { return true; }  // without it a manager ends
    void know(const DirectoryEntry& entry);
    void relay(const Request& request, std::chrono::nanoseconds timeout, std::uint64_t tag) override;
    void start_queued(Time now);
    bool finish_some();
    void tell_of_neighbours();
    void tell_all_of(const DirectoryEntry& entry);
    Time go_on_announcing(Time now);

    ShardId own_shard_;
    Shard shard_;
    LostManagers lost_;
    Requester others_;  // this manager as a client of others
    const DirectoryView* directory_ = nullptr;
    std::optional<RollCall> roll_call_;
    std::optional<Result<void>> roll_call_outcome_;
    std::deque<Queued> queued_;  // until the next tick, and until fewer are under way
    std::vector<UnderWay> under_way_;
    static constexpr std::size_t announcements_at_once_max = 8;
    std::vector<std::unique_ptr<Announcement>> announcements_;  // the oldest first
};

}  // namespace ddict::manager
