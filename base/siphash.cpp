// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/siphash.h"

#include <bit>
#include <cstring>

namespace ddict {
namespace {

constexpr unsigned rounds_per_word = 2;
constexpr unsigned rounds_at_end = 4;

}  // namespace

SipHash::SipHash(const Key& key) noexcept {
    std::array<std::uint64_t, 2> k;
    std::memcpy(k.data(), key.data(), sizeof k);
    // The constants are the ASCII text "somepseudorandomlygeneratedbytes"; 0xee marks tags of 128 bits.
    state_ = {k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d ^ 0xee, k[0] ^ 0x6c7967656e657261,
              k[1] ^ 0x7465646279746573};
}

void SipHash::mix(unsigned rounds) noexcept {
    auto& [a, b, c, d] = state_;
    for (; rounds > 0; --rounds) {
        a += b;
        c += d;
        b = std::rotl(b, 13) ^ a;
        d = std::rotl(d, 16) ^ c;
        a = std::rotl(a, 32);
        c += b;
        a += d;
        b = std::rotl(b, 17) ^ c;
        d = std::rotl(d, 21) ^ a;
        c = std::rotl(c, 32);
    }
}

void SipHash::take_word(std::uint64_t word) noexcept {
    state_[3] ^= word;
    mix(rounds_per_word);
    state_[0] ^= word;
}

SipHash& SipHash::add(Bytes bytes) noexcept {
    for (const std::byte b : bytes) {
        pending_ |= std::to_integer<std::uint64_t>(b) << (length_ % 8 * 8);
        if (++length_ % 8 != 0) continue;
        take_word(pending_);
        pending_ = 0;
    }
    return *this;
}

SipHash::Tag SipHash::finish() noexcept {
    take_word(pending_ | length_ << 56);
    const auto half = [this] {
        mix(rounds_at_end);
        return state_[0] ^ state_[1] ^ state_[2] ^ state_[3];
    };
    std::array<std::uint64_t, 2> halves;
    state_[2] ^= 0xee;
    halves[0] = half();
    state_[1] ^= 0xdd;
    halves[1] = half();
    Tag tag;
    std::memcpy(tag.data(), halves.data(), sizeof tag);
    return tag;
}

bool equal_in_constant_time(const SipHash::Tag& a, const SipHash::Tag& b) noexcept {
    std::byte difference{0};
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= a[i] ^ b[i];
    return difference == std::byte{0};
}

}  // namespace ddict
