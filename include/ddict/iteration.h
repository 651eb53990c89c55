// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Walking over all pairs of a View, a page at a time: View::keys, values, items, cursor.
//
//     for (const std::string& key : dict.keys("user/")) ...
//     for (auto& [key, value] : dict.items<std::string, double>()) ...
//
// What is guaranteed while others write stands at View::keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <ddict/codec.h>
#include <ddict/key.h>
#include <ddict/operands.h>
#include <ddict/partial.h>
#include <ddict/result.h>
#include <ddict/standard.h>

namespace ddict {

/// One walk over the pairs, one after the other. For one thread at a time. Holds a page (64 KiB) and, for the
/// time of its visit, a value that is too large for a page; nothing at the managers. May be left at any time.
class Cursor {
  public:
    Cursor(Cursor&&) noexcept;
    Cursor& operator=(Cursor&&) noexcept;
    ~Cursor();

    /// Goes to the next pair, the first at first; false: there are no more. After an error the next call
    /// tries again, and nothing is visited twice. Cost: a message and its answer for every page of 64 KiB
    /// and for every value that does not fit into one.
    Result<bool> next();

    // The pair it stands on: valid until next(), and only after that has said true.
    std::span<const std::byte> key() const;
    std::uint16_t key_type() const;
    std::span<const std::byte> value() const;  ///< empty if it visits keys only
    std::uint16_t value_type() const;
    std::uint32_t manager() const;  ///< that owns it

    /// With ScanOptions::partial: the managers that were left out so far, by manager id. Of one that stopped
    /// answering in the middle, some pairs may have been visited. First all are asked side by side whether
    /// they answer; one that does not is waited for 2 s at the most, each time.
    const std::vector<MissingManager>& missing() const;

    /// wrong_type if the key is no K. AnyKey takes them all.
    template <class K = std::string>
    Result<K> key_as() const {
        if constexpr (detail::can_be_read_key<K>()) {
            return named(detail::from_key<K>(KeyBytes(key(), key_type())));
        } else {
            return Error();
        }
    }
    template <class V = std::string>
    Result<V> value_as() const {
        if constexpr (detail::can_be_read<V>()) {
            return named(detail::read_value<V>(value(), value_type()));
        } else {
            return Error();
        }
    }

  private:
    friend class View;
    struct Impl;
    explicit Cursor(Impl* impl);
    Error name_error(Error error) const;
    template <class T>
    Result<T> named(Result<T> result) const {
        if (!result.has_value()) result.error() = name_error(result.error());
        return result;
    }

    Impl* impl_;  // owned
};

namespace detail {

/// A single-pass range over what `Read` makes of each pair.
template <class Read>
class ScanRange : public std::ranges::view_base {
  public:
    using value_type = typename Read::value_type;

    class Iterator {
      public:
        using value_type = ScanRange::value_type;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        explicit Iterator(ScanRange* range) : range_(range) {}
        Iterator(Iterator&&) = default;
        Iterator& operator=(Iterator&&) = default;

        value_type& operator*() const { return *range_->current_; }
        value_type* operator->() const { return &*range_->current_; }
        Iterator& operator++() {
            range_->advance();
            return *this;
        }
        void operator++(int) { range_->advance(); }
        bool operator==(std::default_sentinel_t) const { return !range_->current_; }

      private:
        ScanRange* range_;
    };

    explicit ScanRange(Cursor cursor) : cursor_(std::move(cursor)) {}

    /// Fetches the first page. Once only; the range must stay where it is from then on.
    Iterator begin() {
        advance();
        return Iterator(this);
    }
    std::default_sentinel_t end() const { return {}; }

  private:
    void advance() {
        current_.reset();
        if (cursor_.next().value()) current_.emplace(Read::read(cursor_).value());
    }

    Cursor cursor_;
    std::optional<value_type> current_;
};

template <class K>
struct ReadKey {
    using value_type = K;
    static Result<K> read(const Cursor& cursor) { return cursor.key_as<K>(); }
};
template <class V>
struct ReadValue {
    using value_type = V;
    static Result<V> read(const Cursor& cursor) { return cursor.value_as<V>(); }
};
template <class K, class V>
struct ReadItem {
    using value_type = std::pair<K, V>;
    static Result<value_type> read(const Cursor& cursor) {
        Result<K> key = cursor.key_as<K>();
        if (!key.has_value()) return key.error();
        Result<V> value = cursor.value_as<V>();
        if (!value.has_value()) return value.error();
        return value_type(*std::move(key), *std::move(value));
    }
};

}  // namespace detail

template <class K>
using KeyRange = detail::ScanRange<detail::ReadKey<K>>;
template <class V>
using ValueRange = detail::ScanRange<detail::ReadValue<V>>;
template <class K, class V>
using ItemRange = detail::ScanRange<detail::ReadItem<K, V>>;

}  // namespace ddict
