// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace ddict::os {

Environment environment_of_this_process() {
    Environment environment;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view text = *entry;
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return environment;
}

Result<bool> flag_in_environment(const char* name, bool otherwise) {
    const char* const value = std::getenv(name);
    const std::string_view text = value == nullptr ? "" : value;
    if (text.empty()) return otherwise;
    if (text == "0" || text == "1") return text == "1";
    return Error(Errc::invalid_argument,
                 std::string(name) + " is '" + std::string(text.substr(0, 40)) + "': 0 or 1");
}

std::string_view value_of(const Environment& environment, std::string_view name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace ddict::os
