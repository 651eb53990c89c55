// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A pair as it lies in the heap of a pool:
//
//   Block (32 bytes)  key  padding to a multiple of 16  value  padding to a multiple of 16
//
// Blocks begin at multiples of 16, and so do values. A block does not change once it is visible: overwriting
// a key makes a new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/bytes.h"

namespace ddict::shm {

inline constexpr std::uint64_t block_alignment = 16;
constexpr std::uint64_t align_up(std::uint64_t bytes, std::uint64_t alignment = block_alignment) noexcept {
    return (bytes + alignment - 1) & ~(alignment - 1);
}

// The first word of every block of the heap, used or free. Only the writer looks at it.
namespace block_word {
inline constexpr std::uint64_t free = 1;           // the block is free
inline constexpr std::uint64_t previous_free = 2;  // the block before it in memory is free
inline constexpr std::uint64_t index = 4;          // holds a part of the index, not a pair
inline constexpr std::uint64_t older = 8;          // reserved: a link to an older version follows the value
inline constexpr std::uint64_t size_mask = ((std::uint64_t{1} << 48) - 1) & ~std::uint64_t{15};
inline constexpr std::uint64_t pin = std::uint64_t{1} << 48;  // one pin; 15 bits of them
inline constexpr std::uint64_t pin_mask = std::uint64_t{0x7fff} << 48;
inline constexpr std::uint64_t visible = std::uint64_t{1} << 63;  // the index leads to it
}  // namespace block_word

inline constexpr std::uint64_t checkpoint_max = (std::uint64_t{1} << 48) - 1;

/// A pair that is to be stored. Refers to bytes of the caller.
struct Pair {
    Bytes key;
    std::uint64_t hash = 0;  // hash_of(key)
    std::uint16_t value_type = 0;
    std::uint64_t checkpoint = 0;
    Bytes value{};
};

/// Lives in the pool; never made or copied elsewhere. A view of its own bytes, valid until the pair is
/// replaced, erased or cleared, or the last pin is let go.
class Block {
  public:
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    Bytes key() const noexcept { return {reinterpret_cast<const std::byte*>(this + 1), key_bytes()}; }
    Bytes value() const noexcept {
        return {reinterpret_cast<const std::byte*>(this) + value_offset(key_bytes()), value_bytes()};
    }
    /// For the writer, between reserve() and publish() only.
    MutableBytes value() noexcept {
        return {reinterpret_cast<std::byte*>(this) + value_offset(key_bytes()), value_bytes()};
    }
    std::uint64_t hash() const noexcept { return hash_; }
    std::uint64_t key_bytes() const noexcept { return key_bytes_in(key_bytes_and_checkpoint_); }
    std::uint64_t checkpoint() const noexcept { return checkpoint_in(key_bytes_and_checkpoint_); }
    std::uint64_t value_bytes() const noexcept { return value_bytes_in(value_bytes_and_type_); }
    std::uint16_t value_type() const noexcept { return value_type_in(value_bytes_and_type_); }

    // For those who read a pool that another process writes (reader.h): where the words stand, and what is in
    // them.
    static constexpr std::uint64_t hash_offset = 8;
    static constexpr std::uint64_t key_bytes_and_checkpoint_offset = 16;
    static constexpr std::uint64_t value_bytes_and_type_offset = 24;
    static constexpr std::uint64_t key_bytes_in(std::uint64_t word) noexcept { return word & 0xffff; }
    static constexpr std::uint64_t checkpoint_in(std::uint64_t word) noexcept { return word >> 16; }
    static constexpr std::uint64_t value_bytes_in(std::uint64_t word) noexcept {
        return word & ((std::uint64_t{1} << 48) - 1);
    }
    static constexpr std::uint16_t value_type_in(std::uint64_t word) noexcept {
        return static_cast<std::uint16_t>(word >> 48);
    }

    /// Where the value starts, counted from the block.
    static constexpr std::uint64_t value_offset(std::uint64_t key_bytes) noexcept {
        return 32 + align_up(key_bytes);
    }
    /// All that a pair takes in the heap.
    static constexpr std::uint64_t bytes_for(std::uint64_t key_bytes, std::uint64_t value_bytes) noexcept {
        return align_up(value_offset(key_bytes) + value_bytes);
    }

  private:
    friend class Pool;

    std::uint64_t size_and_flags_;
    std::uint64_t hash_;
    std::uint64_t key_bytes_and_checkpoint_;  // 16 and 48 bits
    std::uint64_t value_bytes_and_type_;      // 48 and 16 bits
};
static_assert(sizeof(Block) == 32 && alignof(Block) == 8 && std::is_standard_layout_v<Block>);

}  // namespace ddict::shm
