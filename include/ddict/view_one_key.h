// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The bodies of View's templates for one key; include <ddict/view.h>, which says what they do.
#pragma once

#include <utility>

#include <ddict/view.h>

namespace ddict {

template <class K, class V>
void View::put(const K& key, const V& value) const {
    try_put(key, value).value();
}

template <class K, class V>
bool View::put_if_absent(const K& key, const V& value) const {
    return try_put_if_absent(key, value).value();
}

template <class K, class V>
bool View::put_if_present(const K& key, const V& value) const {
    return try_put_if_present(key, value).value();
}

template <class T, class K>
T View::get(const K& key) const {
    return try_get<T>(key).value();
}

template <class T, class K>
detail::Received<T> View::get_into(const K& key, T&& value) const {
    return try_get_into(key, value).value();
}

template <class K>
bool View::contains(const K& key) const {
    return try_contains(key).value();
}

template <class K>
std::optional<ValueInfo> View::type_and_size(const K& key) const {
    return try_type_and_size(key).value();
}

template <class T, class K>
std::optional<T> View::pop(const K& key) const {
    return try_pop<T>(key).value();
}

template <class T, class K>
detail::Popped<T> View::pop_into(const K& key, T&& value) const {
    return try_pop_into(key, value).value();
}

template <class K>
bool View::erase(const K& key) const {
    return try_erase(key).value();
}

template <class K, class Number, class Unit>
bool View::touch(const K& key, std::chrono::duration<Number, Unit> ttl) const {
    return try_touch(key, ttl).value();
}

template <class K>
bool View::clear_ttl(const K& key) const {
    return try_clear_ttl(key).value();
}

template <class K>
std::optional<std::chrono::microseconds> View::time_to_live(const K& key) const {
    return try_time_to_live(key).value();
}

template <class K, class E, class D>
bool View::compare_and_swap(const K& key, const E& expected, const D& desired) const {
    return try_compare_and_swap(key, expected, desired).value();
}

template <Counter N, class K, class D>
N View::fetch_add(const K& key, D delta, std::type_identity_t<N> initial) const {
    return try_fetch_add<N>(key, delta, initial).value();
}

template <class K, class V>
std::uint64_t View::append(const K& key, const V& value) const {
    return try_append(key, value).value();
}

template <class T, class K>
T View::wait_for(const K& key) const {
    return try_wait_for<T>(key).value();
}

template <class T, class K, class L>
T View::wait_for_while(const K& key, const L& alive) const {
    return try_wait_for_while<T>(key, alive).value();
}

template <class T, class K>
detail::Received<T> View::wait_for_into(const K& key, T&& value) const {
    return try_wait_for_into(key, value).value();
}

template <class T, std::ranges::input_range Keys>
IndexedValue<T> View::wait_for_any(Keys&& keys) const {
    return try_wait_for_any<T>(std::forward<Keys>(keys)).value();
}

template <class T, class K>
T View::bget(const K& key) const {
    return try_bget<T>(key).value();
}

template <class K>
bool View::berase(const K& key) const {
    return try_berase(key).value();
}

template <class K>
FrozenValue View::view_frozen(const K& key) const {
    return try_view_frozen(key).value();
}

template <class Number, class Unit>
View View::within(std::chrono::duration<Number, Unit> timeout) const {
    return with_timeout(detail::TimeoutBudget::clamped(timeout));
}

template <class Number, class Unit>
View View::with_ttl(std::chrono::duration<Number, Unit> ttl) const {
    return with_ttl_of(detail::TimeoutBudget::clamped(ttl));
}

template <class K, class V>
void View::wait_for_value(const K& key, const V& value) const {
    try_wait_for_value(key, value).value();
}

template <class K, class V>
void View::bput(const K& key, const V& value) const {
    try_bput(key, value).value();
}

template <class K>
Result<FrozenValue> View::try_view_frozen(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return view_frozen_bytes(bytes); });
}

template <class T, class K>
std::optional<T> View::find(const K& key) const {
    return try_find<T>(key).value();
}

template <class T, class K>
Result<std::optional<T>> View::try_find(const K& key) const {
    return detail::or_nothing(
        received<T>(Operation::get, key, [&](KeyBytes k, ValueSink& sink) { return find_bytes(k, sink); }));
}

template <class T, class K>
T View::get_or(const K& key, T fallback) const {
    return try_get_or<T>(key, std::move(fallback)).value();
}

template <class K, class V>
Result<void> View::try_put(const K& key, const V& value) const {
    return detail::with_both(key, value,
                             [&](KeyBytes k, Bytes v) { return put_bytes(k, v, detail::type_of<V>()); });
}

template <class K, class V>
Result<bool> View::try_put_if_absent(const K& key, const V& value) const {
    return detail::with_both(key, value, [&](KeyBytes k, Bytes v) {
        return put_bytes_if(PutCondition::absent, k, v, detail::type_of<V>());
    });
}

template <class K, class V>
Result<bool> View::try_put_if_present(const K& key, const V& value) const {
    return detail::with_both(key, value, [&](KeyBytes k, Bytes v) {
        return put_bytes_if(PutCondition::present, k, v, detail::type_of<V>());
    });
}

template <class T, class K>
Result<T> View::try_get(const K& key) const {
    return received<T>(Operation::get, key, [&](KeyBytes k, ValueSink& sink) { return get_bytes(k, sink); });
}

template <class K>
Result<bool> View::try_contains(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return contains_bytes(bytes); });
}

template <class K>
Result<std::optional<ValueInfo>> View::try_type_and_size(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return type_and_size_bytes(bytes); });
}

template <class T, class K>
Result<std::optional<T>> View::try_pop(const K& key) const {
    return detail::or_nothing(detail::with_key(key, [&](KeyBytes bytes) { return popped<T>(bytes); }));
}

template <class K>
Result<bool> View::try_erase(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return erase_bytes(bytes); });
}

template <class K, class V>
Result<std::uint64_t> View::try_append(const K& key, const V& value) const {
    if constexpr (detail::can_be_appended<V>()) {
        return detail::with_both(key, value,
                                 [&](KeyBytes k, Bytes v) { return append_bytes(k, v, Codec<V>::type); });
    } else {
        return Error();
    }
}

template <class T, class K>
Result<T> View::try_wait_for(const K& key) const {
    return received<T>(Operation::wait_for, key,
                       [&](KeyBytes k, ValueSink& sink) { return wait_for_bytes(k, sink); });
}

template <class T, class K, class L>
Result<T> View::try_wait_for_while(const K& key, const L& alive) const {
    return detail::with_key(alive, [&](KeyBytes a) {
        return received<T>(Operation::wait_for, key,
                           [&](KeyBytes k, ValueSink& sink) { return wait_for_while_bytes(k, a, sink); });
    });
}

template <class K, class Number, class Unit>
Result<bool> View::try_touch(const K& key, std::chrono::duration<Number, Unit> ttl) const {
    return detail::with_key(
        key, [&](KeyBytes bytes) { return touch_bytes(bytes, detail::TimeoutBudget::clamped(ttl)); });
}

template <class K>
Result<bool> View::try_clear_ttl(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return touch_bytes(bytes, std::nullopt); });
}

template <class K>
Result<std::optional<std::chrono::microseconds>> View::try_time_to_live(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return time_to_live_bytes(bytes); });
}

template <class K, class V>
Result<void> View::try_wait_for_value(const K& key, const V& value) const {
    return detail::with_both(
        key, value, [&](KeyBytes k, Bytes v) { return wait_for_value_bytes(k, v, detail::type_of<V>()); });
}

template <class K, class V>
Result<void> View::try_bput(const K& key, const V& value) const {
    return detail::with_both(
        key, value, [&](KeyBytes k, Bytes v) { return broadcast_put_bytes(k, v, detail::type_of<V>()); });
}

template <class T, class K>
Result<T> View::try_bget(const K& key) const {
    return received<T>(Operation::broadcast_get, key,
                       [&](KeyBytes k, ValueSink& sink) { return broadcast_get_bytes(k, sink); });
}

template <class K>
Result<bool> View::try_berase(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return broadcast_erase_bytes(bytes); });
}

template <class K, class V>
Pending<void> View::put_async(const K& key, const V& value) const {
    return Pending<void>(detail::with_both(
        key, value, [&](KeyBytes k, Bytes v) { return start_put(k, v, detail::type_of<V>(), !HasView<V>); }));
}

template <class T, class K>
Pending<T> View::get_async(const K& key) const {
    if constexpr (detail::can_be_read<T>()) {
        return Pending<T>(detail::with_key(
            key, [&](KeyBytes bytes) { return start_get(bytes, detail::sink_type<detail::SinkFor<T>>()); }));
    } else {
        return Pending<T>();
    }
}

template <class T, class K>
Pending<T> View::wait_async(const K& key) const {
    if constexpr (detail::can_be_read<T>()) {
        return Pending<T>(detail::with_key(
            key, [&](KeyBytes bytes) { return start_wait(bytes, detail::sink_type<detail::SinkFor<T>>()); }));
    } else {
        return Pending<T>();
    }
}

template <class K>
Pending<bool> View::erase_async(const K& key) const {
    return Pending<bool>(detail::with_key(key, [&](KeyBytes bytes) { return start_erase(bytes); }));
}

template <class T, class K, class F>
Result<T> View::received(Operation operation, const K& key, F&& receive) const {
    if constexpr (detail::can_be_read<T>()) {
        detail::SinkFor<T> sink;
        const Result<void> got = detail::with_key(key, [&](KeyBytes bytes) { return receive(bytes, sink); });
        if (!got) return got.error();
        Result<T> value = std::move(sink).take();
        if (!value.has_value()) value.error() = name_error_of(key, value.error(), operation);
        return value;
    } else {
        return Error();
    }
}

template <class T, class K>
Result<T> View::try_get_or(const K& key, T fallback) const {
    Result<std::optional<T>> value = try_find<T>(key);
    if (!value.has_value()) return value.error();
    return *value ? **std::move(value) : std::move(fallback);
}

template <class T, class K, class F>
Result<detail::Received<T>> View::received_into(Operation operation, const K& key, T& value,
                                                F&& receive) const {
    if constexpr (detail::can_be_received_into<T&>()) {
        detail::SinkInto<std::remove_cvref_t<T>> sink(value);
        const Result<void> got = detail::with_key(key, [&](KeyBytes bytes) { return receive(bytes, sink); });
        if (!got) return got.error();
        Result<detail::Received<T>> finished = sink.finish();
        if (!finished) finished.error() = name_error_of(key, finished.error(), operation);
        return finished;
    } else {
        return Error();
    }
}

template <class T, class K>
Result<detail::Received<T>> View::try_get_into(const K& key, T&& value) const {
    return received_into(Operation::get, key, value,
                         [&](KeyBytes k, ValueSink& sink) { return get_bytes(k, sink); });
}

template <class T, class K>
Result<detail::Received<T>> View::try_wait_for_into(const K& key, T&& value) const {
    return received_into(Operation::wait_for, key, value,
                         [&](KeyBytes k, ValueSink& sink) { return wait_for_bytes(k, sink); });
}

template <class T, class K>
Result<detail::Popped<T>> View::try_pop_into(const K& key, T&& value) const {
    if constexpr (detail::can_be_received_into<T>()) {
        Result<detail::Popped<T>> popped =
            detail::with_key(key, [&](KeyBytes bytes) { return popped_into(bytes, value); });
        if (!popped.has_value() && popped.error().code == Errc::not_found) return detail::Popped<T>();
        return popped;
    } else {
        return Error();
    }
}

template <class K, class E, class D>
Result<bool> View::try_compare_and_swap(const K& key, const E& expected, const D& desired) const {
    return detail::with_key(key, [&](KeyBytes k) {
        return detail::with_optional_bytes(expected, [&](std::optional<Bytes> e) {
            return detail::with_optional_bytes(desired, [&](std::optional<Bytes> d) {
                return swap_bytes(k, e, d, detail::type_of_swap<E, D>());
            });
        });
    });
}

template <Counter N, class K, class D>
Result<N> View::try_fetch_add(const K& key, D delta, std::type_identity_t<N> initial) const {
    static_assert(std::is_floating_point_v<N> || !std::is_floating_point_v<D>,
                  "to add a fraction to a counter, write fetch_add<double>");
    const Result<std::uint64_t> before = detail::with_key(key, [&](KeyBytes bytes) {
        return add_bits(bytes, Codec<N>::type, std::bit_cast<std::uint64_t>(static_cast<N>(delta)),
                        std::bit_cast<std::uint64_t>(initial));
    });
    if (!before) return before.error();
    return std::bit_cast<N>(*before);
}

template <class T>
Result<T> View::popped(KeyBytes key) const {
    if constexpr (!detail::can_be_read<T>()) {
        return Error();
    } else if constexpr (HasDecode<T> || detail::HasCheck<T>) {
        detail::BytesSink sink;
        if (const Result<void> got = pop_bytes(key, sink); !got) return got.error();
        try {
            Result<T> value = detail::read_value<T>(sink.bytes(), sink.type());
            if (!value.has_value()) value.error() = put_back(key, sink.bytes(), sink.type(), value.error());
            return value;
        } catch (...) {  // of a user's codec, or for want of memory
            static_cast<void>(put_back(key, sink.bytes(), sink.type(), Error()));
            throw;
        }
    } else {
        detail::SinkFor<T> sink;
        if (const Result<void> got = pop_bytes(key, sink); !got) return got.error();
        return std::move(sink).take();
    }
}

template <class T>
Result<detail::Popped<T>> View::popped_into(KeyBytes key, T& value) const {
    using Value = std::remove_cvref_t<T>;
    detail::SinkInto<Value> sink(value);
    const auto outcome = [](const auto& finished) -> Result<detail::Popped<T>> {
        if constexpr (detail::is_span<Value>) {
            return detail::Popped<T>(*finished);
        } else {
            return true;
        }
    };
    if constexpr (detail::is_span<Value> || (HasBuffer<Value> && !detail::HasCheck<Value>)) {
        if (const Result<void> got = pop_bytes(key, sink); !got) return got.error();
        return outcome(sink.finish());
    } else {
        detail::BytesSink bytes;
        if (const Result<void> got = pop_bytes(key, bytes); !got) return got.error();
        const Result<std::span<std::byte>> buffer = sink.prepare(bytes.bytes().size(), bytes.type());
        if (!buffer) return put_back(key, bytes.bytes(), bytes.type(), buffer.error());
        detail::copy_bytes(bytes.bytes(), *buffer);
        const auto finished = sink.finish();
        if (!finished) return put_back(key, bytes.bytes(), bytes.type(), finished.error());
        return outcome(finished);
    }
}

template <class K>
Error View::name_error_of(const K& key, const Error& error, Operation operation) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return name_error(error, operation, bytes); });
}

template <class K>
std::uint32_t View::which_manager(const K& key) const {
    return detail::with_key(key, [&](KeyBytes bytes) { return manager_of_bytes(bytes); });
}

}  // namespace ddict
