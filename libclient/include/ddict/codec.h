// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How C++ values become bytes and back.
//
// Out of the box: strings, trivially copyable types, and vectors, arrays and spans of trivially copyable
// types. A value carries a 16-bit type next to its bytes, so that a reader that asks for another type gets
// Errc::wrong_type and no nonsense. Numbers are stored as they are in memory (little-endian, as on every host
// ddict runs on).
//
// A type of your own:
//
//     template <> struct ddict::Codec<Particle> {
//         static constexpr std::uint16_t type = ddict::user_type(7);       // your number, 0 to 0x7fff
//         static std::vector<std::byte> encode(const Particle& particle);
//         static ddict::Result<Particle> decode(std::span<const std::byte> bytes);
//     };
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ddict/result.h>
#include <ddict/value_sink.h>

namespace ddict {

// The type number of a value: what it is in the upper byte, of which element in the lower one.
inline constexpr std::uint16_t type_bytes =
    0x0000;  ///< any bytes; can be read as anything, and anything as this
inline constexpr std::uint16_t type_text = 0x0001;
inline constexpr std::uint16_t type_scalar = 0x0100;  ///< | element
inline constexpr std::uint16_t type_vector = 0x0200;  ///< | element
constexpr std::uint16_t user_type(std::uint16_t number) {
    return static_cast<std::uint16_t>(0x8000 | number);
}

/// The element number of a trivially copyable type: signed, unsigned and floating of 2^n bytes are told
/// apart; all others (structures, enumerations) share 0x7f, and only their size is checked.
template <class T>
constexpr std::uint16_t element_type() {
    if constexpr (std::is_same_v<T, std::byte> || std::is_same_v<T, bool>) {
        return std::is_same_v<T, bool> ? 0x40 : 0x20;
    } else if constexpr (std::is_integral_v<T> || std::is_floating_point_v<T>) {
        std::uint16_t power = 0;
        while ((std::size_t{1} << power) < sizeof(T))
            ++power;
        const int kind = std::is_floating_point_v<T> ? 3 : (std::is_unsigned_v<T> ? 2 : 1);
        return static_cast<std::uint16_t>(kind * 16 + power);
    } else {
        return 0x7f;
    }
}

template <class T>
concept TriviallyCopyable = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !std::is_array_v<T>;

/// Specialise for types of your own; see above. The built-in codecs have `view` (the value's own bytes)
/// instead of `encode`, and `room` (resize, and receive in place) instead of `decode`, so that nothing is
/// copied twice.
template <class T>
struct Codec;

template <class T>
concept TextLike = std::convertible_to<const T&, std::string_view>;

template <TextLike T>
struct Codec<T> {
    static constexpr std::uint16_t type = type_text;
    static std::span<const std::byte> view(const T& text) {
        const std::string_view chars = text;
        return std::as_bytes(std::span(chars.data(), chars.size()));
    }
    static Result<std::span<std::byte>> room(T& text,
                                             std::uint64_t bytes) requires std::same_as<T, std::string> {
        text.resize(bytes);
        return std::as_writable_bytes(std::span(text.data(), text.size()));
    }
};

template <TriviallyCopyable T>
requires(!TextLike<T>) struct Codec<T> {
    static constexpr std::uint16_t type = type_scalar | element_type<T>();
    static std::span<const std::byte> view(const T& value) {
        return std::as_bytes(std::span<const T, 1>(&value, 1));
    }
    static Result<std::span<std::byte>> room(T& value, std::uint64_t bytes) {
        if (bytes != sizeof(T))
            return Error(Errc::wrong_type, "the value has another size than the type asked for");
        return std::as_writable_bytes(std::span<T>(&value, 1));
    }
};

template <TriviallyCopyable T>
struct Codec<std::vector<T>> {
    static constexpr std::uint16_t type =
        std::is_same_v<T, std::byte> ? type_bytes : type_vector | element_type<T>();
    static std::span<const std::byte> view(const std::vector<T>& values) {
        return std::as_bytes(std::span(values));
    }
    static Result<std::span<std::byte>> room(std::vector<T>& values, std::uint64_t bytes) {
        if (bytes % sizeof(T) != 0) {
            return Error(Errc::wrong_type, "the size of the value is no multiple of the element asked for");
        }
        values.resize(bytes / sizeof(T));
        return std::as_writable_bytes(std::span(values));
    }
};

template <class T, std::size_t N>
requires TriviallyCopyable<std::remove_const_t<T>>
struct Codec<std::span<T, N>> {  // to put from; get into a span with Dictionary::get_into
    using Element = std::remove_const_t<T>;
    static constexpr std::uint16_t type = Codec<std::vector<Element>>::type;
    static std::span<const std::byte> view(std::span<T, N> values) { return std::as_bytes(values); }
};

template <class T>
concept HasView = requires(const T& value) {
    { Codec<T>::view(value) } -> std::same_as<std::span<const std::byte>>;
};
template <class T>
concept HasEncode = requires(const T& value) {
    { Codec<T>::encode(value) } -> std::convertible_to<std::vector<std::byte>>;
};
template <class T>
concept HasRoom = std::default_initializable<T> && requires(T& value) {
    { Codec<T>::room(value, 0) } -> std::same_as<Result<std::span<std::byte>>>;
};
template <class T>
concept HasDecode = requires(std::span<const std::byte> bytes) {
    { Codec<T>::decode(bytes) } -> std::same_as<Result<T>>;
};

/// What can be put, and what can be got.
template <class T>
concept Encodable = HasView<T> || HasEncode<T>;
template <class T>
concept Decodable = HasRoom<T> || HasDecode<T>;

namespace detail {

/// Plain bytes fit every type, and every type can be read as plain bytes.
inline Result<void> check_type(std::uint16_t stored, std::uint16_t asked) {
    if (stored == asked || stored == type_bytes || asked == type_bytes) return {};
    return Error(Errc::wrong_type, "the stored value is of another type than the one asked for");
}

/// Receives a T, in place where its codec can.
template <Decodable T>
class SinkFor final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        if (const Result<void> fits = check_type(value_type, Codec<T>::type); !fits) return fits.error();
        if constexpr (HasRoom<T>) {
            return Codec<T>::room(value_, bytes);
        } else {
            value_.resize(bytes);
            return std::span(value_);
        }
    }
    Result<T> take() && {
        if constexpr (HasRoom<T>) {
            return std::move(value_);
        } else {
            return Codec<T>::decode(value_);
        }
    }

  private:
    std::conditional_t<HasRoom<T>, T, std::vector<std::byte>> value_{};
};

/// Calls f with the bytes of a value.
template <Encodable T, class F>
auto with_bytes(const T& value, F&& f) {
    if constexpr (HasView<T>) {
        return f(Codec<T>::view(value));
    } else {
        const std::vector<std::byte> encoded = Codec<T>::encode(value);
        return f(std::span<const std::byte>(encoded));
    }
}

}  // namespace detail
}  // namespace ddict
