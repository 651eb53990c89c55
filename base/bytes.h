// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Views of bytes, and bounded reading and writing of packed records (little-endian, no padding).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ddict/key_bytes.h>

namespace ddict {

static_assert(std::endian::native == std::endian::little,
              "ddict's formats are little-endian, as is every host it runs on");

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

/// Pieces of memory that are one payload together.
using Parts = std::span<const Bytes>;
inline std::size_t bytes_in(Parts parts) noexcept {
    std::size_t bytes = 0;
    for (const Bytes part : parts)
        bytes += part.size();
    return bytes;
}

inline Bytes bytes_of(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view text_of(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// The bytes of a key, whatever its type.
inline std::string_view text_of(KeyBytes key) noexcept {
    return text_of(key.bytes());
}

/// Appends packed values to a buffer.
class Packer {
  public:
    explicit Packer(std::vector<std::byte>& out) : out_(out) {}

    template <class T>
    requires std::is_trivially_copyable_v<T> Packer& put(const T& value) {
        // Not insert(): gcc 12 warns of an overflow that is none when it optimises that for speed.
        const std::size_t end = out_.size();
        out_.resize(end + sizeof value);
        std::memcpy(out_.data() + end, &value, sizeof value);
        return *this;
    }
    /// A 32-bit length, then the bytes.
    Packer& put_bytes(Bytes bytes) {
        put(static_cast<std::uint32_t>(bytes.size()));
        out_.insert(out_.end(), bytes.begin(), bytes.end());
        return *this;
    }
    Packer& put_text(std::string_view text) { return put_bytes(bytes_of(text)); }

  private:
    std::vector<std::byte>& out_;
};

/// Reads packed values; running over the end makes it bad and yields zeros, never undefined behaviour, so
/// that a reader checks good() once, at the end.
class Unpacker {
  public:
    explicit Unpacker(Bytes in) noexcept : in_(in) {}

    template <class T>
    requires std::is_trivially_copyable_v<T> T take()
    noexcept {
        T value{};
        if (const Bytes part = take_raw(sizeof value); !part.empty())
            std::memcpy(&value, part.data(), sizeof value);
        return value;
    }
    Bytes take_bytes() noexcept { return take_raw(take<std::uint32_t>()); }
    std::string take_text() { return std::string(text_of(take_bytes())); }
    Bytes take_raw(std::size_t count) noexcept {
        if (count > in_.size()) {
            good_ = false;
            in_ = {};
            return {};
        }
        const Bytes part = in_.first(count);
        in_ = in_.subspan(count);
        return part;
    }

    bool good() const noexcept { return good_; }
    bool at_end() const noexcept { return in_.empty(); }
    Bytes rest() const noexcept { return in_; }

  private:
    Bytes in_;
    bool good_ = true;
};

}  // namespace ddict
