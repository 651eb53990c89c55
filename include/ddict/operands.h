// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the operations of a View take beside keys and values.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <ddict/codec.h>
#include <ddict/key.h>
#include <ddict/result.h>
#include <ddict/standard.h>
#include <ddict/value_sink.h>

namespace ddict {

/// When a conditional put stores.
enum class PutCondition { absent, present };

/// A user's placement: the hash of a key (its bytes in normal form), all of whose 64 bits count (the upper
/// ones decide). A pure function, the same in all processes; called by any thread.
using Placement = std::function<std::uint64_t(KeyBytes key)>;
/// The manager that a key names; taken modulo their number. As pure as a Placement.
using ManagerOfKey = std::function<std::uint32_t(KeyBytes key)>;

/// The numbers of fetch_add.
template <class N>
concept Counter = std::same_as<N, std::int64_t> || std::same_as<N, std::uint64_t> || std::same_as<N, double>;

/// Which pairs an iteration visits.
struct ScanOptions {
    std::string_view prefix{};  ///< only keys that begin with it; copied. A prefix is of one type, of texts
                                ///< unless `type` says otherwise
    bool values = false;        ///< with their values
    bool local = false;         ///< only on the managers of this node
    bool partial = false;       ///< leaves out managers that do not answer: Cursor::missing() names them
    std::optional<std::uint16_t> type{};  ///< only keys of this type, as KeyBytes::type()
};

/// How the connection to one manager is.
struct ManagerHealth {
    std::uint32_t manager = 0;
    std::string node{};                      ///< host name; empty if it could not be found out
    std::chrono::nanoseconds round_trip{0};  ///< of an empty message, if it is alive
    std::optional<Error> error{};            ///< why it gave no sign of life
    /// If it is alive: how often another process has taken its place, after it had died or on purpose.
    std::uint64_t restarts = 0;
    /// If it is not: its process has ended, and another one is being started, as far as that is known here.
    bool restarting = false;
    bool alive() const { return !error; }
};

namespace detail {

/// How long a call may take.
struct TimeoutBudget {
    static constexpr std::chrono::nanoseconds unlimited = std::chrono::hours(24 * 365);

    /// Any duration, without overflow; what is no number is none.
    template <class Number, class Unit>
    static std::chrono::nanoseconds clamped(std::chrono::duration<Number, Unit> timeout) {
        const std::chrono::duration<double> seconds = timeout;
        if (seconds >= unlimited) return unlimited;
        if (!(seconds > std::chrono::nanoseconds(0))) return std::chrono::nanoseconds(0);
        return std::chrono::duration_cast<std::chrono::nanoseconds>(timeout);
    }

    std::chrono::nanoseconds timeout = unlimited;
    std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max();

    std::chrono::steady_clock::time_point deadline(std::chrono::steady_clock::time_point now) const {
        const auto latest = now + (timeout < unlimited ? timeout : unlimited);
        return latest < until ? latest : until;
    }
    /// Looks at the clock only if it has to.
    bool is_over() const {
        if (timeout.count() <= 0) return true;
        return until != std::chrono::steady_clock::time_point::max() &&
               until <= std::chrono::steady_clock::now();
    }
};

/// Receives a value into memory of the caller.
class SpanSink final : public ValueSink {
  public:
    SpanSink(std::span<std::byte> buffer, std::uint16_t asked, std::size_t element_bytes = 1)
        : buffer_(buffer), asked_(asked), element_bytes_(element_bytes) {}

    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override;
    // Of the value that has come, or was too large.
    std::uint64_t bytes() const { return bytes_; }
    std::uint16_t value_type() const { return value_type_; }
    bool fits() const { return bytes_ <= buffer_.size(); }

  private:
    std::span<std::byte> buffer_;
    std::uint16_t asked_;
    std::size_t element_bytes_;
    std::uint64_t bytes_ = 0;
    std::uint16_t value_type_ = type_bytes;
};

/// Into a span of elements: as many as come.
template <Element T, std::size_t N>
class SinkInto<std::span<T, N>> final : public ValueSink {
  public:
    explicit SinkInto(std::span<T, N> elements)
        : elements_(elements),
          sink_(std::as_writable_bytes(elements), Codec<std::span<T>>::type, sizeof(T)) {}
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        return sink_.prepare(bytes, value_type);
    }
    /// How many have come.
    Result<std::uint64_t> finish() {
        const std::uint64_t count = sink_.bytes() / sizeof(T);
        make_bools_good(elements_.first(static_cast<std::size_t>(count)));
        return count;
    }

  private:
    std::span<T> elements_;
    SpanSink sink_;
};

template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

/// What a value can be received into.
template <class T>
concept Receivable = (!std::is_const_v<std::remove_reference_t<T>> ||
                      is_span<std::remove_cvref_t<T>>)&&requires(std::remove_cvref_t<T>& value) {
    SinkInto<std::remove_cvref_t<T>>(value).finish();
};
template <class T>
constexpr bool can_be_received_into() {
    static_assert(Receivable<T>,
                  "nothing can be received into this: it is const, or its type has no codec with "
                  "buffer, see <ddict/codec.h>");
    return Receivable<T>;
}
/// What receiving into it returns: of a span how many elements have come.
template <class T>
using Received = std::conditional_t<is_span<std::remove_cvref_t<T>>, std::uint64_t, void>;
template <class T>
using Popped = std::conditional_t<is_span<std::remove_cvref_t<T>>, std::optional<std::uint64_t>, bool>;

template <class K, class V, class F>
auto with_both(const K& key, const V& value, F&& f) {
    return with_key(key, [&](KeyBytes key_bytes) {
        return with_bytes(value,
                          [&](std::span<const std::byte> value_bytes) { return f(key_bytes, value_bytes); });
    });
}

/// What can grow at its end: text, bytes, vectors of elements, types of the user's.
template <class V>
constexpr bool can_be_appended() {
    if constexpr (can_be_stored<V>())
        static_assert(
            can_be_appended_to(Codec<V>::type),
            "only text, bytes, vectors of elements and types with a codec of yours can grow at their end");
    return Encodable<V> && can_be_appended_to(type_of<V>());
}

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// Calls f with the bytes of a value, or with nothing for std::nullopt and empty optionals.
template <class T, class F>
auto with_optional_bytes(const T& value, F&& f) {
    using Given = std::optional<std::span<const std::byte>>;
    if constexpr (std::same_as<T, std::nullopt_t>) {
        return f(Given());
    } else if constexpr (is_optional<T>) {
        return value ? with_bytes(*value, [&](std::span<const std::byte> bytes) { return f(Given(bytes)); })
                     : f(Given());
    } else {
        return with_bytes(value, [&](std::span<const std::byte> bytes) { return f(Given(bytes)); });
    }
}

template <class T>
struct Given {
    using type = T;
};
template <class T>
struct Given<std::optional<T>> {
    using type = T;
};

/// The type number of a compare_and_swap: what is expected and what is desired are of one type, unless one of
/// them is nothing.
template <class E, class D>
constexpr std::uint16_t type_of_swap() {
    if constexpr (std::same_as<D, std::nullopt_t> && std::same_as<E, std::nullopt_t>) {
        return type_bytes;
    } else if constexpr (std::same_as<D, std::nullopt_t>) {
        return type_of<typename Given<E>::type>();
    } else if constexpr (std::same_as<E, std::nullopt_t>) {
        return type_of<typename Given<D>::type>();
    } else {
        constexpr std::uint16_t type = type_of<typename Given<D>::type>();
        static_assert(type_of<typename Given<E>::type>() == type, "expected and desired are of one type");
        return type;
    }
}

/// A missing key as an empty optional.
template <class T>
Result<std::optional<T>> or_nothing(Result<T> value) {
    if (value.has_value()) return std::optional<T>(*std::move(value));
    if (value.error().code == Errc::not_found) return std::optional<T>();
    return value.error();
}

}  // namespace detail
}  // namespace ddict
