// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Sizes as people write them: 2G, 512M, 1.5G, 64K, 4096. K, M, G and T are powers of 1024. And times.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <ddict/result.h>

namespace ddict::launcher {

/// Bytes. invalid_argument, with an example of what can be written, if the text is no size or above 2^63.
Result<std::uint64_t> parse_size(std::string_view text);

/// For people: at most one digit after the point and rounded down, "1.5G", "256M", "4096".
std::string format_size(std::uint64_t bytes);
/// For people, as they give it: "60", "0.01".
std::string format_seconds(std::chrono::milliseconds time);

}  // namespace ddict::launcher
