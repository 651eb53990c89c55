// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ddict/dictionary.h>

#include <chrono>

namespace ddict::tools {

struct TopOptions {
    std::chrono::milliseconds interval{1000};
    bool once = false;  ///< one picture of one interval, as plain text, also on a terminal
};

/// ddict top: shows what the managers do until the user has seen enough. Returns the exit status. Throws
/// Exception when nobody can be asked.
int run_top(const Dictionary& dict, const TopOptions& options);

}  // namespace ddict::tools
