// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A key as a dictionary sees it: bytes, and the type that they are of. Two keys with the same bytes and
// different types are two keys. docs/values.md has the types and the bytes of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include <ddict/value_type.h>

namespace ddict {

/// Refers to bytes of others. Small enough to be passed in registers.
class KeyBytes {
  public:
    constexpr KeyBytes() noexcept = default;
    /// Bytes without a type are those of a text.
    constexpr KeyBytes(std::span<const std::byte> bytes, std::uint16_t type = type_text) noexcept
        : data_(bytes.data()), word_(word_of(bytes.size(), type)) {}
    /// From what word() has said.
    constexpr KeyBytes(const std::byte* data, std::uint32_t word) noexcept : data_(data), word_(word) {}

    constexpr std::span<const std::byte> bytes() const noexcept { return {data_, size()}; }
    constexpr const std::byte* data() const noexcept { return data_; }
    /// At most 65535, which is more than any key may have: what is longer is not looked at.
    constexpr std::size_t size() const noexcept { return word_ & 0xffff; }
    constexpr bool empty() const noexcept { return size() == 0; }
    constexpr std::uint16_t type() const noexcept { return static_cast<std::uint16_t>(word_ >> 16); }
    /// Size and type together, the size in the lower 16 bits: what can be compared at once.
    constexpr std::uint32_t word() const noexcept { return word_; }

    friend bool operator==(const KeyBytes& a, const KeyBytes& b) noexcept {
        return a.word_ == b.word_ && (a.empty() || std::memcmp(a.data_, b.data_, a.size()) == 0);
    }

  private:
    static constexpr std::uint32_t word_of(std::size_t size, std::uint16_t type) noexcept {
        return static_cast<std::uint32_t>(size < 0xffff ? size : 0xffff) | std::uint32_t{type} << 16;
    }

    const std::byte* data_ = nullptr;
    std::uint32_t word_ = std::uint32_t{type_text} << 16;
};
static_assert(sizeof(KeyBytes) == 16);

/// A key for people: 'Hello', 42, 1.5, otherwise its bytes and the name of its type. Bytes that cannot be
/// printed are shown as \xNN. Allocates.
std::string in_words(KeyBytes key);

}  // namespace ddict
