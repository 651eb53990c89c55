// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

namespace ddict::os {

/// Environment variables.
using Environment = std::map<std::string, std::string, std::less<>>;

/// A copy of this process's environment.
Environment environment_of_this_process();

}  // namespace ddict::os
