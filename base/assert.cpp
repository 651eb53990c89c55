// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace ddict {

void assertion_failed(const char* condition, const char* what, const char* file, int line) noexcept {
    std::fprintf(stderr, "ddict: internal error: %s (%s) at %s:%d; please report this\n", what, condition,
                 file, line);
    std::abort();
}

}  // namespace ddict
