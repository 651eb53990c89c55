// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/sizes.h"

#include <charconv>
#include <cmath>

namespace ddict::launcher {
namespace {

constexpr std::string_view units = "KMGT";

Error no_size(std::string_view text) {
    return Error(Errc::invalid_argument, "invalid size '" + std::string(text.substr(0, 40)) +
                                             "': write for example 2G, 512M, 1.5G or 268435456");
}

/// How far a unit shifts: 10 for K. 0 if the letter is no unit.
int shift_of(char letter) {
    const char upper = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
    const std::size_t at = units.find(upper);
    return at == std::string_view::npos ? 0 : static_cast<int>(at + 1) * 10;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
    std::string_view number = text;
    int shift = 0;
    if (!number.empty() && (shift = shift_of(number.back())) != 0) number.remove_suffix(1);
    const char* const end = number.data() + number.size();

    std::uint64_t whole = 0;
    const auto [whole_end, whole_error] = std::from_chars(number.data(), end, whole);
    if (whole_error != std::errc() || whole > (std::uint64_t{1} << 63 >> shift)) return no_size(text);
    if (whole_end == end) return whole << shift;

    // A fraction is allowed only of a unit: there is no half byte.
    std::uint64_t digits = 0;
    const char* const digits_begin = whole_end + 1;
    const auto [digits_end, digits_error] = std::from_chars(digits_begin, end, digits);
    if (*whole_end != '.' || shift == 0 || digits_error != std::errc() || digits_end != end ||
        end - digits_begin > 9) {
        return no_size(text);
    }
    const double part = static_cast<double>(digits) / std::pow(10.0, static_cast<double>(end - digits_begin));
    return (whole << shift) + static_cast<std::uint64_t>(part * std::ldexp(1.0, shift));
}

std::string format_size(std::uint64_t bytes) {
    int unit = 0;
    while (unit < 4 && bytes >> (10 * (unit + 1)) != 0)
        ++unit;
    if (unit == 0) return std::to_string(bytes);
    const int shift = 10 * unit;
    const std::uint64_t whole = bytes >> shift;
    const std::uint64_t tenth = ((bytes & ((std::uint64_t{1} << shift) - 1)) * 10) >> shift;
    std::string text = std::to_string(whole);
    if (tenth != 0) text += "." + std::to_string(tenth);
    return text + units[static_cast<std::size_t>(unit - 1)];
}

std::string format_seconds(std::chrono::milliseconds time) {
    const std::string digits = std::to_string(1000 + time.count() % 1000).substr(1);
    const std::string part = digits.substr(0, digits.find_last_not_of('0') + 1);
    return std::to_string(time.count() / 1000) + (part.empty() ? "" : "." + part);
}

}  // namespace ddict::launcher
