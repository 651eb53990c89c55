// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What goes into the batches of a View, and what comes out: View::multi_get, multi_put, multi_erase,
// start_batch_put.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ddict/codec.h>
#include <ddict/error.h>
#include <ddict/key.h>
#include <ddict/result.h>
#include <ddict/standard.h>

namespace ddict {

/// How one item of a batch fared. For errors of a whole manager all its items say the same.
struct ItemStatus {
    Errc code = {};                             ///< 0: success
    std::uint32_t manager = Error::no_manager;  ///< that was asked
    bool in_doubt = false;                      ///< as Error::in_doubt
    bool ok() const noexcept { return code == Errc{}; }
    explicit operator bool() const noexcept { return ok(); }
};

/// The same for a value that was asked for.
template <class T>
struct ItemResult {
    ItemStatus status;
    std::optional<T> value;  ///< if status.ok()
    explicit operator bool() const noexcept requires(!detail::is_yes_or_no<T>) { return value.has_value(); }
    explicit operator bool() const requires detail::is_yes_or_no<T>
    = delete;  // status.ok(), or the value?
    T& operator*() noexcept { return *value; }
    const T& operator*() const noexcept { return *value; }
    Errc code() const noexcept { return status.code; }
};

/// One of several values that were waited for.
template <class T>
struct IndexedValue {
    std::size_t index = 0;  ///< of its key, in the range that was given
    T value{};
};

/// One pair as bytes; they stay the caller's.
struct PutItem {
    KeyBytes key;
    std::span<const std::byte> value;
    std::uint16_t value_type = type_bytes;
};

/// Takes the items of a multi_get. Called by the thread that called it, before that returns, in any order.
class ItemSink {
  public:
    /// A buffer for the value of an item, as ValueSink::prepare. Its bytes are there when done() is called.
    virtual Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes,
                                                 std::uint16_t value_type) = 0;
    /// Once for every item.
    virtual void done(std::size_t index, const ItemStatus& status) = 0;

  protected:
    ~ItemSink() = default;
};

/// How a batch of collected puts ended.
struct BatchReport {
    struct Failure {
        AnyKey key;
        Error error;
    };
    std::uint64_t stored = 0;
    std::uint64_t failed = 0;
    std::vector<Failure> failures;  ///< the first thousand of them
};

namespace detail {

/// Memory for copies of small things, which stay where they are.
class Arena {
  public:
    Arena() noexcept = default;
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();
    std::span<const std::byte> copy(std::span<const std::byte> bytes);

  private:
    struct Chunk;
    Chunk* last_ = nullptr;  // each has the one before it
    std::span<std::byte> left_;
};

/// Whether the bytes of a range's elements stay where they are after the iterator has moved on.
template <class Range>
inline constexpr bool elements_stay =
    std::ranges::forward_range<Range>&& std::is_lvalue_reference_v<std::ranges::range_reference_t<Range>>;

template <bool stays, class T>
std::span<const std::byte> kept_bytes(const T& value, Arena& arena) {
    if constexpr (stays && HasView<T>) {
        return Codec<T>::view(value);
    } else {
        return with_bytes(value, [&](std::span<const std::byte> bytes) { return arena.copy(bytes); });
    }
}

template <bool stays, class T>
KeyBytes kept_key(const T& key, Arena& arena) {
    constexpr bool is_there = !IntegerKey<T> && !FloatKey<T>;
    if constexpr (!can_be_key<T>()) {
        return {};
    } else if constexpr (std::same_as<T, KeyBytes>) {
        return key;
    } else if constexpr (stays && is_there && HasView<T>) {
        return {Codec<T>::view(key), Codec<T>::type};
    } else if constexpr (stays && std::same_as<T, AnyKey>) {
        return key.view();
    } else {
        return with_key(key,
                        [&](KeyBytes bytes) { return KeyBytes(arena.copy(bytes.bytes()), bytes.type()); });
    }
}

/// What a call that takes a range of keys is given in braces: keys of whatever types.
using BraceKeys = std::initializer_list<AnyKey>;

/// The keys of a range as bytes: in place where they stay, else copied.
class KeyList {
  public:
    template <std::ranges::input_range Keys>
    explicit KeyList(Keys& keys) {
        if constexpr (std::ranges::sized_range<Keys>) keys_.reserve(std::ranges::size(keys));
        for (auto&& key : keys)
            keys_.push_back(kept_key<elements_stay<Keys>>(key, arena_));
    }
    std::span<const KeyBytes> keys() const { return {keys_.data(), keys_.size()}; }

  private:
    Arena arena_;
    std::vector<KeyBytes> keys_;
};

class PairList {
  public:
    template <std::ranges::input_range Pairs>
    explicit PairList(Pairs& pairs) {
        if constexpr (std::ranges::sized_range<Pairs>) pairs_.reserve(std::ranges::size(pairs));
        for (auto&& pair : pairs) {
            const auto& [key, value] = pair;
            pairs_.push_back({kept_key<elements_stay<Pairs>>(key, arena_),
                              kept_bytes<elements_stay<Pairs>>(value, arena_),
                              type_of<std::remove_cvref_t<decltype(value)>>()});
        }
    }
    std::span<const PutItem> pairs() const { return {pairs_.data(), pairs_.size()}; }

  private:
    Arena arena_;
    std::vector<PutItem> pairs_;
};

/// Receives the values of a multi_get, in place where their codec can.
template <Decodable T>
class GetItems final : public ItemSink {
  public:
    void expect(std::size_t count) { results_.resize(count); }

    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes,
                                         std::uint16_t value_type) override {
        if constexpr (is_number<T>) {
            if (is_other_number<T>(value_type)) {
                if (others_.empty()) others_.resize(results_.size());
                return others_[index].prepare(bytes, value_type);
            }
            if (!others_.empty()) others_[index].clear();
        }
        if (const Result<void> fits = check_type(value_type, Codec<T>::type, name_of_structure<T>); !fits)
            return fits.error();
        if constexpr (HasBuffer<T>) {
            return Codec<T>::buffer(results_[index].value.emplace(), bytes);
        } else {
            if (raw_.empty()) raw_.resize(results_.size());
            raw_[index].resize(bytes);
            return std::span(raw_[index]);
        }
    }
    void done(std::size_t index, const ItemStatus& status) override {
        ItemResult<T>& result = results_[index];
        result.status = status;
        if (!status.ok()) {
            result.value.reset();
            return;
        }
        Result<void> good;
        if (!others_.empty() && others_[index].is_used()) {
            good = take_number(result, others_[index]);
        } else if constexpr (HasBuffer<T>) {
            good = check_received(*result.value);
        } else {
            Result<T> value = Codec<T>::decode(raw_[index]);
            raw_[index] = {};
            if (value.has_value()) {
                result.value = *std::move(value);
            } else {
                good = value.error();
            }
        }
        if (!good) {
            result.status.code = good.error().code;
            result.value.reset();
            if (!unreadable_) unreadable_ = {index, good.error()};
        }
    }

    std::vector<ItemResult<T>> results() && { return std::move(results_); }
    /// A value that came, and could not be read as a T.
    struct Unreadable {
        std::size_t index;
        Error error;
    };
    const std::optional<Unreadable>& unreadable() const { return unreadable_; }
    std::vector<std::optional<T>> values() && {
        std::vector<std::optional<T>> values;
        values.reserve(results_.size());
        for (ItemResult<T>& result : results_)
            values.push_back(std::move(result.value));
        return values;
    }

  private:
    static Result<void> take_number([[maybe_unused]] ItemResult<T>& result,
                                    [[maybe_unused]] const NumberBuffer& from) {
        if constexpr (is_number<T>) {
            Result<T> number = from.template take<T>();
            if (!number) return number.error();
            result.value = *number;
        }
        return {};
    }

    std::vector<ItemResult<T>> results_;
    std::vector<NumberBuffer> others_;         // numbers of another type than T
    std::vector<std::vector<std::byte>> raw_;  // of types that are decoded
    std::optional<Unreadable> unreadable_;
};

}  // namespace detail
}  // namespace ddict
