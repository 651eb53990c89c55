// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace ddict::faults {

/// A command line of options, each with a number behind it: "--kills 40". Throws std::invalid_argument,
/// naming the word, for what is none.
inline void set_numbers(int argc, char** argv,
                        const std::vector<std::pair<std::string_view, std::uint64_t*>>& known) {
    for (int i = 1; i < argc; i += 2) {
        const auto found =
            std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.first == argv[i]; });
        char* end = nullptr;
        if (found == known.end() || i + 1 == argc) throw std::invalid_argument(argv[i]);
        *found->second = std::strtoull(argv[i + 1], &end, 10);
        if (*argv[i + 1] == '\0' || *end != '\0') throw std::invalid_argument(argv[i + 1]);
    }
}

}  // namespace ddict::faults
