// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>

namespace ddict {

/// Dictionaries that are made while it lives do not start managers again.
class WithoutRestarts {
  public:
    WithoutRestarts() { ::setenv("DDICT_NO_RESTART", "1", 1); }
    ~WithoutRestarts() { ::unsetenv("DDICT_NO_RESTART"); }
};

}  // namespace ddict
