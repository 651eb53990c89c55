// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A value of a frozen dictionary, read where it lies: View::view_frozen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <ddict/codec.h>
#include <ddict/result.h>
#include <ddict/shared.h>

namespace ddict {

/// Refers to the memory of a manager of this node; nothing is copied, and the memory stays mapped for as long
/// as this object, or a copy of it, lives, also after detach(). It is right only while the freeze lasts that
/// it was made in: bytes() refuses afterwards, and who has used the bytes meanwhile asks valid() in the end.
/// Any thread. Copying it costs a counter.
class FrozenValue {
  public:
    /// The value. invalid_argument if the dictionary has been unfrozen since.
    std::span<const std::byte> bytes() const;
    Result<std::span<const std::byte>> try_bytes() const;
    /// Whether the freeze still lasts. If it does after the bytes have been used, they were right.
    bool valid() const noexcept;

    /// The elements of a vector, where they lie. wrong_type if it is of another element, or a bool of it is
    /// neither 0 nor 1 (which costs a look at each); otherwise as bytes().
    template <Element T>
    std::span<const T> elements() const {
        return try_elements<T>().value();
    }
    template <Element T>
    Result<std::span<const T>> try_elements() const {
        if (const Result<void> fits =
                detail::check_type(value_type(), Codec<std::vector<T>>::type, detail::name_of_structure<T>);
            !fits)
            return name_error(fits.error());
        const Result<std::span<const std::byte>> raw = try_bytes();
        if (!raw) return raw.error();
        if (const Result<void> good = detail::check_bools<T>(*raw); !good) return name_error(good.error());
        if (raw->size() % sizeof(T) != 0 || reinterpret_cast<std::uintptr_t>(raw->data()) % alignof(T) != 0)
            return name_error(
                Error(Errc::wrong_type, "the value has not the size or place of such elements"));
        return std::span<const T>(reinterpret_cast<const T*>(raw->data()), raw->size() / sizeof(T));
    }
    /// A text, where it lies. wrong_type if it is none; otherwise as bytes().
    std::string_view text() const;
    Result<std::string_view> try_text() const;

    std::uint64_t size() const noexcept;  ///< in bytes
    std::uint16_t value_type() const noexcept;

    /// Of what somebody finds wrong with its bytes: names its key, the manager and the node.
    Error name_error(Error error) const;

  private:
    friend class View;
    struct Impl;
    explicit FrozenValue(detail::Shared<const Impl> impl);
    detail::Shared<const Impl> impl_;
};

}  // namespace ddict
