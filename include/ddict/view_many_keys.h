// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The bodies of View's templates for many keys; include <ddict/view.h>, which says what they do.
#pragma once

#include <ddict/view.h>

namespace ddict {

template <class T, std::ranges::input_range Keys>
std::vector<std::optional<T>> View::multi_get(Keys&& keys) const {
    if constexpr (detail::can_be_read<T>()) {
        detail::GetItems<T> items;
        const detail::KeyList list(keys);
        items.expect(list.keys().size());
        multi_get_bytes(list.keys(), items).value();
        if (const auto& bad = items.unreadable())
            throw Exception(name_error(bad->error, Operation::batch_get, list.keys()[bad->index]));
        return std::move(items).values();
    } else {
        return {};
    }
}

template <class T, std::ranges::input_range Keys>
std::vector<ItemResult<T>> View::try_multi_get(Keys&& keys) const {
    if constexpr (detail::can_be_read<T>()) {
        detail::GetItems<T> items;
        const detail::KeyList list(keys);
        items.expect(list.keys().size());
        static_cast<void>(multi_get_bytes(list.keys(), items));
        return std::move(items).results();
    } else {
        return {};
    }
}

template <class T, std::ranges::input_range Keys>
Result<IndexedValue<T>> View::try_wait_for_any(Keys&& keys) const {
    if constexpr (detail::can_be_read<T>()) {
        const detail::KeyList list(keys);
        detail::SinkFor<T> sink;
        const Result<std::size_t> index = wait_for_any_bytes(list.keys(), sink);
        if (!index) return index.error();
        Result<T> value = std::move(sink).take();
        if (!value.has_value())
            return name_error(value.error(), Operation::wait_for_any, list.keys()[*index]);
        return IndexedValue<T>{*index, *std::move(value)};
    } else {
        return Error();
    }
}

template <std::ranges::input_range Pairs>
void View::multi_put(Pairs&& pairs) const {
    const detail::PairList list(pairs);
    multi_put_bytes(list.pairs(), {}).value();
}

template <std::ranges::input_range Pairs>
std::vector<ItemStatus> View::try_multi_put(Pairs&& pairs) const {
    return statuses_of_puts(detail::PairList(pairs).pairs());
}

template <std::ranges::input_range Keys>
std::uint64_t View::multi_erase(Keys&& keys) const {
    const detail::KeyList list(keys);
    return multi_erase_bytes(list.keys(), {}).value();
}

template <std::ranges::input_range Keys>
std::vector<ItemStatus> View::try_multi_erase(Keys&& keys) const {
    return statuses_of_erases(detail::KeyList(keys).keys());
}

template <class K>
Result<Partial<std::vector<K>>> View::all_keys(const ScanOptions& options) const {
    Partial<std::vector<K>> keys;
    Cursor walk = for_one_call().cursor(options);  // however many pages it takes
    for (;;) {
        const Result<bool> more = walk.next();
        if (!more.has_value()) return more.error();
        if (!*more) break;
        Result<K> key = walk.key_as<K>();
        if (!key.has_value()) return key.error();
        keys.value.push_back(*std::move(key));
    }
    keys.missing = walk.missing();
    return keys;
}

template <class K>
Result<std::vector<K>> View::try_keys(std::string_view prefix) const {
    Result<Partial<std::vector<K>>> keys = all_keys<K>({.prefix = prefix});
    if (!keys) return keys.error();
    return std::move(keys->value);
}

template <class K>
Result<Partial<std::vector<K>>> View::try_partial_keys(std::string_view prefix) const {
    return all_keys<K>({.prefix = prefix, .partial = true});
}

template <std::ranges::input_range Pairs>
void View::update(Pairs&& pairs) const {
    try_update(std::forward<Pairs>(pairs)).value();
}

template <std::ranges::input_range Pairs>
Result<void> View::try_update(Pairs&& pairs) const {
    View collecting = *this;
    Result<void> first;
    if (const Result<void> begun = collecting.try_start_batch_put(); !begun) return begun.error();
    for (auto&& pair : pairs) {
        const auto& [key, value] = pair;
        const Result<void> put = collecting.try_put(key, value);  // other errors are told at the end
        if (!put && first) first = put;
    }
    const Result<BatchReport> ended = collecting.try_end_batch_put();
    if (!ended) return ended.error();
    if (first && !ended->failures.empty()) first = ended->failures.front().error;
    return first;
}

template <class K>
KeyRange<K> View::keys(std::string_view prefix) const {
    return KeyRange<K>(cursor({.prefix = prefix}));
}

template <class K>
KeyRange<K> View::local_keys(std::string_view prefix) const {
    return KeyRange<K>(cursor({.prefix = prefix, .local = true}));
}

template <class V>
ValueRange<V> View::values(std::string_view prefix) const {
    return ValueRange<V>(cursor({.prefix = prefix, .values = true}));
}

template <class V>
ValueRange<V> View::local_values(std::string_view prefix) const {
    return ValueRange<V>(cursor({.prefix = prefix, .values = true, .local = true}));
}

template <class K, class V>
ItemRange<K, V> View::items(std::string_view prefix) const {
    return ItemRange<K, V>(cursor({.prefix = prefix, .values = true}));
}

template <class K, class V>
ItemRange<K, V> View::local_items(std::string_view prefix) const {
    return ItemRange<K, V>(cursor({.prefix = prefix, .values = true, .local = true}));
}

template <class K>
Partial<std::vector<K>> View::partial_keys(std::string_view prefix) const {
    return try_partial_keys<K>(prefix).value();
}

}  // namespace ddict
