// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The items of batches and of a scan's pages, and their results, packed into one value:
//
//   key    := key_bytes:u16 key_type:u16 byte*
//   pair   := key_bytes:u13 transient:u1 placed_by:u2 key_type:u16 value_type:u16 value_bytes:u16
//             placement:u64? byte* byte*
//   result := status:u16 value_type:u16 value_bytes:u32 byte*     of one item, with its value
//   status := u16
//
// A pair has a placement if its key was placed by hand, then key and value.
//
// Both sides use this: nothing here allocates, writes beyond the space it was given, or trusts what it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/key_placement.h"
#include "base/limits.h"
#include "wire/messages.h"

namespace ddict::wire {

inline constexpr std::size_t item_header_bytes = 8;  // of a pair and of a result
static_assert(limits::batch_items_max * item_header_bytes <= limits::batch_bytes_max,
              "the results of a full batch fit, if all values are asked for alone");
// A larger value is sent alone, or asked for alone.
inline constexpr std::size_t item_value_bytes_max = value_bytes_ask_alone - 1;
static_assert(limits::inline_value_bytes_max <= item_value_bytes_max);

constexpr std::size_t packed_key_bytes(std::size_t key_bytes) noexcept {
    return 2 * sizeof(std::uint16_t) + key_bytes;
}
constexpr std::size_t packed_pair_bytes(std::size_t key_bytes, std::size_t value_bytes,
                                        PlacedBy by = PlacedBy::own_hash) noexcept {
    return item_header_bytes + (by == PlacedBy::own_hash ? 0 : sizeof(std::uint64_t)) + key_bytes +
           value_bytes;
}
constexpr std::size_t packed_result_bytes(std::size_t value_bytes) noexcept {
    return item_header_bytes + value_bytes;
}

// In the first word of a pair.
inline constexpr unsigned placed_by_shift = 14;
inline constexpr unsigned transient_shift = 13;
inline constexpr unsigned key_bytes_mask = (1u << transient_shift) - 1;
static_assert(limits::key_bytes_max <= key_bytes_mask);

struct PackedPair {
    KeyBytes key;
    Bytes value;
    KeyPlacement placement{};
    std::uint16_t value_type = 0;
    bool ask_alone = false;  // the value is not here, but has to be asked for; only in pages
    bool transient = false;  // of its checkpoint only; only in pages with placements
};

struct PackedResult {
    std::uint16_t status = 0;  // 0, an Errc, or status_ask_alone
    std::uint16_t value_type = 0;
    Bytes value;
};

/// Writes items one after the other. What does not fit is not begun: false then, and what was written stays.
/// Requires keys within the limits.
class ItemWriter {
  public:
    /// `buffer` must outlive the writer.
    explicit ItemWriter(MutableBytes buffer) noexcept : buffer_(buffer) {}

    bool key(KeyBytes key) noexcept {
        if (packed_key_bytes(key.size()) > left()) return false;
        put(static_cast<std::uint16_t>(key.size()));
        put(key.type());
        put_raw(key.bytes());
        return true;
    }
    /// False as well for a value above item_value_bytes_max.
    bool pair(KeyBytes key, std::uint16_t value_type, Bytes value, const KeyPlacement& placement = {},
              bool transient = false) noexcept {
        if (value.size() > item_value_bytes_max ||
            packed_pair_bytes(key.size(), value.size(), placement.by) > left())
            return false;
        put_pair_header(key, value_type, static_cast<std::uint16_t>(value.size()), placement, transient);
        put_raw(key.bytes());
        put_raw(value);
        return true;
    }
    bool pair_to_ask_alone(KeyBytes key, std::uint16_t value_type, const KeyPlacement& placement = {},
                           bool transient = false) noexcept {
        if (packed_pair_bytes(key.size(), 0, placement.by) > left()) return false;
        put_pair_header(key, value_type, value_bytes_ask_alone, placement, transient);
        put_raw(key.bytes());
        return true;
    }
    bool result(std::uint16_t status, std::uint16_t value_type = 0, Bytes value = {}) noexcept {
        if (value.size() >= left() || packed_result_bytes(value.size()) > left()) return false;
        put(status);
        put(value_type);
        put(static_cast<std::uint32_t>(value.size()));
        put_raw(value);
        return true;
    }
    bool status(std::uint16_t status) noexcept {
        if (sizeof status > left()) return false;
        put(status);
        return true;
    }

    std::size_t left() const noexcept { return buffer_.size() - used_; }
    Bytes written() const noexcept { return buffer_.first(used_); }

  private:
    template <class T>
    void put(T number) noexcept {
        std::memcpy(buffer_.data() + used_, &number, sizeof number);
        used_ += sizeof number;
    }
    void put_pair_header(KeyBytes key, std::uint16_t value_type, std::uint16_t value_bytes,
                         const KeyPlacement& placement, bool transient) noexcept {
        const unsigned by = static_cast<unsigned>(placement.by) << placed_by_shift;
        const unsigned once = transient ? 1U << transient_shift : 0;
        put(static_cast<std::uint16_t>(key.size() | once | by));
        put(key.type());
        put(value_type);
        put(value_bytes);
        if (placement.is_by_hand()) put(placement.value);
    }
    void put_raw(Bytes bytes) noexcept {
        if (!bytes.empty()) std::memcpy(buffer_.data() + used_, bytes.data(), bytes.size());
        used_ += bytes.size();
    }

    MutableBytes buffer_;
    std::size_t used_ = 0;
};

/// Reads items one after the other; they point into `in`. False: there is no whole item there, or its key is
/// empty or above the limit; then the reader stays where it is. at_end() tells the end from damage.
class ItemReader {
  public:
    explicit ItemReader(Bytes in) noexcept : in_(in) {}

    bool key(KeyBytes& out) noexcept {
        struct {
            std::uint16_t bytes;
            std::uint16_t type;
        } header;
        if (!peek(header) || !is_key_length(header.bytes) || in_.size() - sizeof header < header.bytes)
            return false;
        out = {in_.subspan(sizeof header, header.bytes), header.type};
        in_ = in_.subspan(sizeof header + header.bytes);
        return true;
    }
    bool pair(PackedPair& out) noexcept {
        struct {
            std::uint16_t key_bytes_and_placed_by;
            std::uint16_t key_type;
            std::uint16_t value_type;
            std::uint16_t value_bytes;
        } header;
        static_assert(sizeof header == item_header_bytes);
        if (!peek(header)) return false;
        const auto key_bytes = static_cast<std::uint16_t>(header.key_bytes_and_placed_by & key_bytes_mask);
        const unsigned by = header.key_bytes_and_placed_by >> placed_by_shift;
        if (!is_key_length(key_bytes) || by > placed_by_last) return false;
        const bool ask_alone = header.value_bytes == value_bytes_ask_alone;
        const std::size_t value_bytes = ask_alone ? 0 : header.value_bytes;
        KeyPlacement placement{.by = static_cast<PlacedBy>(by), .value = 0};
        const std::size_t bytes = packed_pair_bytes(key_bytes, value_bytes, placement.by);
        if (in_.size() < bytes) return false;
        if (placement.is_by_hand())
            std::memcpy(&placement.value, in_.data() + sizeof header, sizeof placement.value);
        const Bytes item = in_.first(bytes);
        out.key = {item.subspan(bytes - value_bytes - key_bytes, key_bytes), header.key_type};
        out.value = item.last(value_bytes);
        out.placement = placement;
        out.value_type = header.value_type;
        out.ask_alone = ask_alone;
        out.transient = (header.key_bytes_and_placed_by >> transient_shift & 1) != 0;
        in_ = in_.subspan(bytes);
        return true;
    }
    bool result(PackedResult& out) noexcept {
        struct {
            std::uint16_t status;
            std::uint16_t value_type;
            std::uint32_t value_bytes;
        } header;
        static_assert(sizeof header == item_header_bytes);
        if (!peek(header) || in_.size() - sizeof header < header.value_bytes) return false;
        out.status = header.status;
        out.value_type = header.value_type;
        out.value = in_.subspan(item_header_bytes, header.value_bytes);
        in_ = in_.subspan(packed_result_bytes(header.value_bytes));
        return true;
    }
    bool status(std::uint16_t& out) noexcept {
        if (in_.size() < sizeof out) return false;
        std::memcpy(&out, in_.data(), sizeof out);
        in_ = in_.subspan(sizeof out);
        return true;
    }

    bool at_end() const noexcept { return in_.empty(); }

  private:
    static bool is_key_length(std::uint16_t bytes) noexcept {
        return bytes != 0 && bytes <= limits::key_bytes_max;
    }
    template <class Head>
    bool peek(Head& header) const noexcept {
        if (in_.size() < sizeof header) return false;
        std::memcpy(&header, in_.data(), sizeof header);
        return true;
    }

    Bytes in_;
};

}  // namespace ddict::wire
