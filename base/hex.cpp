// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/hex.h"

namespace ddict {

std::string hex_digits(std::uint64_t number, int digits) {
    std::string out(static_cast<std::size_t>(digits), '0');
    for (auto at = out.rbegin(); at != out.rend(); ++at, number >>= 4)
        *at = "0123456789abcdef"[number & 15];
    return out;
}

std::string hex(std::uint64_t id) {
    return hex_digits(id, 16);
}

}  // namespace ddict
