// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/state_folder.h"

namespace ddict::os {

std::string default_state_folder(const Environment& environment) {
    // The specification of that variable wants a relative path to be ignored.
    if (const std::string xdg(value_of(environment, "XDG_STATE_HOME")); xdg.starts_with('/'))
        return xdg + "/ddict";
    const std::string home(value_of(environment, "HOME"));
    return home.empty() ? home : home + "/.local/state/ddict";
}

}  // namespace ddict::os
