// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which manager of a node runs on which of its processors: --bind. Dealing them out is pure; topology.h knows
// what there is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "os/cpus.h"

namespace ddict::launcher {

enum class Bind {
    none,  // wherever the kernel puts them
    numa,  // each to the cores of one NUMA domain
    core,  // each to a core that no other manager of the dictionary has
};
std::string_view word_of(Bind bind);
std::optional<Bind> bind_named(std::string_view word);

/// Processors that share one memory, as far as this process may use them.
struct Domain {
    std::uint32_t number = 0;     // the kernel's
    bool has_memory = true;       // that this process may use
    std::vector<os::Cpus> cores;  // of each its hardware threads
};

/// Where a manager runs.
struct Place {
    os::Cpus cpus;
    std::uint32_t domain = 0;
    bool has_memory = true;  // its pool is to come from the domain

    bool operator==(const Place&) const = default;
};
/// "on cpus 0-3 of NUMA domain 0"
std::string describe(const Place& place);
/// Of all managers of a node, in order, for people; of many the first.
std::string describe(const std::vector<Place>& places);

/// One for each manager: none for Bind::none. `numa` deals managers round the domains. `core` too, and in
/// each domain the last core comes first: programs of a job fill a node from its first. invalid_argument if
/// there are fewer cores than managers: two of them on one core would halve each other, and a third of the
/// managers being slow makes all of the dictionary slow.
Result<std::vector<Place>> deal_out(const std::vector<Domain>& domains, Bind bind, std::uint32_t managers);

/// On this node, of the processors that this process may use. Errors: as of deal_out() and find_domains().
Result<std::vector<Place>> find_places(Bind bind, std::uint32_t managers);

}  // namespace ddict::launcher
