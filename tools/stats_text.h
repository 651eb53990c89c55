// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What managers say of themselves, for people and for programs.
#pragma once

#include <ddict/profile.h>

#include <string>

#include "tools/activity.h"

namespace ddict::tools {

/// Two tables: a line for each manager, and one for each kind of operation that it has been asked for. A
/// manager that is lost has its reason in its line.
std::string stats_table(const Sample& sample);
/// An object: `managers`, with everything that there is in ManagerStats and ManagerHealth, and `client`, with
/// everything in the profile of the process that asked.
std::string stats_json(const Sample& sample, const ClientProfile& client);

}  // namespace ddict::tools
