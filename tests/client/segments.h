// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace ddict {

/// The shared memory of dictionaries on this host, and what UCX leaves when it is not ended in good order.
inline std::set<std::string> segments() {
    std::set<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator("/dev/shm")) {
        const std::string name = file.path().filename();
        if (name.starts_with("ddict-") || name.starts_with("ucx_shm")) names.insert(name);
    }
    return names;
}

}  // namespace ddict
