// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The directory: shard -> node, process and address of the manager that serves it. An entry changes when
// another process takes the manager's place; each change has a higher epoch than the one before, so that who
// learns of several in any order keeps the newest. The node launcher of the shard's node makes them, and
// nobody else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/error.h>
#include <ddict/result.h>

#include "base/bytes.h"
#include "base/process_identity.h"
#include "cluster/ids.h"

namespace ddict {

enum class ServingState : std::uint16_t {
    serving = 0,
    restarting = 1,  // its process has ended, and another will serve the shard soon
    lost = 2,        // nobody will
};
inline constexpr std::uint16_t serving_state_last = static_cast<std::uint16_t>(ServingState::lost);

struct DirectoryEntry {
    /// Of `reason`; what is beyond is cut off.
    static constexpr std::size_t reason_bytes_max = 120;

    ShardId shard{};
    Epoch epoch = first_epoch;
    ServingState state = ServingState::serving;
    bool is_restartable = false;       // when its process ends, its node launcher starts another
    std::string reason{};              // why it is lost ("was killed"); else empty
    std::string node{};                // host name
    ProcessIdentity process{};         // of the manager; unless it serves, of the one that has ended
    std::uint64_t pool_bytes = 0;      // what its pool can hold at the most
    std::vector<std::byte> address{};  // of its transport

    /// Which process serves it. Requires that one does.
    ManagerId manager() const noexcept { return {shard, epoch}; }
    /// What operations on a shard that is lost end with.
    Error why_lost() const;
};

/// Whether `entry` replaces `known`, which is of the same shard.
inline bool is_newer(const DirectoryEntry& entry, const DirectoryEntry& known) noexcept {
    return entry.epoch > known.epoch;
}

void pack(const DirectoryEntry& entry, std::vector<std::byte>& out);
/// Reads one entry; Unpacker::good() is false afterwards if there was none.
DirectoryEntry unpack_directory_entry(Unpacker& in);

/// Read access to a directory, wherever it is kept.
class DirectoryView {
  public:
    virtual ~DirectoryView() = default;
    virtual std::uint32_t manager_count() const = 0;
    /// Requires number_of(shard) < manager_count().
    virtual Result<DirectoryEntry> entry(ShardId shard) const = 0;
};

}  // namespace ddict
