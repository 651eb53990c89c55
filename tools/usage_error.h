// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

namespace ddict::tools {

/// The command line makes no sense. Its text says what is wrong with it, without the name of the program.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace ddict::tools
