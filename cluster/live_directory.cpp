// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "cluster/live_directory.h"

namespace ddict {

Result<DirectoryEntry> LiveDirectory::entry(ShardId shard) const {
    Result<DirectoryEntry> known = below_.entry(shard);
    const auto learned = learned_.find(shard);
    if (learned == learned_.end()) return known;
    if (known && !is_newer(learned->second, *known)) return known;
    return learned->second;
}

bool LiveDirectory::replace(const DirectoryEntry& entry) {
    if (number_of(entry.shard) >= manager_count()) return false;
    if (const Result<DirectoryEntry> known = this->entry(entry.shard); known && !is_newer(entry, *known))
        return false;
    learned_[entry.shard] = entry;
    return true;
}

}  // namespace ddict
