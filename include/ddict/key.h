// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How C++ values become keys and back. A key has a type, as a value has: the text "42" and the integer 42 are
// two keys. So that whoever means the same key finds it, numbers have one form:
//
//   - An integer of any width is an int64; one above the range of int64 is a uint64. 42, 42L and char(42) are
//     one key. An enumerator is its number.
//   - float and double are a float64; 0.0 and -0.0 are one key, and so are all that are no number.
//   - Anything else that can be stored (<ddict/codec.h>) is a key with its codec's type and bytes: text,
//   bool,
//     vectors, a type of the user's. Floats in it are what they are in memory. What may have other bytes when
//     it is equal can be no key: long double, structures with padding or floats, unordered maps.
//
// docs/values.md has the bytes of each. AnyKey holds a key of whatever type: what iterations over keys of
// several types give.
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <ddict/codec.h>
#include <ddict/key_bytes.h>
#include <ddict/result.h>

namespace ddict {

class AnyKey;

namespace detail {

template <class T>
concept IntegerKey = (std::is_integral_v<T> || std::is_enum_v<T>)&&!std::same_as<T, bool> &&
                     !has_user_type<T> && sizeof(T) <= 8;
template <class T>
concept FloatKey = std::same_as<T, float> || std::same_as<T, double>;

/// The normal form of a number.
struct NumberKey {
    std::uint64_t bits = 0;
    std::uint16_t type = key_type_int64;

    template <IntegerKey T>
    explicit NumberKey(T number) {
        if constexpr (std::is_enum_v<T>) {
            *this = NumberKey(static_cast<std::underlying_type_t<T>>(number));
        } else {
            bits = static_cast<std::uint64_t>(number);
            if (std::is_unsigned_v<T> && bits > INT64_MAX) type = key_type_uint64;
        }
    }
    template <FloatKey T>
    explicit NumberKey(T number) : type(key_type_float64) {
        constexpr std::uint64_t no_number = 0x7ff8'0000'0000'0000;
        const double value = number == 0 ? 0.0 : static_cast<double>(number);
        bits = value == value ? std::bit_cast<std::uint64_t>(value) : no_number;
    }
    KeyBytes view() const { return {{reinterpret_cast<const std::byte*>(&bits), sizeof bits}, type}; }

    /// That of a number of a type of values; none if the bytes are not one of an integer or a float.
    static std::optional<NumberKey> of(std::span<const std::byte> bytes, std::uint16_t type);
};

/// Of the bytes of a number that are more or fewer than it has.
Error no_number_key(std::uint64_t bytes, std::uint16_t type);

/// Of a key that is not what it was asked for as: "an integer", "int8".
Error wrong_key(KeyBytes key, std::string_view asked);

/// A type without a codec of the user's whose bytes are not the same whenever its values are.
template <class T>
inline constexpr bool is_unsteady_key = has_unsteady_bytes<T> && !has_user_type<T>;

}  // namespace detail

/// What can be a key, and what a key can be read as.
template <class T>
concept EncodableKey =
    (Encodable<T> && !detail::is_unsteady_key<T>) || std::same_as<T, AnyKey> || std::same_as<T, KeyBytes>;
template <class T>
concept DecodableKey = (Decodable<T> && !detail::is_unsteady_key<T>) || std::same_as<T, AnyKey>;

namespace detail {

template <class T>
constexpr void require_steady_bytes() {
    static_assert(!std::same_as<T, long double>, "long double is no key: its bytes differ between machines");
    static_assert(
        !is_unsteady_key<T> || std::same_as<T, long double>,
        "no key: what is between the members of this type is part of its bytes, and equal values may "
        "have different ones; give it a codec: see <ddict/codec.h>");
}
/// Whether it can be a key; if not, one of these lines is what the compiler says.
template <class T>
constexpr bool can_be_key() {
    if constexpr (!std::same_as<T, AnyKey> && !std::same_as<T, KeyBytes>) {
        if constexpr (can_be_stored<T>()) require_steady_bytes<T>();
    }
    return EncodableKey<T>;
}
/// The same of a type that keys are to be read as.
template <class T>
constexpr bool can_be_read_key() {
    if constexpr (!std::same_as<T, AnyKey>) {
        if constexpr (can_be_read<T>()) require_steady_bytes<T>();
    }
    return DecodableKey<T>;
}

/// Calls f with a key in its normal form.
template <class T, class F>
auto with_key(const T& key, F&& f) {
    if constexpr (!can_be_key<T>()) {
        return f(KeyBytes());
    } else if constexpr (std::same_as<T, KeyBytes>) {
        return f(key);
    } else if constexpr (std::same_as<T, AnyKey>) {
        return f(key.view());
    } else if constexpr (IntegerKey<T> || FloatKey<T>) {
        const NumberKey number(key);
        return f(number.view());
    } else {
        return with_bytes(
            key, [&](std::span<const std::byte> bytes) { return f(KeyBytes(bytes, Codec<T>::type)); });
    }
}

template <IntegerKey T>
Result<T> integer_of(KeyBytes key) {
    if constexpr (std::is_enum_v<T>) {
        const auto number = integer_of<std::underlying_type_t<T>>(key);
        if (!number) return number.error();
        return static_cast<T>(*number);
    } else {
        if (key.type() != key_type_int64 && key.type() != key_type_uint64)
            return wrong_key(key, "an integer");
        const std::optional<T> number = number_as<T>(key.bytes(), key.type());
        if (!number) return wrong_key(key, type_in_words(Codec<T>::type));
        return *number;
    }
}

template <FloatKey T>
Result<T> float_of(KeyBytes key) {
    if (key.type() != key_type_float64) return wrong_key(key, "a float");
    const std::optional<T> number = number_as<T>(key.bytes(), key.type());
    if (!number) return wrong_key(key, type_in_words(Codec<T>::type));
    return *number;
}

/// A T from a key; wrong_type if the key is none.
template <DecodableKey T>
Result<T> from_key(KeyBytes key) {
    if constexpr (std::same_as<T, AnyKey>) {
        return T(key);
    } else if constexpr (IntegerKey<T>) {
        return integer_of<T>(key);
    } else if constexpr (FloatKey<T>) {
        return float_of<T>(key);
    } else {
        if (key.type() != Codec<T>::type) return wrong_key(key, type_in_words(Codec<T>::type));
        return from_bytes<T>(key.bytes());
    }
}

/// A value that can be a key.
template <class T>
concept PlainKey = !std::same_as<T, AnyKey> && !std::same_as<T, KeyBytes> && EncodableKey<T>;

}  // namespace detail

/// A key of any type, with its own bytes. Can be put in place of a key in each call, compared, and used in
/// maps.
///
///     for (const ddict::AnyKey& key : dict.keys<ddict::AnyKey>()) {
///         if (key.is<std::int64_t>()) sum += key.as<std::int64_t>();
///         dict.erase(key);
///     }
class AnyKey {
  public:
    /// No key: calls refuse it as empty.
    AnyKey() = default;
    explicit AnyKey(KeyBytes key);
    template <detail::PlainKey T>
    AnyKey(const T& key) {
        detail::with_key(key, [this](KeyBytes bytes) { *this = AnyKey(bytes); });
    }

    /// From the bytes of a value of any type (docs/values.md): numbers take their one form. Throws
    /// Exception(invalid_argument) if these are no bytes of a number, and the type is that of one.
    static AnyKey of_type(std::span<const std::byte> bytes, std::uint16_t type);

    KeyBytes view() const { return {bytes(), type_}; }
    std::span<const std::byte> bytes() const {
        return {reinterpret_cast<const std::byte*>(bytes_.data()), bytes_.size()};
    }
    std::uint16_t type() const { return type_; }
    bool empty() const { return bytes_.empty(); }

    /// Whether it can be read as a T. An integer can be read as any integer type that has its value.
    template <DecodableKey T>
    bool is() const {
        return static_cast<bool>(try_as<T>());
    }
    /// wrong_type if it is none.
    template <DecodableKey T>
    T as() const {
        return try_as<T>().value();
    }
    template <DecodableKey T>
    Result<T> try_as() const {
        return detail::from_key<T>(view());
    }
    /// For people: 'Hello', 42, 1.5.
    std::string in_words() const;

    friend bool operator==(const AnyKey& a, const AnyKey& b) { return a.compare(b) == 0; }
    /// An order, of no meaning: by type, then by bytes.
    friend std::strong_ordering operator<=>(const AnyKey& a, const AnyKey& b) { return a.compare(b) <=> 0; }

  private:
    /// Below, above or equal to 0.
    int compare(const AnyKey& other) const noexcept;

    std::uint16_t type_ = type_text;
    std::string bytes_;
};

}  // namespace ddict

template <>
struct std::hash<ddict::AnyKey> {
    std::size_t operator()(const ddict::AnyKey& key) const noexcept {
        const auto bytes = key.bytes();
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return std::hash<std::string_view>()(text) ^ (std::size_t{key.type()} * 0x9e3779b97f4a7c15u);
    }
};
