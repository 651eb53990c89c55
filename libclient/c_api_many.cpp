// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The C API's operations on many keys, and asynchronous ones.
#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::Bytes;
using c_api::given;
using c_api::guarded;
using c_api::MallocSink;
using c_api::on_key;

struct ddict_pending {
    detail::OperationHandle operation;
    Operation kind = Operation::none;
    std::uint16_t asked = type_bytes;  // of a get
};

namespace {

ddict_item_status told(const ItemStatus& status) {
    return {.code = static_cast<int>(status.code), .manager = status.manager, .in_doubt = status.in_doubt};
}

/// Receives each item into memory of malloc.
class MallocItems final : public ItemSink {
  public:
    MallocItems(std::span<ddict_value> values, std::span<ddict_item_status> statuses, std::uint16_t asked)
        : values_(values), statuses_(statuses), asked_(asked) {}

    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes,
                                         std::uint16_t value_type) override {
        forget(index);
        MallocSink sink(asked_);
        if (const auto buffer = sink.prepare(bytes, value_type); !buffer) return buffer.error();
        values_[index] = sink.release();
        return std::span(static_cast<std::byte*>(values_[index].data), values_[index].bytes);
    }
    void done(std::size_t index, const ItemStatus& status) override {
        statuses_[index] = told(status);
        if (!status.ok()) return forget(index);
        const Result<void> converted = c_api::convert_number(values_[index], asked_);
        if (converted) return;
        statuses_[index].code = static_cast<int>(converted.error().code);
        forget(index);
        if (!unreadable) unreadable = {index, converted.error()};
    }
    /// A value that came, and is no number of the type that was asked for.
    std::optional<std::pair<std::size_t, Error>> unreadable;
    void forget(std::size_t index) {
        std::free(values_[index].data);
        values_[index] = {};
    }

  private:
    std::span<ddict_value> values_;
    std::span<ddict_item_status> statuses_;
    std::uint16_t asked_;
};

Result<std::vector<KeyBytes>> checked_keys(const ddict_key* keys, std::size_t count) {
    std::vector<KeyBytes> checked(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (const Result<void> good = c_api::check_key(keys[i], "a key"); !good) return good.error();
        checked[i] = c_api::key_of(keys[i]);
    }
    return checked;
}

void copy_statuses(const std::vector<ItemStatus>& from, ddict_item_status* to) {
    if (to != nullptr) std::transform(from.begin(), from.end(), to, told);
}

/// What every item says if the call as a whole fails before any was tried.
void fill(ddict_item_status* statuses, std::size_t count, int code) {
    if (statuses != nullptr) std::fill_n(statuses, count, ddict_item_status{code, DDICT_NO_MANAGER, false});
}

/// Whether the caller has given memory for `count` items.
Result<void> given_items(const ddict_dictionary* dictionary, const void* items, const char* name,
                         std::size_t count) {
    if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
    return count == 0 ? Result<void>() : given({{items, name}});
}

/// Begins an operation; f makes its handle out of the operations and the key.
template <class F>
int begin(Operation kind, ddict_dictionary* dictionary, const ddict_key& key, ddict_pending** pending,
          ddict_error* error, F&& f) noexcept {
    return on_key(kind, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        if (const Result<void> good = given({{pending, "pending"}}); !good) return good;
        auto made = std::make_unique<ddict_pending>();
        made->kind = kind;
        if (const Result<void> begun = f(view, k, *made); !begun) return begun;
        *pending = made.release();
        return {};
    });
}

}  // namespace

int ddict_multi_get(ddict_dictionary* dictionary, const ddict_key* keys, size_t count, uint16_t type,
                    ddict_value* values, ddict_item_status* statuses, ddict_error* error) {
    if (values != nullptr) std::fill_n(values, count, ddict_value{});
    fill(statuses, count, DDICT_INVALID_ARGUMENT);
    bool asked = false;
    const int code = guarded(Operation::batch_get, error, [&]() -> Result<void> {
        if (const Result<void> good = given_items(dictionary, keys, "keys", count); !good) return good;
        if (count == 0) return {};
        if (const Result<void> good = given({{values, "values"}, {statuses, "statuses"}}); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        const Result<std::vector<KeyBytes>> checked = checked_keys(keys, count);
        if (!checked) return checked.error();
        MallocItems items({values, count}, {statuses, count}, type);
        fill(statuses, count, DDICT_SYSTEM);  // should an exception cut it short
        asked = true;
        const View& view = dictionary->operations();
        const Result<void> got = view.multi_get_bytes(*checked, items);
        if (!got || !items.unreadable) return got;
        const auto& [index, why] = *items.unreadable;
        return view.name_error(why, Operation::batch_get, (*checked)[index]);
    });
    // An item that was cut short has no value.
    for (std::size_t i = 0; asked && i < count; ++i) {
        if (statuses[i].code == DDICT_OK || values[i].data == nullptr) continue;
        ddict_free(values[i].data);
        values[i] = {};
    }
    return code;
}

int ddict_multi_put(ddict_dictionary* dictionary, const ddict_pair* pairs, size_t count,
                    ddict_item_status* statuses, ddict_error* error) {
    fill(statuses, count, DDICT_INVALID_ARGUMENT);
    return guarded(Operation::batch_put, error, [&]() -> Result<void> {
        if (const Result<void> good = given_items(dictionary, pairs, "pairs", count); !good) return good;
        std::vector<PutItem> items(count);
        for (std::size_t i = 0; i < count; ++i) {
            if (const Result<void> good = c_api::check_key(pairs[i].key, "a key"); !good) return good;
            if (const Result<void> good = c_api::check(pairs[i].value, "a value"); !good) return good;
            if (const Result<void> good = c_api::check_type(pairs[i].type); !good) return good;
            items[i] = {c_api::key_of(pairs[i].key), c_api::bytes_of(pairs[i].value), pairs[i].type};
        }
        std::vector<ItemStatus> fared(count);
        const Result<void> put = dictionary->operations().multi_put_bytes(items, fared);
        copy_statuses(fared, statuses);
        return put;
    });
}

int ddict_wait_for_any(ddict_dictionary* dictionary, const ddict_key* keys, size_t count, uint16_t type,
                       int64_t timeout_ms, size_t* index, ddict_value* value, ddict_error* error) {
    return guarded(Operation::wait_for_any, error, [&]() -> Result<void> {
        if (const Result<void> good = given_items(dictionary, keys, "keys", count); !good) return good;
        if (const Result<void> good = given({{index, "index"}, {value, "value"}}); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        const Result<View> limited = c_api::within(dictionary->operations(), timeout_ms);
        if (!limited) return limited.error();
        const Result<std::vector<KeyBytes>> checked = checked_keys(keys, count);
        if (!checked) return checked.error();
        MallocSink sink(type);
        const Result<std::size_t> found = limited->wait_for_any_bytes(*checked, sink);
        if (!found) return found.error();
        if (const Result<void> taken = sink.take(*value); !taken)
            return limited->name_error(taken.error(), Operation::wait_for_any, (*checked)[*found]);
        *index = *found;
        return {};
    });
}

int ddict_multi_erase(ddict_dictionary* dictionary, const ddict_key* keys, size_t count,
                      ddict_item_status* statuses, uint64_t* erased, ddict_error* error) {
    fill(statuses, count, DDICT_INVALID_ARGUMENT);
    if (erased != nullptr) *erased = 0;
    return guarded(Operation::batch_erase, error, [&]() -> Result<void> {
        if (const Result<void> good = given_items(dictionary, keys, "keys", count); !good) return good;
        const Result<std::vector<KeyBytes>> checked = checked_keys(keys, count);
        if (!checked) return checked.error();
        std::vector<ItemStatus> fared(count);
        const Result<std::uint64_t> done = dictionary->operations().multi_erase_bytes(*checked, fared);
        copy_statuses(fared, statuses);
        if (erased != nullptr)
            *erased = static_cast<std::uint64_t>(
                std::count_if(fared.begin(), fared.end(), [](const ItemStatus& s) { return s.ok(); }));
        if (!done) return done.error();
        return {};
    });
}

int ddict_put_async(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                    ddict_pending** pending, ddict_error* error) {
    return begin(Operation::put, dictionary, key, pending, error,
                 [&](View& view, KeyBytes k, ddict_pending& made) -> Result<void> {
                     if (const Result<void> good = c_api::check(value, "value"); !good) return good;
                     if (const Result<void> good = c_api::check_type(type); !good) return good;
                     made.operation = view.start_put(k, c_api::bytes_of(value), type);
                     return {};
                 });
}

int ddict_get_async(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_pending** pending,
                    ddict_error* error) {
    return begin(Operation::get, dictionary, key, pending, error,
                 [&](View& view, KeyBytes k, ddict_pending& made) -> Result<void> {
                     if (const Result<void> good = c_api::check_type(type); !good) return good;
                     made.asked = type;
                     made.operation = view.start_get(k, detail::sink_type<MallocSink>());
                     return {};
                 });
}

int ddict_erase_async(ddict_dictionary* dictionary, ddict_key key, ddict_pending** pending,
                      ddict_error* error) {
    return begin(Operation::erase, dictionary, key, pending, error,
                 [](View& view, KeyBytes k, ddict_pending& made) -> Result<void> {
                     made.operation = view.start_erase(k);
                     return {};
                 });
}

int ddict_pending_ready(ddict_pending* pending, bool* ready, ddict_error* error) {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{pending, "pending"}, {ready, "ready"}}); !good) return good;
        return c_api::put_out(pending->operation.ready(), ready);
    });
}

int ddict_pending_wait(ddict_pending* pending, int64_t timeout_ms, ddict_value* value, ddict_error* error) {
    const Operation kind = pending == nullptr ? Operation::none : pending->kind;
    return guarded(kind, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{pending, "pending"}}); !good) return good;
        if (kind == Operation::get) {
            if (const Result<void> good = given({{value, "value"}}); !good) return good;
        }
        std::optional<View::Clock::time_point> deadline;
        if (timeout_ms != DDICT_DEFAULT_TIMEOUT) {
            const Result<std::chrono::nanoseconds> timeout = c_api::timeout_of(timeout_ms);
            if (!timeout) return timeout.error();
            deadline = View::Clock::now() + *timeout;
        }
        const Result<std::uint64_t> outcome = pending->operation.wait(deadline);
        if (!pending->operation.has_ended_here()) return outcome.error();
        const detail::OperationHandle ended = std::move(pending->operation);
        if (!outcome) return outcome.error();
        if (kind != Operation::get) return {};
        auto& sink = *static_cast<MallocSink*>(ended.sink());
        const Result<void> taken = sink.take(*value, pending->asked);
        return taken ? taken : ended.name_error(taken.error());
    });
}

void ddict_pending_free(ddict_pending* pending) {
    delete pending;
}
