// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/transport.h"

#include <cstdlib>
#include <optional>
#include <string>

namespace ddict::bench {

void choose_transport(Transport transport) {
    static const std::optional<std::string> users = [] {
        const char* value = std::getenv("UCX_TLS");
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    }();
    static const std::optional<std::string> users_same_host = [] {
        const char* value = std::getenv("DDICT_SAME_HOST");
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    }();
    if (transport == Transport::ucx) {
        setenv("DDICT_SAME_HOST", "0", 1);
    } else if (users_same_host && transport == Transport::as_it_comes) {
        setenv("DDICT_SAME_HOST", users_same_host->c_str(), 1);
    } else {
        unsetenv("DDICT_SAME_HOST");
    }
    // Of the dictionary alone, and UCX alone does not hear it: both are to take the same way.
    if (transport != Transport::as_it_comes) unsetenv("DDICT_UCX_TLS");
    if (transport != Transport::as_it_comes) {
        setenv("UCX_TLS", transport == Transport::ucx ? "^shm" : "shm", 1);
    } else if (users) {
        setenv("UCX_TLS", users->c_str(), 1);
    } else {
        unsetenv("UCX_TLS");
    }
}

std::string_view name_of(Transport transport) {
    switch (transport) {
        case Transport::samehost:
            return "samehost";
        case Transport::ucx:
            return "ucx";
        case Transport::as_it_comes:
            break;
    }
    return "default";
}

}  // namespace ddict::bench
