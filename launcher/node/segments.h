// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The shared memory of one node: a pool for each of its managers, and the directory, whose lock tells
// everyone that this dictionary lives.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "cluster/directory.h"
#include "launcher/binding.h"
#include "launcher/node/node_identity.h"
#include "launcher/plan.h"
#include "launcher/resume.h"
#include "shm/directory_segment.h"
#include "shm/pool.h"
#include "shm/segment.h"

namespace ddict::launcher {

/// Why pools do not get the huge pages that were asked for; empty if they do, or were not asked for.
std::string no_huge_pages(const NodePlan& plan);

class NodeSegments {
  public:
    /// All must outlive it; `identity` and `places` are known by the time of make().
    NodeSegments(const NodePlan& plan, const NodeIdentity& identity, const std::vector<Place>& places)
        : plan_(plan), identity_(identity), places_(places) {}

    /// Makes and formats all. Touching the memory of a large pool takes seconds: `look_up` is called in
    /// between, and its error ends it.
    Result<void> make(const std::function<Result<void>()>& look_up);
    /// Makes the pools as they were after make(), for managers that are started again.
    Result<void> format_again() const;

    /// What there is of the dictionary that is to be resumed. Before make(), which then takes it over: the
    /// pools get names of this dictionary beside those they have, so that it stays kept until settle().
    const KeptOnNode& find_kept();
    /// How many of the pools are there already, as find_kept() has said.
    std::uint32_t pools_kept() const;
    /// What is not there of those: they were made in the background, and kept before that had come to its
    /// end.
    std::uint64_t kept_missing_bytes() const;
    /// Whether the pool is one that was kept.
    bool is_kept(std::uint32_t local) const { return is_kept_[local]; }
    /// What was kept for this manager cannot be taken over: it gets an empty pool. What was kept stays.
    Result<void> make_empty(std::uint32_t local);
    /// The dictionary serves: what it has taken over is its own now, and nobody else can.
    void settle();
    Result<void> write_directory(std::uint32_t ucx_version, const std::vector<DirectoryEntry>& entries);

    /// False if as much is known already. Requires that the directory is written.
    Result<bool> update_entry(const DirectoryEntry& entry) { return shm::update_entry(*directory_, entry); }

    /// Why pools do not come from the domains of their managers, though they should; empty if they do.
    std::string far_memory() const;

    std::string directory_name() const { return directory_->name(); }
    /// `local`: of the managers of this node.
    const std::string& pool_name(std::uint32_t local) const { return pool_names_[local]; }

    /// Its manager has died: nobody is to read the pool as if it lived.
    void mark_gone(std::uint32_t local);
    /// Takes the names away. Whoever is killed at the end of a job cannot clean up; what has no name goes
    /// with those who have it mapped. Clients that come now do without: they ask the managers.
    void withdraw_names();
    bool are_names_withdrawn() const { return !withdrawn_.empty(); }
    /// Clients may have the pools mapped still, and read what is there without asking anyone: so they are
    /// told. What is kept, and not settled, stays.
    void remove();
    /// Instead of remove(), when the managers have ended: the pools stay, and another dictionary can go on
    /// with them. On an error nothing has happened.
    Result<void> keep();

  private:
    shm::PoolIdentity pool_identity(std::uint32_t local) const;
    std::string kept_pool_name(std::uint32_t local) const;
    std::vector<std::optional<Result<shm::Segment>>> create_missing(
        const std::function<Result<void>()>& look_up) const;
    Result<void> prepare_new(std::uint32_t local, Result<shm::Segment> segment) const;
    void prepare_pool(std::uint32_t local, std::byte* data, std::uint64_t bytes) const;
    Result<shm::Segment> create_pool(std::uint32_t local) const;
    Result<void> make_new(std::uint32_t local);
    Result<void> take_kept(std::uint32_t local, const std::function<Result<void>()>& look_up);
    Result<void> hand_over(std::uint32_t local, const std::function<Result<void>()>& look_up) const;
    static Result<void> take_all(const shm::Segment& pool, const std::function<Result<void>()>& look_up);

    const NodePlan& plan_;
    const NodeIdentity& identity_;
    const std::vector<Place>& places_;
    std::optional<shm::Segment> directory_;
    std::vector<std::string> pool_names_;
    std::vector<bool> is_kept_;
    FoundKept found_;
    mutable std::mutex far_memory_mutex_;
    mutable std::string far_memory_;
    std::vector<std::optional<shm::Segment>> withdrawn_;  // the pools, once their names are gone
};

}  // namespace ddict::launcher
