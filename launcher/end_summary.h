// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What there is to say of a dictionary that has ended, for the one line that the wrapper prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wire/manager_summary.h"

namespace ddict::launcher {

/// Of one manager, or of all of a node or a dictionary.
struct EndSummary {
    std::uint32_t managers = 0;         // that have said something
    std::uint32_t fullest_manager = 0;  // the one whose pool has been the fullest,
    std::string fullest_node{};
    std::uint64_t peak_bytes = 0;  // how full it was,
    std::uint64_t pool_bytes = 0;  // and how large it is
    std::uint64_t pairs = 0;
    std::uint64_t requests = 0;
    std::uint64_t refused_puts = 0;
    std::uint64_t local_reads = 0;  // in shared memory, without a request
    bool is_partial = false;        // processes have ended without a word

    void add(const EndSummary& other);
};

/// Of one manager on a node.
EndSummary end_summary_of(std::uint32_t manager, const std::string& node, const ManagerSummary& summary);

struct Ending {
    std::uint32_t managers = 0;  // of the dictionary
    std::uint32_t lost = 0;      // of these, for good
    std::uint32_t unheard = 0;   // of these, that have not told their end
    bool has_lost_keys = false;
};
/// "1 manager of 4 lost"; "nothing lost" only where that is known.
std::string what_was_lost(const Ending& ending);
/// One line without a newline; nothing if no manager has said anything, and nothing was lost.
std::optional<std::string> end_summary_text(const EndSummary& summary, const Ending& ending);

/// That a pool is so full, and what to do about it.
std::string fill_text(std::uint32_t manager, const std::string& node, const PoolFill& fill);

}  // namespace ddict::launcher
