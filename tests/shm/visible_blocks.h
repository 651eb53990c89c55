// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/assert.h"
#include "shm/block.h"
#include "shm/layout.h"
#include "shm/segment.h"

namespace ddict::shm {

/// Calls visit(block) for each pair of a pool that nobody writes to, from outside.
template <class F>
void for_each_visible_block(const std::string& segment_name, F visit) {
    const Segment segment = Segment::open(segment_name, Access::read_only).value();
    const std::byte* pool = segment.data();
    const auto& header = *reinterpret_cast<const PoolHeader*>(pool);
    DDICT_ASSERT(header.magic.load() == pool_magic, "a pool");
    const std::uint64_t root = header.index_root.load();
    const auto* entries = reinterpret_cast<const AtomicWord*>(pool + root_entries(root));
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i >> root_depth(root) == 0; ++i) {
        const std::uint64_t offset = entries[i].load();
        if (offset == last) continue;
        last = offset;
        for (const Bucket& bucket : reinterpret_cast<const IndexSegment*>(pool + offset)->buckets) {
            for (const AtomicWord& slot : bucket.slots) {
                if (const std::uint64_t block = slot_block(slot.load()); block != 0)
                    visit(*reinterpret_cast<const Block*>(pool + block));
            }
        }
    }
}

}  // namespace ddict::shm
