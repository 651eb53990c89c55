// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the nodes of a dictionary that is to be resumed have of it, and whether that fits together: asked and
// agreed on before anything is changed on any of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "launcher/plan.h"
#include "shm/kept_dictionary.h"

namespace ddict::launcher {

/// What one node has found.
struct KeptOnNode {
    std::string node;                         // host name
    std::optional<shm::KeptDictionary> kept;  // none: nothing of this name
    std::vector<std::uint32_t> missing;       // of its managers, those whose memory is not there
    std::optional<Error> trouble;             // why what is there cannot be taken
};
std::string pack_kept(const KeptOnNode& node);
/// protocol if it makes no sense.
Result<KeptOnNode> unpack_kept(std::string_view packed);

/// The mark of the kept dictionary of this name on this node, and what is missing of it: looks only, and owns
/// the mark afterwards, so that nobody else takes it over or discards it.
struct FoundKept {
    KeptOnNode on_node;
    std::optional<shm::Segment> mark;
};
FoundKept find_kept(const std::string& name, const std::string& node);

/// What `plan` asks for against what the nodes have, in their order. not_found: nothing was kept; or a part
/// is missing, without plan.allow_empty. invalid_argument: the settings differ, of which both are named; the
/// nodes have kept different dictionaries; or there are several of that name. Otherwise the trouble of the
/// first node that has some.
Result<void> agree_on_kept(const NodePlan& plan, std::span<const KeptOnNode> nodes);

/// "2026-11-29 21:05:12"
std::string local_time(std::int64_t seconds);

}  // namespace ddict::launcher
