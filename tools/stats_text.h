// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What managers say of themselves, for people and for programs.
#pragma once

#include <ddict/stats.h>

#include <string>
#include <vector>

namespace ddict::tools {

/// Two tables: a line for each manager, and one for each kind of operation that it has been asked for.
std::string stats_table(const std::vector<ManagerStats>& all);
/// An array of objects, with everything that there is in ManagerStats.
std::string stats_json(const std::vector<ManagerStats>& all);

}  // namespace ddict::tools
