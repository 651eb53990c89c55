// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ddict/error.h>

namespace ddict::tools {

/// How a command ends, for scripts. The help and the user guide have the same table.
enum ExitStatus : int {
    success = 0,
    no_such_key = 1,
    wrong_call = 2,     ///< the command line, a key, a type or the handle: another try is as wrong
    timed_out = 3,      ///< the deadline passed
    unreachable = 4,    ///< the manager, or the whole dictionary, is lost or gone
    partial = 5,        ///< it was done, or is told, of a part only: the rest is named
    other_failure = 6,  ///< everything else
};

ExitStatus status_of(Errc code);

}  // namespace ddict::tools
