// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// SipHash-2-4 with a tag of 128 bits: a message authentication code for short messages. Who does not know the
// key cannot make a tag, nor learn the key from tags (Aumasson and Bernstein, 2012). Pure; about a nanosecond
// a byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace ddict {

class SipHash {
  public:
    using Key = std::array<std::byte, 16>;
    using Tag = std::array<std::byte, 16>;

    explicit SipHash(const Key& key) noexcept;
    /// What has been added so far and these bytes are one message.
    SipHash& add(Bytes bytes) noexcept;
    /// Of all that was added. Once only.
    Tag finish() noexcept;

  private:
    void take_word(std::uint64_t word) noexcept;
    void mix(unsigned rounds) noexcept;

    std::array<std::uint64_t, 4> state_;
    std::uint64_t pending_ = 0;  // bytes that do not fill a word yet
    std::uint64_t length_ = 0;
};

/// Takes the same time whatever differs.
bool equal_in_constant_time(const SipHash::Tag& a, const SipHash::Tag& b) noexcept;

}  // namespace ddict
