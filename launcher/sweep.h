// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch --sweep: what a step that was killed has left in the shared memory of a node.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddict::launcher {

/// The arguments after --sweep.
std::vector<std::string> sweep_arguments(std::uint64_t dictionary_id);

/// Removes the segments of that dictionary, and all others without a living owner, as soon as its node
/// launcher is dead. Returns 0, or 1 with a word on standard error if it lives on for some seconds.
int sweep(const std::vector<std::string>& args);

}  // namespace ddict::launcher
