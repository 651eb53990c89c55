// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values that have parts: Writer and Reader for codecs of your own, and codecs for std::pair, std::tuple,
// std::map, std::unordered_map and other maps made like them.
//
//     template <> struct ddict::Codec<Particle> {
//         static constexpr std::uint16_t type = ddict::user_type(7);
//         static std::vector<std::byte> encode(const Particle& particle) {
//             return ddict::Writer().field(particle.name).field(particle.mass).take();
//         }
//         static ddict::Result<Particle> decode(std::span<const std::byte> bytes) {
//             Particle particle;
//             ddict::Reader in(bytes);
//             in.field(particle.name).field(particle.mass);
//             return in.finish(std::move(particle));
//         }
//     };
//
// Each field says its type and its length, so another program can walk through a record that it does not
// know, and a field that is not what the reader expects is an error (wrong_type), never nonsense.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <ddict/codec.h>

namespace ddict {

namespace detail {
inline constexpr std::size_t field_header_bytes = 16;  ///< type, 6 bytes of zero, length
}

/// Packs fields one after the other. One thread.
class Writer {
  public:
    /// Appends a field. Cost: a copy of its bytes; nothing else for the types whose codec has `view`.
    template <class T>
    Writer& field(const T& value) {
        detail::with_bytes(
            value, [&](std::span<const std::byte> bytes) { field_bytes(detail::type_of<T>(), bytes); });
        return *this;
    }
    /// Appends a field of any type number.
    Writer& field_bytes(std::uint16_t type, std::span<const std::byte> bytes);
    /// The record; the writer is empty afterwards.
    std::vector<std::byte> take();

  private:
    std::vector<std::byte> out_;
};

/// Reads the fields of a record in their order. Bytes that are no record, or another one, make it bad: it
/// then leaves values as they are, and finish() tells what was wrong. Never reads outside of its bytes,
/// which must live as long as it. One thread.
class Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

    /// The next field, into `value`. Numbers are converted where nothing of them is lost.
    template <class T>
    Reader& field(T& value) {
        const Field next = next_field();
        if (!good_) return *this;
        if constexpr (detail::can_be_read<T>()) {
            Result<T> read = detail::read_value<T>(next.bytes, next.type);
            if (read.has_value()) {
                value = *std::move(read);
            } else {
                fail(read.error());
            }
        }
        return *this;
    }

    struct Field {
        std::uint16_t type = type_bytes;
        std::span<const std::byte> bytes;
    };
    /// The next field as it is: its bytes are those of the record. Empty when the reader is bad or at its
    /// end.
    Field next_field();
    /// Whether there are more fields: what a later version of the writer may have added.
    bool more() const { return good_ && !rest_.empty(); }
    bool good() const { return good_; }

    /// `value`, if all fields were there and good and there are no more; what was wrong otherwise.
    template <class T>
    Result<T> finish(T value) const {
        if (!good_) return error_;
        if (!rest_.empty()) return Error(Errc::wrong_type, "the record has more fields than were asked for");
        return value;
    }

  private:
    void fail(const Error& error) {
        good_ = false;
        error_ = error;
    }

    std::span<const std::byte> rest_;
    bool good_ = true;
    Error error_;
};

namespace detail {

/// std::map, std::unordered_map, and what is made like them: whose name and header are not needed for that.
template <class T>
concept MapLike = !std::is_trivially_copyable_v<T> &&
                  requires(T & map, typename T::key_type& key, typename T::mapped_type& value) {
    { map.emplace(std::move(key), std::move(value)).second } -> std::convertible_to<bool>;
    { map.begin()->first } -> std::convertible_to<const typename T::key_type&>;
    { map.begin()->second } -> std::convertible_to<const typename T::mapped_type&>;
    map.end();
};
template <class T>
concept StorableMap = MapLike<T> && Encodable<typename T::key_type> && Encodable<typename T::mapped_type>;
template <class T>
concept OrderedMap = MapLike<T> && requires {
    typename T::key_compare;
};

template <class A, class B>
inline constexpr bool has_unsteady_bytes<std::pair<A, B>> = has_unsteady_bytes<A> || has_unsteady_bytes<B>;
template <class... T>
inline constexpr bool has_unsteady_bytes<std::tuple<T...>> = (has_unsteady_bytes<T> || ...);
// Others are in no particular order.
template <MapLike T>
inline constexpr bool has_unsteady_bytes<T> =
    !OrderedMap<T> || has_unsteady_bytes<typename T::key_type> || has_unsteady_bytes<typename T::mapped_type>;

/// Of a pair or a tuple.
template <class T, class Members>
struct TupleCodec;
template <class T, std::size_t... Member>
struct TupleCodec<T, std::index_sequence<Member...>> {
    static constexpr std::uint16_t type = type_record;
    static std::vector<std::byte> encode([[maybe_unused]] const T& value) {
        using std::get;
        Writer out;
        (out.field(get<Member>(value)), ...);
        return out.take();
    }
    static Result<T> decode(std::span<const std::byte> bytes) {
        using std::get;
        T value{};
        Reader in(bytes);
        (in.field(get<Member>(value)), ...);
        return in.finish(std::move(value));
    }
};

/// All keys, then all values, so that numbers are stored as densely as in a vector.
template <class T>
struct MapCodec {
    using Key = typename T::key_type;
    using Value = typename T::mapped_type;
    static constexpr std::uint16_t type = type_map;
    static std::vector<std::byte> encode(const T& map) {
        std::vector<Key> keys;
        std::vector<Value> values;
        for (const auto& [key, value] : map) {
            keys.push_back(key);
            values.push_back(value);
        }
        return Writer().field(keys).field(values).take();
    }
    static Result<T> decode(std::span<const std::byte> bytes) {
        std::vector<Key> keys;
        std::vector<Value> values;
        Reader in(bytes);
        in.field(keys).field(values);
        if (!in.good() || in.more()) return in.finish(T());
        if (keys.size() != values.size())
            return Error(Errc::wrong_type, "the map has another number of keys than of values");
        T map;
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (!map.emplace(std::move(keys[i]), std::move(values[i])).second)
                return Error(Errc::wrong_type, "the map has a key twice");
        }
        return map;
    }
};

}  // namespace detail

template <Encodable A, Encodable B>
struct Codec<std::pair<A, B>> : detail::TupleCodec<std::pair<A, B>, std::index_sequence<0, 1>> {};
template <Encodable... T>
struct Codec<std::tuple<T...>> : detail::TupleCodec<std::tuple<T...>, std::index_sequence_for<T...>> {};
template <detail::StorableMap T>
struct Codec<T> : detail::MapCodec<T> {};

}  // namespace ddict
