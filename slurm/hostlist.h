// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Slurm's lists of hosts: "n[1-3,07-10],login,rack[1-2]node[0-9]". A number keeps the width that its range is
// written with: [07-10] is 07 08 09 10.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "base/limits.h"

namespace ddict::slurm {

/// The names, in Slurm's order, repetitions kept: of several brackets in a name the last runs fastest, after
/// it the first, the second and so on. An empty text is an empty list. Text after the last bracket, which
/// Slurm does not take, is taken. invalid_argument, naming the place, if the text is malformed or stands for
/// more than hosts_limit names.
Result<std::vector<std::string>> expand_hostlist(std::string_view text,
                                                 std::size_t hosts_limit = limits::hosts_max);

/// A list that expands to the same names in the same order: neighbours that differ only in a number at their
/// end are folded into a bracket.
std::string compress_hostlist(std::span<const std::string> hosts);

}  // namespace ddict::slurm
