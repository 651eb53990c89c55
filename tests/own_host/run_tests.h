// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace ddict::testing {

/// What the main function of every GoogleTest program ends with: moves to a host of its own, and runs the
/// tests. Returns the exit status. Requires: one thread.
int run_all_tests(int argc, char** argv);

}  // namespace ddict::testing
