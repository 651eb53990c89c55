// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values that say which key and version they are of, so that whoever reads one knows whether it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace ddict::faults {

using Value = std::vector<std::byte>;

struct ValueHeader {
    std::uint64_t key_hash = 0;
    std::uint64_t version = 0;
    std::uint64_t content_hash = 0;
};

inline Value checked_value(std::string_view key, std::uint64_t version, std::size_t content_bytes) {
    Value value(sizeof(ValueHeader) + content_bytes);
    std::uint64_t state = version * 0x9e37'79b9'7f4a'7c15 + 1;
    for (std::size_t at = sizeof(ValueHeader); at + sizeof state <= value.size(); at += sizeof state) {
        state = state * 6364136223846793005 + 1442695040888963407;
        std::memcpy(value.data() + at, &state, sizeof state);
    }
    const ValueHeader header{.key_hash = hash_of(std::as_bytes(std::span(key))),
                             .version = version,
                             .content_hash = hash_of(std::span(value).subspan(sizeof(ValueHeader)))};
    std::memcpy(value.data(), &header, sizeof header);
    return value;
}

/// Nothing if it is not a whole value of this key.
inline std::optional<std::uint64_t> version_of(std::string_view key, const Value& value) {
    ValueHeader header;
    if (value.size() < sizeof header) return std::nullopt;
    std::memcpy(&header, value.data(), sizeof header);
    if (header.key_hash != hash_of(std::as_bytes(std::span(key))) ||
        header.content_hash != hash_of(std::span(value).subspan(sizeof header)))
        return std::nullopt;
    return header.version;
}

}  // namespace ddict::faults
