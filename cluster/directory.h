// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The directory: shard -> node, process and address of the manager that serves it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "base/bytes.h"
#include "base/process_identity.h"
#include "cluster/ids.h"

namespace ddict {

struct DirectoryEntry {
    ShardId shard{};
    Epoch epoch = first_epoch;       // rises when another process takes the manager's place
    std::string node;                // host name
    ProcessIdentity process;         // of the manager
    std::uint64_t pool_bytes = 0;    // what its pool can hold at the most
    std::vector<std::byte> address;  // of its UCX worker
};

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
