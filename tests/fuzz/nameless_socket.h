// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "tests/fuzz/fuzz_target.h"

namespace ddict::fuzz {

/// A path by which this process, and no other, can still connect to the socket at `path`, whose name is
/// removed: so nothing is left behind, however this process ends.
inline std::string nameless(const std::string& path) {
    const int socket = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    require(socket >= 0 && ::unlink(path.c_str()) == 0);
    return "/proc/self/fd/" + std::to_string(socket);
}

}  // namespace ddict::fuzz
