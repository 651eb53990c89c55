// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A number of one type read as a number of another, where nothing of it is lost: an int32 5 as an int64, a
// uint8 or a double, and a double 5.0 as an int; 300 is no int8, 0.5 no integer, 2^53 + 1 no double.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>

#include <ddict/result.h>
#include <ddict/value_type.h>

namespace ddict {

namespace detail {
/// std::complex, and what is laid out like it.
template <class T>
concept ComplexNumber = requires(const T& number) {
    requires std::floating_point<typename T::value_type> && sizeof(T) == 2 * sizeof(typename T::value_type);
    { number.real() } -> std::convertible_to<typename T::value_type>;
    { number.imag() } -> std::convertible_to<typename T::value_type>;
};
}  // namespace detail

/// The element number of a trivially copyable type: signed, unsigned, floating and complex numbers of 2^n
/// bytes are told apart; all others (structures, enumerations) have element_structure, and a number of their
/// own in the type of the value (<ddict/structure.h>).
template <class T>
constexpr std::uint16_t element_type() {
    if constexpr (std::is_same_v<T, std::byte> || std::is_same_v<T, bool>) {
        return std::is_same_v<T, bool> ? 0x40 : 0x20;
    } else if constexpr (std::is_integral_v<T> || std::is_floating_point_v<T> || detail::ComplexNumber<T>) {
        std::uint16_t power = 0;
        while ((std::size_t{1} << power) < sizeof(T))
            ++power;
        if (detail::ComplexNumber<T>) return static_cast<std::uint16_t>(0x50 + power);
        const int kind = std::is_floating_point_v<T> ? 3 : (std::is_unsigned_v<T> ? 2 : 1);
        return static_cast<std::uint16_t>(kind * 16 + power);
    } else {
        return element_structure;
    }
}

namespace detail {

/// Integers and floats of up to 8 bytes; bool and enumerations are none.
template <class T>
inline constexpr bool is_number = (std::is_integral_v<T> ||
                                   std::is_floating_point_v<T>)&&!std::is_same_v<T, bool> &&
                                  sizeof(T) <= 8;
template <class T>
concept Number = is_number<T>;

/// The same number as a T; nothing if there is none.
template <Number T, Number S>
std::optional<T> same_number(S number) {
    if constexpr (std::integral<S> && std::integral<T>) {
        // In std::in_range characters are no integers.
        const bool negative = std::is_signed_v<S> && number < S{0};
        const auto as_t = static_cast<T>(number);
        const bool stays_negative = std::is_signed_v<T> && as_t < T{0};
        if (static_cast<S>(as_t) != number || negative != stays_negative) return std::nullopt;
        return as_t;
    } else if constexpr (std::integral<T>) {
        // Both bounds are powers of two, which a float has.
        constexpr S end = static_cast<S>(std::numeric_limits<T>::max() / 2 + 1) * 2;
        constexpr S begin = std::is_signed_v<T> ? -end : S{0};
        if (!(number >= begin && number < end)) return std::nullopt;
        const auto as_t = static_cast<T>(number);
        if (static_cast<S>(as_t) != number) return std::nullopt;
        return as_t;
    } else {
        const auto as_t = static_cast<T>(number);
        if constexpr (std::integral<S>) {
            const std::optional<S> back = same_number<S>(as_t);
            if (!back || *back != number) return std::nullopt;
        } else if (number == number && static_cast<S>(as_t) != number) {
            return std::nullopt;
        }
        return as_t;
    }
}

/// The number of a scalar of `stored` type whose bytes these are, as a T; nothing if they are no number, or
/// none that a T can be.
template <Number T>
std::optional<T> number_as(std::span<const std::byte> bytes, std::uint16_t stored) {
    std::optional<T> found;
    const auto take = [&]<class S>(S number) {
        if (stored != (type_scalar | element_type<S>()) || bytes.size() != sizeof number) return;
        std::memcpy(&number, bytes.data(), sizeof number);
        found = same_number<T>(number);
    };
    take(std::int64_t{}), take(std::uint64_t{}), take(double{});
    take(std::int8_t{}), take(std::int16_t{}), take(std::int32_t{});
    take(std::uint8_t{}), take(std::uint16_t{}), take(std::uint32_t{}), take(float{});
    return found;
}

/// Whether values of this type are integers or floats of up to 8 bytes.
constexpr bool is_number_type(std::uint16_t type) {
    const int kind = (type & 0xf0) >> 4;
    return (type & 0xff00) == type_scalar && (type & 0x0f) <= 3 && kind >= 1 && kind <= 3;
}

/// Whether they are numbers, and not those of type T, which need no conversion.
template <Number T>
constexpr bool is_other_number(std::uint16_t type) {
    if (type == (type_scalar | element_type<T>())) [[likely]]
        return false;
    return is_number_type(type);
}

/// What is wrong with a number that cannot be one of type `asked`: names the number and both types.
Error not_convertible(std::span<const std::byte> bytes, std::uint16_t stored, std::uint16_t asked);

/// The same as number_as(), or wrong_type.
template <Number T>
Result<T> converted(std::span<const std::byte> bytes, std::uint16_t stored) {
    if (const std::optional<T> number = number_as<T>(bytes, stored)) return *number;
    return not_convertible(bytes, stored, static_cast<std::uint16_t>(type_scalar | element_type<T>()));
}

/// Memory for a number of whatever type.
class NumberBuffer {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t stored);
    /// The value is of another type by now: it has changed while it was being read.
    void clear() { stored_ = type_bytes; }
    bool is_used() const { return stored_ != type_bytes; }
    template <class T>
    Result<T> take() const {
        return converted<T>({bytes_, size_}, stored_);
    }

  private:
    std::byte bytes_[8] = {};
    std::size_t size_ = 0;
    std::uint16_t stored_ = type_bytes;
};

}  // namespace detail
}  // namespace ddict
