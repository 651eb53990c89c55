// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What clients cost the managers of this host, and what they leave on it.
#pragma once

#include <ddict/dictionary.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ddict::faults {

struct Footprint {
    // Of all managers together:
    std::uint64_t sessions = 0;
    std::uint64_t waiting = 0;
    std::uint64_t payloads_in_flight = 0;
    std::uint64_t keys = 0;
    std::uint64_t used_bytes = 0;
    std::uint64_t descriptors = 0;
    std::uint64_t connection_mappings = 0;
    std::uint64_t other_mappings = 0;  ///< of which the heap's come and go
    std::uint64_t anonymous_kib = 0;   ///< resident, without what is shared
    // Of the host:
    std::uint64_t shared_memory_files = 0;
    std::uint64_t system_v_segments = 0;

    static Footprint of(const Dictionary& dictionary, const std::vector<pid_t>& managers);
    /// Same in all but the heap, which may have grown by so much.
    bool is_back_at(const Footprint& before, std::uint64_t growth_kib, std::uint64_t growth_mappings) const;
    std::string text() const;
};

std::uint64_t descriptors_of(pid_t process);
/// RssAnon.
std::uint64_t anonymous_kib_of(pid_t process);

}  // namespace ddict::faults
