// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A dictionary that has ended and left its pools in the shared memory of its nodes, for another one to go on
// with. On each of its nodes a small segment of its own says what was kept there: as long as that is well
// formed, remove_stale_segments() leaves the pools, and what their managers have to remember, where they are.
//
//   kept := KeptHeader name, NUL-terminated          one page; the magic number is written last
//
// It outlives every process, and is of the user that has made it. Whoever resumes the dictionary owns the
// segment meanwhile (Segment::own()).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/result.h>

#include "base/working_set_settings.h"
#include "shm/segment.h"

namespace ddict::shm {

/// On one node.
struct KeptDictionary {
    std::uint64_t dictionary_id = 0;  // under which the pools have their names
    std::string name;
    std::uint32_t nodes = 0;
    std::uint32_t managers_per_node = 0;
    std::uint32_t first_manager = 0;   // of this node
    std::uint64_t pool_bytes = 0;      // of each manager
    WorkingSetSettings working_set{};  // of each
    std::int64_t kept_at = 0;          // seconds since 1970
    std::uint32_t layout_version = 0;  // of the pools

    /// Whether this version of ddict can go on with the pools.
    bool is_of_this_version() const noexcept;
    std::uint64_t bytes() const noexcept { return pool_bytes * managers_per_node; }
    bool operator==(const KeptDictionary&) const = default;
};

/// From here on its pools, which are of this version, stay. Errors: those of Segment::create().
Result<void> keep(const KeptDictionary& dictionary);
/// protocol if it is not well formed.
Result<KeptDictionary> read_kept(const Segment& segment);
/// Whether there is a segment of this name, of this user, that is well formed, of whatever version. One that
/// cannot be opened or mapped may be: it counts as kept, since what is not kept is removed.
bool is_kept(const std::string& segment_name);
/// All of this user on this node, by when they were kept. system if one of them, or what there is, cannot be
/// looked at: then it is not known which there are.
Result<std::vector<KeptDictionary>> list_kept();
/// Takes the mark away, and then the pools. busy if it is being resumed; dictionary_gone if there is none.
Result<void> discard_kept(std::uint64_t dictionary_id);

}  // namespace ddict::shm
