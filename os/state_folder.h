// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Where ddict-launch keeps which dictionaries of a user run, unless it is told otherwise.
#pragma once

#include <string>

#include "os/environment.h"

namespace ddict::os {

/// $XDG_STATE_HOME/ddict, or ~/.local/state/ddict; empty if neither that variable nor HOME is set. May be
/// relative, if HOME is.
std::string default_state_folder(const Environment& environment);

}  // namespace ddict::os
