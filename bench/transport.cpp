// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/transport.h"

#include <cstdlib>
#include <optional>
#include <string>

namespace ddict::bench {

namespace {

using Value = std::optional<std::string>;

Value value_of(const char* variable) {
    const char* value = std::getenv(variable);
    return value == nullptr ? std::nullopt : Value(value);
}

void set(const char* variable, const Value& value) {
    value ? setenv(variable, value->c_str(), 1) : unsetenv(variable);
}

}  // namespace

void choose_transport(Transport transport) {
    static const Value users_same_host = value_of("DDICT_SAME_HOST");
    static const Value users_tls = value_of("UCX_TLS");
    static const Value users_own_tls = value_of("DDICT_UCX_TLS");
    switch (transport) {
        case Transport::as_it_comes:
            set("DDICT_SAME_HOST", users_same_host);
            set("UCX_TLS", users_tls);
            return set("DDICT_UCX_TLS", users_own_tls);
        case Transport::samehost:
            set("DDICT_SAME_HOST", std::nullopt);
            set("UCX_TLS", "shm");
            break;
        case Transport::ucx:
            set("DDICT_SAME_HOST", "0");
            set("UCX_TLS", "^shm");
            break;
    }
    // Of the dictionary alone, and UCX alone does not hear it: both are to take the same way.
    set("DDICT_UCX_TLS", std::nullopt);
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
