// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The shared memory of one node: a pool for each of its managers, and the directory, whose lock tells
// everyone that this dictionary lives.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "cluster/directory.h"
#include "launcher/node/node_identity.h"
#include "launcher/plan.h"
#include "shm/directory_segment.h"
#include "shm/segment.h"

namespace ddict::launcher {

class NodeSegments {
  public:
    /// Both must outlive it; `identity` is known by the time of make().
    NodeSegments(const NodePlan& plan, const NodeIdentity& identity) : plan_(plan), identity_(identity) {}

    /// Makes and formats all. Touching the memory of a large pool takes seconds: `look_up` is called in
    /// between, and its error ends it.
    Result<void> make(const std::function<Result<void>()>& look_up);
    /// Formats the pools anew, for managers that are started again.
    Result<void> format_again() const;
    Result<void> write_directory(std::uint32_t ucx_version, const std::vector<DirectoryEntry>& entries);

    /// False if as much is known already. Requires that the directory is written.
    Result<bool> update_entry(const DirectoryEntry& entry) { return shm::update_entry(*directory_, entry); }

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
    /// told.
    void remove();

  private:
    Result<void> format(shm::Segment& pool, std::uint32_t local) const;

    const NodePlan& plan_;
    const NodeIdentity& identity_;
    std::optional<shm::Segment> directory_;
    std::vector<std::string> pool_names_;
    std::vector<std::optional<shm::Segment>> withdrawn_;  // the pools, once their names are gone
};

}  // namespace ddict::launcher
