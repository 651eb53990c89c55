// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Counts the calls of operator new in a test binary that links this. Clang's thread sanitizer has an operator
// new of its own that cannot be replaced: there the count stays 0.
#pragma once

#include <cstdint>

namespace ddict::transport::testing {

std::uint64_t allocations();

}  // namespace ddict::transport::testing
