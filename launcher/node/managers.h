// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The managers of one node: processes of this one.
#pragma once

#include <poll.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "launcher/binding.h"
#include "launcher/end_summary.h"
#include "launcher/manager_process.h"
#include "launcher/node/guardian.h"
#include "launcher/node/node_identity.h"
#include "launcher/node/segments.h"
#include "launcher/plan.h"
#include "os/environment.h"

namespace ddict::launcher {

class NodeManagers {
  public:
    /// All must outlive it.
    NodeManagers(const NodePlan& plan, const os::Environment& environment, const NodeIdentity& identity,
                 const std::vector<Place>& places)
        : plan_(plan), environment_(environment), identity_(identity), places_(places) {}

    /// Starts all on their pools. `shared_addresses`, of several nodes, are not to be used.
    Result<void> start(const NodeSegments& segments, const std::vector<std::string>& shared_addresses);
    /// Starts one on a pool that has been made for it, in the place of another that could not take over what
    /// was kept.
    Result<void> start_empty(std::uint32_t local, const NodeSegments& segments);
    /// Starts one in the place of another that has ended, on what that has left; on_reachable_again() is to
    /// follow.
    Result<void> start_again(std::uint32_t local, const NodeSegments& segments);
    /// It has said where it can be reached: tells it what all were told in the beginning.
    void on_reachable_again(std::uint32_t local);
    /// Forgets those that have ended.
    void clear() { managers_.clear(); }

    void add_poll_entries(std::vector<pollfd>& fds) const;
    struct Change {
        std::uint32_t local = 0;
        ManagerProcess::State before{};
        ManagerProcess::State now{};
    };
    /// Takes in what those have said of which an entry is ready: `entries` are what add_poll_entries() has
    /// added. Returns those whose state is another one now.
    std::vector<Change> advance(std::span<const pollfd> entries);

    bool all_are(ManagerProcess::State state) const;  // or further
    bool any_runs() const;
    Guardian::Managers summary() const;
    /// Whether a client that has ended one wants the pools to stay.
    bool is_any_to_be_kept() const;
    /// The first that has ended or failed; null if none has.
    const ManagerProcess* first_ended() const;
    std::span<const ManagerProcess> all() const { return managers_; }

    /// "on cpus 0-3 of NUMA domain 0"; empty: it is not bound.
    std::string place_of(std::uint32_t local) const {
        return local < places_.size() ? describe(places_[local]) : std::string();
    }
    const ManagerProcess& of(std::uint32_t local) const { return managers_[local]; }

    /// Clients may come from these hosts. Before tell_directory().
    void permit(const std::vector<std::string>& hosts);
    void tell_directory();
    /// One that is ready tells all other managers, of this node and of others, of a newer entry; if none is,
    /// nobody does.
    void announce(const DirectoryEntry& entry);
    /// Entries that these managers have heard of from others.
    std::vector<DirectoryEntry> take_entries();
    /// Pools that are nearly full, as their managers have said since the last call.
    struct Fill {
        std::uint32_t manager = 0;
        PoolFill fill;
    };
    std::vector<Fill> take_fills();
    /// Pools whose memory is there, as their managers have said since the last call.
    struct Filled {
        std::uint32_t manager = 0;
        std::string text;
    };
    std::vector<Filled> take_filled();
    /// What managers have said of their clients' sessions since the last call.
    struct SessionNews {
        std::uint32_t manager = 0;
        std::string text;
    };
    std::vector<SessionNews> take_sessions();
    /// What those that have ended in good order have said, also before they were started again.
    EndSummary end_summary() const;
    void stop();
    void kill();

  private:
    void remember(const ManagerProcess& ended);
    Result<ManagerProcess> start_one(std::uint32_t local, const NodeSegments& segments,
                                     bool takes_over) const;

    const NodePlan& plan_;
    const os::Environment& environment_;
    const NodeIdentity& identity_;
    const std::vector<Place>& places_;
    std::vector<ManagerProcess> managers_;
    std::string program_;
    std::vector<std::string> shared_addresses_;
    std::vector<std::string> permitted_;
    EndSummary earlier_;  // of those in whose places others are
};

}  // namespace ddict::launcher
