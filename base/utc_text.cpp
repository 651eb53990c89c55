// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/utc_text.h"

#include <array>
#include <cstdint>
#include <ctime>

namespace ddict {

std::string utc_text(std::chrono::system_clock::time_point time, unsigned digits) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(time);
    const std::time_t seconds = std::chrono::system_clock::to_time_t(whole);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 64> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    constexpr std::uint64_t second = 1'000'000'000;
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(time - whole).count();
    const std::string fraction = std::to_string(second + static_cast<std::uint64_t>(rest));
    return std::string(text.data()) + "." + fraction.substr(1, digits) + "Z";
}

}  // namespace ddict
