// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A host of its own for a test, as far as dictionaries can tell: a /dev/shm that is empty at first, and no
// System V segments; and TMPDIR is a folder in memory (/mnt, unless the programs lie there), which ends with
// the last process. What others run on the machine is neither seen nor disturbed, so a test may compare all
// that is there before and after.
#pragma once

#include <string>

namespace ddict::testing {

/// Moves this process, and what it starts from now on, into mount and IPC namespaces of their own, as another
/// user than root into a user namespace too, with the same uid and gid. Returns why not where the kernel or
/// the container does not allow it; the process then is where it was. Requires: one thread. Leaves: nothing,
/// whoever is killed; the kernel frees all with the last process.
std::string enter_own_host();

/// The same; complains on standard error if it cannot be done, and goes on in the machine's own /dev/shm.
void enter_own_host_or_say_why_not();

}  // namespace ddict::testing
