// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "bench/team.h"

namespace ddict::bench {

/// How long `ddict ARGUMENTS` takes as a process, from its start until it has ended, with this dictionary in
/// its environment; the median of `runs`. The program is looked for beside this one, in ../bin, and in PATH.
/// Throws std::runtime_error if it cannot be run or fails.
Nanoseconds time_of_ddict(const std::string& handle, const std::vector<std::string>& arguments,
                          unsigned runs);

}  // namespace ddict::bench
