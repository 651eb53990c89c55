// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/base64url.h"

#include <array>
#include <cstdint>

namespace ddict {
namespace {

constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t none = 64;

constexpr std::array<std::uint8_t, 256> values = [] {
    std::array<std::uint8_t, 256> all{};
    all.fill(none);
    for (std::uint8_t i = 0; i < digits.size(); ++i)
        all[static_cast<unsigned char>(digits[i])] = i;
    return all;
}();

}  // namespace

std::string encode_base64url(Bytes in) {
    std::string out;
    out.reserve((in.size() * 4 + 2) / 3);
    std::uint32_t bits = 0;
    int count = 0;
    for (const std::byte b : in) {
        bits = (bits << 8) | std::to_integer<std::uint32_t>(b);
        for (count += 8; count >= 6; count -= 6)
            out += digits[(bits >> (count - 6)) & 63];
    }
    if (count > 0) out += digits[(bits << (6 - count)) & 63];
    return out;
}

std::optional<std::vector<std::byte>> decode_base64url(std::string_view in) {
    std::vector<std::byte> out;
    out.reserve(in.size() * 3 / 4);
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : in) {
        const std::uint8_t digit = values[static_cast<unsigned char>(c)];
        if (digit == none) return std::nullopt;
        bits = (bits << 6) | digit;
        if ((count += 6) >= 8) out.push_back(static_cast<std::byte>((bits >> (count -= 8)) & 255));
    }
    return out;
}

}  // namespace ddict
