// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Bytes as text (RFC 4648, section 5, without padding).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace ddict {

std::string encode_base64url(Bytes in);
/// None if a character is none of these.
std::optional<std::vector<std::byte>> decode_base64url(std::string_view in);

}  // namespace ddict
