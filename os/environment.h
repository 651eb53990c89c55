// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace ddict::os {

/// Environment variables.
using Environment = std::map<std::string, std::string, std::less<>>;

/// A copy of this process's environment.
Environment environment_of_this_process();

/// Empty if there is none of that name. Stays as long as the environment does.
std::string_view value_of(const Environment& environment, std::string_view name);

}  // namespace ddict::os
