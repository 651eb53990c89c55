// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary's directory in the shared memory of a node, so that a client there finds any manager without
// asking.
//
//   segment := header  slot*  read counts            a slot for each shard, each slot_bytes
//   slot    := version:u64  copy copy                each copy half of the rest
//   copy    := length:u64  packed DirectoryEntry     copy number version % 2 holds
//
// The node launcher creates the segment first of all, fills it when every manager's address is known, keeps
// it open for as long as the dictionary lives, and alone writes to it. A change writes the copy that does not
// hold, and then the version: so a reader sees the old entry or the new one, and a writer that is killed
// leaves the old one. A reader that was overtaken by two changes sees that by the version, and reads
// again.
//
// The read counts begin with the next page (read_counts.h): they are what clients write, who map them alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "base/secret.h"
#include "cluster/directory.h"
#include "shm/segment.h"

namespace ddict::shm {

struct DirectoryIdentity {
    std::uint64_t dictionary_id = 0;
    Secret secret{};
    std::uint32_t ucx_version = 0;
    // The managers of this node, whose pools are in its shared memory.
    std::uint32_t first_local_manager = 0;
    std::uint32_t local_managers = 0;
};

/// The segment, empty still; its errors are those of Segment::create(). Create it before any pool of the
/// dictionary.
Result<Segment> create_directory_segment(std::uint64_t dictionary_id);
/// What the segment must hold: space for the entries, and for others with somewhat longer addresses.
std::uint64_t directory_segment_bytes(const std::vector<DirectoryEntry>& entries);
/// Fills it, makes it grow if need be, and makes all visible in one step. Once only. Requires
/// entries[i].shard == ShardId{i}, and that the managers of this node are among them.
Result<void> write_directory(Segment& segment, const DirectoryIdentity& identity,
                             const std::vector<DirectoryEntry>& entries);
/// Replaces the entry of its shard if it is newer; readers see the change at once. False: it is not newer,
/// and nothing has changed. invalid_argument if the directory is not filled, or has no such shard; too_large
/// if the entry does not fit into its slot. Requires that nobody else writes to it.
Result<bool> update_entry(Segment& segment, const DirectoryEntry& entry);

/// The dictionary has ended, and its pools on this node are kept: for those who have the segment mapped.
void mark_kept(Segment& segment);

/// The directory as others read it; nothing in it is trusted. Any thread may read, also while it changes.
class DirectorySegment final : public DirectoryView {
  public:
    /// dictionary_gone if there is none on this node, if its owner is dead, or if it is not filled yet;
    /// incompatible if another version of ddict wrote it; protocol if it is damaged. A few system calls,
    /// whatever the number of managers.
    static Result<DirectorySegment> open(std::uint64_t dictionary_id);

    const DirectoryIdentity& identity() const noexcept { return identity_; }
    std::uint32_t manager_count() const override { return manager_count_; }
    /// O(1), no system call. invalid_argument beyond the last manager; protocol if the entry is damaged.
    Result<DirectoryEntry> entry(ShardId shard) const override;
    const std::string& name() const noexcept { return segment_.name(); }
    /// Whether this manager's pool is in the memory of the node.
    bool is_of_node(std::uint32_t manager) const noexcept {
        return manager - identity_.first_local_manager < identity_.local_managers;
    }
    /// How often clients have read from this node's pools, as read_counts.h has it; and where that begins.
    Bytes read_counts() const noexcept;
    std::uint64_t read_counts_offset() const noexcept;
    /// Whether the node launcher that owns the directory still lives. Two system calls.
    bool has_owner() const { return segment_.has_owner(); }
    /// Whether the dictionary has ended, and its pools on this node are kept.
    bool is_kept() const;

  private:
    DirectorySegment(Segment segment, const DirectoryIdentity& identity, std::uint32_t manager_count,
                     std::uint64_t slot_bytes);

    Segment segment_;
    DirectoryIdentity identity_;
    std::uint32_t manager_count_ = 0;
    std::uint64_t slot_bytes_ = 0;
};

}  // namespace ddict::shm
