// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How C++ values become bytes and back.
//
// Out of the box: text (what converts to std::string_view; of an array of char and of a const char* what
// stands before its first zero), trivially copyable types without pointers, vectors, std::array and spans of
// trivially copyable types, and vectors of anything else that can be stored (std::vector<std::string>,
// std::vector<std::vector<T>>). <ddict/array.h> adds arrays of several dimensions, <ddict/record.h> pairs,
// tuples and maps. A value carries a 16-bit type next to its bytes, so that a reader that asks for another
// type gets Errc::wrong_type and no nonsense, and so that a program in another language knows what it has
// got. docs/values.md has the bytes.
//
// Numbers are stored as they are in memory (little-endian, as on every host ddict runs on).
//
// Structures and enumerations that are stored as they are in memory are told apart by a number made of their
// name (<ddict/structure.h>). Padding between their members is stored too, with whatever stands in it: two
// that are equal may differ in their bytes, which compare_and_swap and wait_for_value look at, and what
// stands there can be read by others. Give such types a codec.
//
// A type of your own (Writer and Reader of <ddict/record.h> write the two functions' bodies for you):
//
//     template <> struct ddict::Codec<Particle> {
//         static constexpr std::uint16_t type = ddict::user_type(7);       // your number, 0 to 0x7fff
//         static std::vector<std::byte> encode(const Particle& particle);
//         static ddict::Result<Particle> decode(std::span<const std::byte> bytes);
//     };
//
// All functions here may be called by any thread; nothing is shared.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ddict/number.h>
#include <ddict/result.h>
#include <ddict/standard.h>
#include <ddict/structure.h>
#include <ddict/value_sink.h>
#include <ddict/value_type.h>

namespace ddict {

namespace detail {
/// Whose own bytes are, or hold, an address: they would mean nothing to who reads them. Members of structures
/// cannot be looked at.
template <class T>
inline constexpr bool holds_address =
    std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>;
template <class T, std::size_t N>
inline constexpr bool holds_address<std::span<T, N>> = true;
template <class Char, class Traits>
inline constexpr bool holds_address<std::basic_string_view<Char, Traits>> = true;
template <class T>
inline constexpr bool holds_address<std::initializer_list<T>> = true;
template <class T>
inline constexpr bool holds_address<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool holds_address<std::optional<T>> = holds_address<T>;
template <class T, std::size_t N>
inline constexpr bool holds_address<std::array<T, N>> = holds_address<T>;
}  // namespace detail

template <class T>
concept TriviallyCopyable =
    std::is_trivially_copyable_v<T> && !detail::holds_address<T> && !std::is_array_v<T>;

template <class T>
concept TextLike = std::convertible_to<const T&, std::string_view> && !std::is_null_pointer_v<T>;

/// Specialise for types of your own; see above. The built-in codecs have `view` (the value's own bytes)
/// instead of `encode`, and `buffer` (resize, and receive in place) instead of `decode`, so that nothing is
/// copied twice. A codec with `buffer` may have `check`, which judges what has been received.
template <class T>
struct Codec;

template <class T>
concept HasView = requires(const T& value) {
    { Codec<T>::view(value) } -> std::same_as<std::span<const std::byte>>;
};
template <class T>
concept HasEncode = requires(const T& value) {
    { Codec<T>::encode(value) } -> std::convertible_to<std::vector<std::byte>>;
};
template <class T>
concept HasBuffer = std::default_initializable<T> && requires(T& value) {
    { Codec<T>::buffer(value, 0) } -> std::same_as<Result<std::span<std::byte>>>;
};
template <class T>
concept HasDecode = requires(std::span<const std::byte> bytes) {
    { Codec<T>::decode(bytes) } -> std::same_as<Result<T>>;
};

/// What can be put, and what can be got. Compilers quote the line, with its comment, where a type is neither.
template <class T>
concept Encodable = HasView<T> || HasEncode<T>;  // neither? specialise ddict::Codec: see <ddict/codec.h>
template <class T>
concept Decodable = HasBuffer<T> || HasDecode<T>;  // neither? specialise ddict::Codec: see <ddict/codec.h>

namespace detail {

/// Whether a value can be stored; if not, this line is what the compiler says, and all that it says.
template <class T>
constexpr bool can_be_stored() {
    static_assert(Encodable<T>,
                  "this type has no codec to store it: specialise ddict::Codec: see <ddict/codec.h>");
    return Encodable<T>;
}
/// The same of a type that a value is asked for as.
template <class T>
constexpr bool can_be_read() {
    static_assert(Decodable<T>,
                  "this type has no codec to read it: specialise ddict::Codec: see <ddict/codec.h>");
    return Decodable<T>;
}

/// That of values of this type; 0 if it has no codec.
template <class T>
constexpr std::uint16_t type_of() {
    if constexpr (Encodable<T> || Decodable<T>) {
        return Codec<T>::type;
    } else {
        return 0;
    }
}

/// The type of one or several elements: `plain` of numbers, `structured` of others.
template <class T>
constexpr std::uint16_t type_of_elements(std::uint16_t plain, std::uint16_t structured) {
    if constexpr (element_type<T>() == element_structure) {
        constexpr std::uint16_t number = structure_number<T>;
        static_assert(number <= declared_structure_max || number == structure_number_of(type_name<T>()),
                      "a declared structure_number is one of 0 to 255");
        return static_cast<std::uint16_t>(structured | number);
    } else {
        return static_cast<std::uint16_t>(plain | element_type<T>());
    }
}

/// The name of the structures that a value is made of; nothing if it is made of something else.
template <class T>
inline constexpr std::string_view name_of_structure{};
template <class T>
requires(std::is_trivially_copyable_v<T>&& element_type<T>() ==
         element_structure) inline constexpr std::string_view name_of_structure<T> = type_name<T>();
template <class T>
inline constexpr std::string_view name_of_structure<std::vector<T>> = name_of_structure<T>;
template <class T, std::size_t N>
inline constexpr std::string_view name_of_structure<std::array<T, N>> = name_of_structure<T>;

/// Whether two equal values may have different bytes: structures with padding or floats between their
/// members, whatever holds such.
template <class T>
inline constexpr bool has_unsteady_bytes = false;
template <class T>
requires(std::is_trivially_copyable_v<T> && !std::is_floating_point_v<T> &&
         !ComplexNumber<T>) inline constexpr bool has_unsteady_bytes<T> =
    !std::has_unique_object_representations_v<T> && !TextLike<T>;
template <>
inline constexpr bool has_unsteady_bytes<long double> = true;
template <ComplexNumber T>
inline constexpr bool has_unsteady_bytes<T> = has_unsteady_bytes<typename T::value_type>;
template <class T>
inline constexpr bool has_unsteady_bytes<std::vector<T>> = has_unsteady_bytes<T>;
template <class T, std::size_t N>
inline constexpr bool has_unsteady_bytes<std::array<T, N>> = has_unsteady_bytes<T>;
template <class T, std::size_t N>
inline constexpr bool has_unsteady_bytes<std::span<T, N>> = has_unsteady_bytes<std::remove_const_t<T>>;

/// Plain bytes fit every type, and every type can be read as plain bytes.
inline Result<void> check_type(std::uint16_t stored, std::uint16_t asked, std::string_view name = {}) {
    if (stored == asked || stored == type_bytes || asked == type_bytes) return {};
    return wrong_type(stored, asked, name);
}

template <class T>
concept HasCheck = requires(T& value) {
    { Codec<T>::check(value) } -> std::same_as<Result<void>>;
};

template <class T>
Result<void> check_received(T& value) {
    if constexpr (HasCheck<T>) {
        return Codec<T>::check(value);
    } else {
        return {};
    }
}

template <Decodable T>
Result<T> from_bytes(std::span<const std::byte> bytes);

/// A T from the bytes of a value of `stored` type. A number is converted where nothing of it is lost.
template <Decodable T>
Result<T> read_value(std::span<const std::byte> bytes, std::uint16_t stored) {
    if constexpr (is_number<T>) {
        if (is_other_number<T>(stored)) return converted<T>(bytes, stored);
    }
    if (const Result<void> fits = check_type(stored, Codec<T>::type, name_of_structure<T>); !fits)
        return fits.error();
    return from_bytes<T>(bytes);
}

/// Receives a T, in place where its codec can.
template <Decodable T>
class SinkFor final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        if constexpr (is_number<T>) {
            if (is_other_number<T>(value_type)) return other_.prepare(bytes, value_type);
            other_.clear();
        }
        if (const Result<void> fits = check_type(value_type, Codec<T>::type, name_of_structure<T>); !fits)
            return fits.error();
        if constexpr (HasBuffer<T>) {
            return Codec<T>::buffer(value_, bytes);
        } else {
            value_.resize(bytes);
            return std::span(value_);
        }
    }
    Result<T> take() && {
        if constexpr (is_number<T>) {
            if (other_.is_used()) return other_.template take<T>();
        }
        if constexpr (HasBuffer<T>) {
            if (const Result<void> good = check_received(value_); !good) return good.error();
            return std::move(value_);
        } else {
            return Codec<T>::decode(value_);
        }
    }

  private:
    struct Nothing {};
    std::conditional_t<HasBuffer<T>, T, std::vector<std::byte>> value_{};
    [[no_unique_address]] std::conditional_t<is_number<T>, NumberBuffer, Nothing> other_{};
};

/// Receives bytes as they are, whatever they are.
class BytesSink final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override;
    std::span<const std::byte> bytes() const { return {bytes_.data(), bytes_.size()}; }
    std::uint16_t type() const { return type_; }

  private:
    std::vector<std::byte> bytes_;
    std::uint16_t type_ = type_bytes;
};

/// Receives into a value that is there already: its memory is used again. After an error its content is not
/// specified.
template <class T>
class SinkInto;
template <HasBuffer T>
class SinkInto<T> final : public ValueSink {
  public:
    explicit SinkInto(T& value) : value_(value) {}
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        if constexpr (is_number<T>) {
            if (is_other_number<T>(value_type)) return other_.prepare(bytes, value_type);
            other_.clear();
        }
        if (const Result<void> fits = check_type(value_type, Codec<T>::type, name_of_structure<T>); !fits)
            return fits.error();
        return Codec<T>::buffer(value_, bytes);
    }
    /// To be called when all has arrived.
    Result<void> finish() {
        if constexpr (is_number<T>) {
            if (other_.is_used()) {
                const Result<T> number = other_.template take<T>();
                if (!number) return number.error();
                value_ = *number;
                return {};
            }
        }
        return check_received(value_);
    }

  private:
    struct Nothing {};
    T& value_;
    [[no_unique_address]] std::conditional_t<is_number<T>, NumberBuffer, Nothing> other_{};
};

/// Whether this process can read the memory, which may be a GPU's; what is handed such memory refuses it.
bool can_be_read(std::span<const std::byte> memory) noexcept;
/// The same of memory that is to receive a value. Errors: invalid_argument, which names no key.
Result<void> check_target(std::span<const std::byte> memory);

/// Whose encode() copies memory that the value refers to.
template <class T>
concept HasSource = requires(const T& value) {
    { Codec<T>::source(value) } -> std::same_as<std::span<const std::byte>>;
};

/// Calls f with the bytes of a value.
template <class T, class F>
auto with_bytes(const T& value, F&& f) {
    if constexpr (!can_be_stored<T>()) {
        return f(std::span<const std::byte>());
    } else if constexpr (HasView<T>) {
        return f(Codec<T>::view(value));
    } else {
        if constexpr (HasSource<T>) {
            if (const auto source = Codec<T>::source(value); !can_be_read(source)) return f(source);
        }
        const std::vector<std::byte> encoded = Codec<T>::encode(value);
        return f(std::span<const std::byte>(encoded));
    }
}

/// Requires space for them at `to`.
inline void copy_bytes(std::span<const std::byte> from, std::span<std::byte> to) {
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

/// A T from bytes of its codec that lie in memory.
template <Decodable T>
Result<T> from_bytes(std::span<const std::byte> bytes) {
    if constexpr (HasDecode<T>) {
        return Codec<T>::decode(bytes);
    } else {
        T value{};
        const Result<std::span<std::byte>> buffer = Codec<T>::buffer(value, bytes.size());
        if (!buffer) return buffer.error();
        copy_bytes(bytes, *buffer);
        if (const Result<void> good = check_received(value); !good) return good.error();
        return value;
    }
}

/// Other programs may have stored other bytes than 0 and 1 as a bool, which C++ must not look at.
template <class T>
void make_bools_good(std::span<T> values) {
    if constexpr (std::is_same_v<T, bool>) {
        for (std::byte& byte : std::as_writable_bytes(values))
            byte = byte == std::byte{0} ? std::byte{0} : std::byte{1};
    }
}

/// Where they are not ours to change: wrong_type if there is such a byte. Costs a look at each of them.
template <class T>
Result<void> check_bools(std::span<const std::byte> values) {
    if constexpr (std::is_same_v<T, bool>) {
        for (const std::byte byte : values) {
            if (byte > std::byte{1})
                return Error(Errc::wrong_type, "a byte of it is no bool: neither 0 nor 1");
        }
    }
    return {};
}

template <class T>
inline constexpr bool has_user_type = false;
template <class T>
requires requires {
    Codec<T>::type;
}
inline constexpr bool has_user_type<T> = (Codec<T>::type & 0x8000) != 0;

}  // namespace detail

/// What can stand side by side in a vector as it is: no text, no codec of the user's.
template <class T>
concept Element = TriviallyCopyable<T> && !TextLike<T> && !detail::has_user_type<T>;

template <TextLike T>
struct Codec<T> {
    static constexpr std::uint16_t type = type_text;
    /// Throws Exception (invalid_argument) for a null pointer.
    static std::span<const std::byte> view(const T& text) {
        const std::string_view chars = chars_of(text);
        return std::as_bytes(std::span(chars.data(), chars.size()));
    }
    static Result<std::span<std::byte>> buffer(T& text,
                                               std::uint64_t bytes) requires std::same_as<T, std::string> {
        text.resize(bytes);
        return std::as_writable_bytes(std::span(text.data(), text.size()));
    }

  private:
    static std::string_view chars_of(const T& text) {
        if constexpr (std::is_array_v<T>) {
            const char* const zero = std::char_traits<char>::find(text, std::extent_v<T>, '\0');
            return {text, zero == nullptr ? std::extent_v<T> : static_cast<std::size_t>(zero - text)};
        } else {
            if constexpr (std::is_pointer_v<T>) {
                if (text == nullptr)
                    throw Exception(Error(Errc::invalid_argument, "the text is a null pointer"));
            }
            return text;
        }
    }
};

template <TriviallyCopyable T>
requires(!TextLike<T>) struct Codec<T> {
    static constexpr std::uint16_t type = detail::type_of_elements<T>(type_scalar, type_structure);
    static std::span<const std::byte> view(const T& value) {
        return std::as_bytes(std::span<const T, 1>(&value, 1));
    }
    static Result<std::span<std::byte>> buffer(T& value, std::uint64_t bytes) {
        if (bytes != sizeof(T)) {
            return Error(Errc::wrong_type, "the value has " + detail::bytes_in_words(bytes) +
                                               ", the type asked for " + std::to_string(sizeof(T)));
        }
        return std::as_writable_bytes(std::span<T>(&value, 1));
    }
    static Result<void> check(T& value) {
        detail::make_bools_good(std::span<T>(&value, 1));
        return {};
    }
};

template <Element T>
struct Codec<std::vector<T>> {
    static constexpr std::uint16_t type =
        std::is_same_v<T, std::byte> ? type_bytes
                                     : detail::type_of_elements<T>(type_vector, type_structure_vector);
    static std::span<const std::byte> view(const std::vector<T>& values) {
        return std::as_bytes(std::span(values));
    }
    static Result<std::span<std::byte>> buffer(std::vector<T>& values, std::uint64_t bytes) {
        if (bytes % sizeof(T) != 0) {
            return Error(Errc::wrong_type, "the size of the value is no multiple of the element asked for");
        }
        values.resize(bytes / sizeof(T));
        return std::as_writable_bytes(std::span(values));
    }
};

/// Its bits do not lie side by side in memory: stored as a byte each, like any other vector.
template <>
struct Codec<std::vector<bool>> {
    static constexpr std::uint16_t type = type_vector | element_type<bool>();
    static std::vector<std::byte> encode(const std::vector<bool>& values);
    static Result<std::vector<bool>> decode(std::span<const std::byte> bytes);
};

/// As a vector of N elements.
template <Element T, std::size_t N>
struct Codec<std::array<T, N>> {
    static constexpr std::uint16_t type = Codec<std::vector<T>>::type;
    static std::span<const std::byte> view(const std::array<T, N>& values) {
        return std::as_bytes(std::span<const T>(values));
    }
    static Result<std::span<std::byte>> buffer(std::array<T, N>& values, std::uint64_t bytes) {
        if (bytes != N * sizeof(T)) {
            return Error(Errc::wrong_type, "the value has " + detail::bytes_in_words(bytes) +
                                               ", the array asked for " + std::to_string(N * sizeof(T)));
        }
        return std::as_writable_bytes(std::span<T>(values));
    }
    static Result<void> check(std::array<T, N>& values) {
        detail::make_bools_good(std::span<T>(values));
        return {};
    }
};

template <class T, std::size_t N>
requires Element<std::remove_const_t<T>>
struct Codec<std::span<T, N>> {  // to put from; get into a span with Dictionary::get_into
    using Value = std::remove_const_t<T>;
    static constexpr std::uint16_t type = Codec<std::vector<Value>>::type;
    static std::span<const std::byte> view(std::span<T, N> values) { return std::as_bytes(values); }
};

namespace detail {

inline constexpr std::size_t value_alignment = 16;  ///< of all that is no text and no bytes

constexpr std::size_t aligned(std::size_t bytes) {
    return (bytes + value_alignment - 1) / value_alignment * value_alignment;
}

template <class N>
void append_number(std::vector<std::byte>& out, N number) {
    const std::size_t end = out.size();
    out.resize(end + sizeof number);
    std::memcpy(out.data() + end, &number, sizeof number);
}
void append_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes);
/// Requires offset + sizeof(N) <= bytes.size().
template <class N>
N number_at(std::span<const std::byte> bytes, std::size_t offset) {
    N number{};
    std::memcpy(&number, bytes.data() + offset, sizeof number);
    return number;
}

/// The type of a list's items, and how many they are; what follows is known to hold their lengths.
struct ListHeader {
    static constexpr std::size_t bytes = 16;
    std::uint16_t item_type = 0;
    std::uint64_t count = 0;

    static Result<ListHeader> read(std::span<const std::byte> in);
};

constexpr bool is_packed(std::uint16_t type) {
    return type == type_text || type == type_bytes;
}

}  // namespace detail

/// A list: items of any one type that can be stored. To get it back, its items must be Decodable.
template <Encodable T>
requires(!Element<T>) struct Codec<std::vector<T>> {
    static constexpr std::uint16_t type = type_list;

    static std::vector<std::byte> encode(const std::vector<T>& items) {
        std::vector<std::byte> out;
        detail::append_number(out, std::uint64_t{Codec<T>::type});
        detail::append_number(out, std::uint64_t{items.size()});
        out.resize(detail::aligned(out.size() + items.size() * 8));
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (!detail::is_packed(Codec<T>::type)) out.resize(detail::aligned(out.size()));
            detail::with_bytes(items[i], [&](std::span<const std::byte> bytes) {
                const std::uint64_t length = bytes.size();
                std::memcpy(out.data() + detail::ListHeader::bytes + i * 8, &length, sizeof length);
                detail::append_bytes(out, bytes);
            });
        }
        return out;
    }

    static Result<std::vector<T>> decode(std::span<const std::byte> in) requires Decodable<T> {
        const Result<detail::ListHeader> header = detail::ListHeader::read(in);
        if (!header) return header.error();
        if (header->item_type != Codec<T>::type) {
            return Error(Errc::wrong_type, "stored: list of " + type_in_words(header->item_type) +
                                               ", asked: list of " + type_in_words(Codec<T>::type));
        }
        std::vector<T> items;
        const std::size_t could_be = in.size() / sizeof(T) + 1;
        items.reserve(header->count < could_be ? header->count : could_be);
        std::size_t at = detail::aligned(detail::ListHeader::bytes + header->count * 8);
        for (std::size_t i = 0; i < header->count; ++i) {
            if (!detail::is_packed(Codec<T>::type)) at = detail::aligned(at);
            const auto length = detail::number_at<std::uint64_t>(in, detail::ListHeader::bytes + i * 8);
            if (at > in.size() || length > in.size() - at)
                return Error(Errc::wrong_type, "an item of the list reaches beyond its end");
            Result<T> item = detail::from_bytes<T>(in.subspan(at, length));
            if (!item.has_value()) return item.error();
            items.push_back(*std::move(item));
            at += length;
        }
        if (at != in.size()) return Error(Errc::wrong_type, "bytes follow the last item of the list");
        return items;
    }
};

}  // namespace ddict
