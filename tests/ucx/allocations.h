// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Counts the calls of operator new in a test binary that links this.
#pragma once

#include <cstdint>

namespace ddict::ucx::testing {

std::uint64_t allocations();

}  // namespace ddict::ucx::testing
