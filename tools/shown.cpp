// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/shown.h"

#include <iomanip>
#include <iterator>
#include <sstream>

namespace ddict::tools {
namespace {

std::string with_digits(double amount, int digits) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(digits) << amount;
    return out.str();
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
    constexpr const char* units[] = {"B", "K", "M", "G", "T", "P"};
    double amount = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (amount >= 1023.5 && unit + 1 < std::size(units))
        amount /= 1024, ++unit;
    return with_digits(amount, unit > 0 && amount < 99.5 ? 1 : 0) + units[unit];
}

std::string count_text(double count) {
    if (count < 9999.5) return with_digits(count, 0);
    constexpr const char* units[] = {"k", "M", "G", "T", "P", "E"};
    std::size_t unit = 0;
    for (count /= 1000; count >= 999.5 && unit + 1 < std::size(units); ++unit)
        count /= 1000;
    return with_digits(count, count < 99.95 ? 1 : 0) + units[unit];
}

std::string time_text(std::uint64_t nanoseconds) {
    constexpr const char* units[] = {"ns", "us", "ms", "s"};
    double amount = static_cast<double>(nanoseconds);
    std::size_t unit = 0;
    while (amount >= 999.5 && unit + 1 < std::size(units))
        amount /= 1000, ++unit;
    return with_digits(amount, unit > 0 && amount < 9.95 ? 1 : 0) + units[unit];
}

}  // namespace ddict::tools
