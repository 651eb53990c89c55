// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The items of batches and of a scan's pages, and their results, packed into one value:
//
//   key    := length:u16 byte*
//   pair   := key_bytes:u16 value_type:u16 value_bytes:u32 byte* byte*       key, value
//   result := status:u16 value_type:u16 value_bytes:u32 byte*                of one item, with its value
//   status := u16
//
// Both sides use this: nothing here allocates, writes beyond the room it was given, or trusts what it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/limits.h"
#include "wire/messages.h"

namespace ddict::wire {

inline constexpr std::size_t item_head_bytes = 8;  // of a pair and of a result
static_assert(limits::batch_items_max * item_head_bytes <= limits::batch_bytes_max,
              "the results of a full batch fit, if all values are asked for alone");

constexpr std::size_t packed_key_bytes(std::size_t key_bytes) noexcept {
    return sizeof(std::uint16_t) + key_bytes;
}
constexpr std::size_t packed_pair_bytes(std::size_t key_bytes, std::size_t value_bytes) noexcept {
    return item_head_bytes + key_bytes + value_bytes;
}
constexpr std::size_t packed_result_bytes(std::size_t value_bytes) noexcept {
    return item_head_bytes + value_bytes;
}

struct PackedPair {
    Bytes key;
    Bytes value;
    std::uint16_t value_type = 0;
    bool ask_alone = false;  // the value is not here, but has to be asked for; only in pages
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
    /// `room` must outlive the writer.
    explicit ItemWriter(MutableBytes room) noexcept : room_(room) {}

    bool key(Bytes key) noexcept {
        if (packed_key_bytes(key.size()) > left()) return false;
        put(static_cast<std::uint16_t>(key.size()));
        put_raw(key);
        return true;
    }
    bool pair(Bytes key, std::uint16_t value_type, Bytes value) noexcept {
        if (value.size() >= left() || packed_pair_bytes(key.size(), value.size()) > left()) return false;
        put_head(static_cast<std::uint16_t>(key.size()), value_type,
                 static_cast<std::uint32_t>(value.size()));
        put_raw(key);
        put_raw(value);
        return true;
    }
    bool pair_to_ask_alone(Bytes key, std::uint16_t value_type) noexcept {
        if (packed_pair_bytes(key.size(), 0) > left()) return false;
        put_head(static_cast<std::uint16_t>(key.size()), value_type, value_bytes_ask_alone);
        put_raw(key);
        return true;
    }
    bool result(std::uint16_t status, std::uint16_t value_type = 0, Bytes value = {}) noexcept {
        if (value.size() >= left() || packed_result_bytes(value.size()) > left()) return false;
        put_head(status, value_type, static_cast<std::uint32_t>(value.size()));
        put_raw(value);
        return true;
    }
    bool status(std::uint16_t status) noexcept {
        if (sizeof status > left()) return false;
        put(status);
        return true;
    }

    std::size_t left() const noexcept { return room_.size() - used_; }
    Bytes written() const noexcept { return room_.first(used_); }

  private:
    template <class T>
    void put(T number) noexcept {
        std::memcpy(room_.data() + used_, &number, sizeof number);
        used_ += sizeof number;
    }
    void put_head(std::uint16_t first, std::uint16_t value_type, std::uint32_t value_bytes) noexcept {
        put(first);
        put(value_type);
        put(value_bytes);
    }
    void put_raw(Bytes bytes) noexcept {
        if (!bytes.empty()) std::memcpy(room_.data() + used_, bytes.data(), bytes.size());
        used_ += bytes.size();
    }

    MutableBytes room_;
    std::size_t used_ = 0;
};

/// Reads items one after the other; they point into `in`. False: there is no whole item there, or its key is
/// empty or above the limit; then the reader stays where it is. at_end() tells the end from damage.
class ItemReader {
  public:
    explicit ItemReader(Bytes in) noexcept : in_(in) {}

    bool key(Bytes& out) noexcept {
        std::uint16_t length = 0;
        if (in_.size() < sizeof length) return false;
        std::memcpy(&length, in_.data(), sizeof length);
        if (!is_key_length(length) || in_.size() - sizeof length < length) return false;
        out = in_.subspan(sizeof length, length);
        in_ = in_.subspan(sizeof length + length);
        return true;
    }
    bool pair(PackedPair& out) noexcept {
        Head head;
        if (!peek(head) || !is_key_length(head.first)) return false;
        const bool ask_alone = head.value_bytes == value_bytes_ask_alone;
        const std::size_t value_bytes = ask_alone ? 0 : head.value_bytes;
        if (in_.size() - item_head_bytes < head.first + value_bytes) return false;
        out.key = in_.subspan(item_head_bytes, head.first);
        out.value = in_.subspan(item_head_bytes + head.first, value_bytes);
        out.value_type = head.value_type;
        out.ask_alone = ask_alone;
        in_ = in_.subspan(packed_pair_bytes(head.first, value_bytes));
        return true;
    }
    bool result(PackedResult& out) noexcept {
        Head head;
        if (!peek(head) || in_.size() - item_head_bytes < head.value_bytes) return false;
        out.status = head.first;
        out.value_type = head.value_type;
        out.value = in_.subspan(item_head_bytes, head.value_bytes);
        in_ = in_.subspan(packed_result_bytes(head.value_bytes));
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
    struct Head {
        std::uint16_t first;  // a key's length, or a status
        std::uint16_t value_type;
        std::uint32_t value_bytes;
    };
    static_assert(sizeof(Head) == item_head_bytes);

    static bool is_key_length(std::uint16_t bytes) noexcept {
        return bytes != 0 && bytes <= limits::key_bytes_max;
    }
    bool peek(Head& head) const noexcept {
        if (in_.size() < sizeof head) return false;
        std::memcpy(&head, in_.data(), sizeof head);
        return true;
    }

    Bytes in_;
};

}  // namespace ddict::wire
