// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A remote shell passes no environment on, and arguments are for everyone to read: what node launchers need
// of the launcher's environment, the secret above all, are the first lines of their lifeline.
#pragma once

#include <string>
#include <vector>

#include <ddict/result.h>

#include "os/environment.h"

namespace ddict::launcher {

/// The argument of a node launcher whose lifeline begins so.
inline constexpr const char* environment_on_lifeline = "--environment=lifeline";

/// A manager that has it will be told later which hosts are its dictionary's.
inline constexpr const char* hosts_follow_variable = "DDICT_HOSTS_FOLLOW";

/// What is to be said first: variables of ddict and of UCX.
std::string format_environment(const os::Environment& environment);

/// Reads it from the descriptor, if `args` say so, and nothing behind it; gives `environment` with these
/// variables. Errors: timeout, not within some seconds; protocol, something else, or half of it.
Result<os::Environment> take_environment(int fd, const std::vector<std::string>& args,
                                         os::Environment environment);

}  // namespace ddict::launcher
