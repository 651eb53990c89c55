// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include <ddict/result.h>

namespace ddict::os {

/// Environment variables.
using Environment = std::map<std::string, std::string, std::less<>>;

/// A copy of this process's environment.
Environment environment_of_this_process();

/// Empty if there is none of that name. Stays as long as the environment does.
std::string_view value_of(const Environment& environment, std::string_view name);

/// Whether a variable of this process's environment is 1, or 0; `otherwise` if it is not set, or empty.
/// Errors: invalid_argument, which names it, if it is anything else.
Result<bool> flag_in_environment(const char* name, bool otherwise);

}  // namespace ddict::os
