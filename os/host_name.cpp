// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/host_name.h"

#include <sys/utsname.h>

#include "base/limits.h"

namespace ddict::os {

// The kernel's limit; a constant of its own, since some C libraries have a larger HOST_NAME_MAX.
static_assert(limits::node_name_bytes_max >= 64);

std::string host_name() {
    // Unlike gethostname() it has space for every name, and an end.
    utsname names{};
    if (uname(&names) != 0) return "?";
    return presentable_host_name(names.nodename);
}

std::string presentable_host_name(std::string_view name) {
    std::string shown(name.substr(0, limits::node_name_bytes_max));
    for (char& c : shown) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '.' || c == '_' || c == '-';
        if (!plain) c = '_';
    }
    return shown.empty() ? "?" : shown;
}

}  // namespace ddict::os
