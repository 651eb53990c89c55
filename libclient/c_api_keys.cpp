// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The C API's operations on one key.
#include <array>
#include <bit>
#include <cstring>

#include <ddict/ddict_ttl.h>

#include "base/host_memory.h"
#include "libclient/c_api.h"

using namespace ddict;
using c_api::Bytes;
using c_api::given;
using c_api::MallocSink;
using c_api::on_key;
using c_api::put_out;

namespace {

/// An operation on one key that takes a value of a type: f is called with the operations, the key and the
/// value.
template <class F>
int on_pair(Operation operation, ddict_dictionary* dictionary, const ddict_key& key, const ddict_slice& value,
            std::uint16_t type, ddict_error* error, F&& f) noexcept {
    return on_key(operation, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        if (const Result<void> good = c_api::check(value, "value"); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        return f(view, k, c_api::bytes_of(value));
    });
}

/// Undoes a pop whose value is not what was asked for.
Error put_back(const View& view, KeyBytes key, Bytes value, std::uint16_t type, const Error& why) {
    const Result<bool> back = view.put_bytes_if(PutCondition::absent, key, value, type);
    Error error = view.name_error(why, Operation::pop, key);
    error.in_doubt = !back.has_value() || !*back;
    return error;
}

/// One that yields a value in memory of its own: f receives it into a sink.
template <class F>
int receive(Operation operation, ddict_dictionary* dictionary, const ddict_key& key, std::uint16_t type,
            ddict_value* value, ddict_error* error, F&& f) noexcept {
    return on_key(operation, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        if (const Result<void> good = given({{value, "value"}}); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        MallocSink sink(type);
        if (const Result<void> got = f(view, k, sink); !got) return got;
        const Result<void> taken = sink.take(*value);
        if (taken) return taken;
        if (operation == Operation::pop) return put_back(view, k, sink.bytes(), sink.type(), taken.error());
        return view.name_error(taken.error(), operation, k);
    });
}

/// Receives into the caller's memory; a number of another type first comes here.
class IntoSink final : public ValueSink {
  public:
    IntoSink(void* memory, std::size_t capacity, std::uint16_t asked)
        : sink_({static_cast<std::byte*>(memory), capacity}, asked),
          memory_(memory),
          capacity_(capacity),
          asked_(asked) {}
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        is_other_ = c_api::are_two_numbers(value_type, asked_) && bytes <= sizeof(std::uint64_t);
        if (!is_other_) return sink_.prepare(bytes, value_type);
        number_ = {
            .data = number_bytes_.data(), .bytes = static_cast<std::size_t>(bytes), .type = value_type};
        return std::span(number_bytes_).first(number_.bytes);
    }
    Bytes bytes() const {
        const auto* const from = static_cast<const std::byte*>(is_other_ ? number_.data : memory_);
        return {from, is_other_ ? number_.bytes : static_cast<std::size_t>(sink_.bytes())};
    }
    std::uint16_t type() const { return is_other_ ? number_.type : sink_.value_type(); }
    bool is_too_large() const { return !is_other_ && !sink_.fits(); }
    /// What has come, in the caller's memory. Errors: wrong_type, invalid_argument (not enough of it).
    Result<void> take(ddict_value& value) {
        if (is_other_) {
            ddict_value number = number_;
            if (const Result<void> converted = c_api::convert_number(number, asked_); !converted)
                return converted;
            if (number.bytes > capacity_) {
                Error error(Errc::invalid_argument, "the value is larger than the memory it was to go to");
                return error.set_bytes(number.bytes, capacity_);
            }
            std::memcpy(memory_, number.data, number.bytes);
            value = {.data = memory_, .bytes = number.bytes, .type = asked_};
            return {};
        }
        value = {
            .data = memory_, .bytes = static_cast<std::size_t>(sink_.bytes()), .type = sink_.value_type()};
        return {};
    }

  private:
    detail::SpanSink sink_;
    void* memory_;
    std::size_t capacity_;
    std::uint16_t asked_;
    bool is_other_ = false;
    std::array<std::byte, sizeof(std::uint64_t) + 1> number_bytes_{};
    ddict_value number_{};
};

/// One that yields a value in the caller's memory.
template <class F>
int receive_into(Operation operation, ddict_dictionary* dictionary, const ddict_key& key, std::uint16_t type,
                 void* memory, std::size_t capacity, ddict_value* value, ddict_error* error, F&& f) noexcept {
    return on_key(operation, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        if (const Result<void> good = given({{value, "value"}}); !good) return good;
        if (const Result<void> good = c_api::check({memory, capacity}, "memory"); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        if (const Result<void> good = detail::check_target({static_cast<const std::byte*>(memory), capacity});
            !good)
            return view.name_error(good.error(), operation, k);
        IntoSink sink(memory, capacity, type);
        if (const Result<void> got = f(view, k, sink); !got) {
            if (sink.is_too_large())
                *value = {.data = nullptr, .bytes = sink.bytes().size(), .type = sink.type()};
            return got;
        }
        const Bytes came = sink.bytes();
        const Result<void> taken = sink.take(*value);
        if (taken) return taken;
        if (operation == Operation::pop) return put_back(view, k, came, sink.type(), taken.error());
        return view.name_error(taken.error(), operation, k);
    });
}

template <class N>
int add(ddict_dictionary* dictionary, const ddict_key& key, N delta, N initial, N* before,
        ddict_error* error) noexcept {
    return on_key(Operation::fetch_add, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        const Result<std::uint64_t> bits = view.add_bits(
            k, Codec<N>::type, std::bit_cast<std::uint64_t>(delta), std::bit_cast<std::uint64_t>(initial));
        if (!bits) return bits.error();
        if (before != nullptr) *before = std::bit_cast<N>(*bits);
        return {};
    });
}

}  // namespace

int ddict_put(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
              ddict_error* error) {
    return on_pair(Operation::put, dictionary, key, value, type, error,
                   [&](View& view, KeyBytes k, Bytes v) { return view.put_bytes(k, v, type); });
}

int ddict_put_if_absent(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                        bool* stored, ddict_error* error) {
    return on_pair(Operation::put, dictionary, key, value, type, error, [&](View& view, KeyBytes k, Bytes v) {
        return put_out(view.put_bytes_if(PutCondition::absent, k, v, type), stored);
    });
}

int ddict_put_if_present(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                         bool* stored, ddict_error* error) {
    return on_pair(Operation::put, dictionary, key, value, type, error, [&](View& view, KeyBytes k, Bytes v) {
        return put_out(view.put_bytes_if(PutCondition::present, k, v, type), stored);
    });
}

int ddict_get(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_value* value,
              ddict_error* error) {
    return receive(Operation::get, dictionary, key, type, value, error,
                   [](View& view, KeyBytes k, ValueSink& sink) { return view.get_bytes(k, sink); });
}

int ddict_get_into(ddict_dictionary* dictionary, ddict_key key, uint16_t type, void* memory, size_t capacity,
                   ddict_value* value, ddict_error* error) {
    return receive_into(Operation::get, dictionary, key, type, memory, capacity, value, error,
                        [](View& view, KeyBytes k, ValueSink& sink) { return view.get_bytes(k, sink); });
}

int ddict_pop_into(ddict_dictionary* dictionary, ddict_key key, uint16_t type, void* memory, size_t capacity,
                   ddict_value* value, ddict_error* error) {
    return receive_into(Operation::pop, dictionary, key, type, memory, capacity, value, error,
                        [](View& view, KeyBytes k, ValueSink& sink) { return view.pop_bytes(k, sink); });
}

int ddict_wait_for_into(ddict_dictionary* dictionary, ddict_key key, uint16_t type, int64_t timeout_ms,
                        void* memory, size_t capacity, ddict_value* value, ddict_error* error) {
    return receive_into(Operation::wait_for, dictionary, key, type, memory, capacity, value, error,
                        [&](View& view, KeyBytes k, ValueSink& sink) -> Result<void> {
                            const Result<View> limited = c_api::within(view, timeout_ms);
                            if (!limited) return limited.error();
                            return limited->wait_for_bytes(k, sink);
                        });
}

int ddict_get_or(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_slice fallback,
                 ddict_value* value, ddict_error* error) {
    return receive(Operation::get, dictionary, key, type, value, error,
                   [&](View& view, KeyBytes k, MallocSink& sink) -> Result<void> {
                       if (const Result<void> good = c_api::check(fallback, "fallback"); !good) return good;
                       if (!detail::can_be_read(c_api::bytes_of(fallback)))
                           return view.name_error(no_host_memory_to_send(), Operation::get, k);
                       const Result<void> got = view.get_bytes(k, sink);
                       if (got || got.error().code != Errc::not_found) return got;
                       return sink.copy(c_api::bytes_of(fallback), type);
                   });
}

int ddict_contains(ddict_dictionary* dictionary, ddict_key key, bool* present, ddict_error* error) {
    return on_key(Operation::contains, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        if (const Result<void> good = given({{present, "present"}}); !good) return good;
        return put_out(view.contains_bytes(k), present);
    });
}

int ddict_type_and_size(ddict_dictionary* dictionary, ddict_key key, uint16_t* type, uint64_t* bytes,
                        ddict_error* error) {
    constexpr Operation operation = Operation::type_and_size;
    return on_key(operation, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
        const Result<std::optional<ValueInfo>> info = view.type_and_size_bytes(k);
        if (!info.has_value()) return info.error();
        if (!*info) return view.name_error(Error(Errc::not_found), operation, k);
        if (type != nullptr) *type = (*info)->type;
        if (bytes != nullptr) *bytes = (*info)->bytes;
        return {};
    });
}

int ddict_pop(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_value* value,
              ddict_error* error) {
    return receive(Operation::pop, dictionary, key, type, value, error,
                   [](View& view, KeyBytes k, ValueSink& sink) { return view.pop_bytes(k, sink); });
}

int ddict_erase(ddict_dictionary* dictionary, ddict_key key, bool* erased, ddict_error* error) {
    return on_key(Operation::erase, dictionary, key, error,
                  [&](View& view, KeyBytes k) { return put_out(view.erase_bytes(k), erased); });
}

int ddict_compare_and_swap(ddict_dictionary* dictionary, ddict_key key, const ddict_slice* expected,
                           const ddict_slice* desired, uint16_t type, bool* swapped, ddict_error* error) {
    return on_key(
        Operation::compare_and_swap, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
            if (const Result<void> good = given({{swapped, "swapped"}}); !good) return good;
            if (const Result<void> good = c_api::check_type(type); !good) return good;
            const auto bytes_or_none = [](const ddict_slice* slice) {
                return slice == nullptr ? std::nullopt : std::optional<Bytes>(c_api::bytes_of(*slice));
            };
            for (const auto& [slice, name] : {std::pair(expected, "expected"), {desired, "desired"}}) {
                if (slice == nullptr) continue;
                if (const Result<void> good = c_api::check(*slice, name); !good) return good;
            }
            return put_out(view.swap_bytes(k, bytes_or_none(expected), bytes_or_none(desired), type),
                           swapped);
        });
}

int ddict_fetch_add_i64(ddict_dictionary* dictionary, ddict_key key, int64_t delta, int64_t initial,
                        int64_t* before, ddict_error* error) {
    return add(dictionary, key, delta, initial, before, error);
}

int ddict_fetch_add_u64(ddict_dictionary* dictionary, ddict_key key, uint64_t delta, uint64_t initial,
                        uint64_t* before, ddict_error* error) {
    return add(dictionary, key, delta, initial, before, error);
}

int ddict_fetch_add_f64(ddict_dictionary* dictionary, ddict_key key, double delta, double initial,
                        double* before, ddict_error* error) {
    return add(dictionary, key, delta, initial, before, error);
}

int ddict_append(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                 uint64_t* bytes, ddict_error* error) {
    return on_pair(
        Operation::append, dictionary, key, value, type, error,
        [&](View& view, KeyBytes k, Bytes v) { return put_out(view.append_bytes(k, v, type), bytes); });
}

int ddict_wait_for(ddict_dictionary* dictionary, ddict_key key, uint16_t type, int64_t timeout_ms,
                   ddict_value* value, ddict_error* error) {
    return receive(Operation::wait_for, dictionary, key, type, value, error,
                   [&](View& view, KeyBytes k, ValueSink& sink) -> Result<void> {
                       const Result<View> limited = c_api::within(view, timeout_ms);
                       if (!limited) return limited.error();
                       return limited->wait_for_bytes(k, sink);
                   });
}

int ddict_wait_for_while(ddict_dictionary* dictionary, ddict_key key, ddict_key alive, uint16_t type,
                         int64_t timeout_ms, ddict_value* value, ddict_error* error) {
    return receive(Operation::wait_for, dictionary, key, type, value, error,
                   [&](View& view, KeyBytes k, ValueSink& sink) -> Result<void> {
                       const Result<View> limited = c_api::within(view, timeout_ms);
                       if (!limited) return limited.error();
                       if (const Result<void> good = c_api::check_key(alive, "alive"); !good) return good;
                       return limited->wait_for_while_bytes(k, c_api::key_of(alive), sink);
                   });
}

int ddict_wait_for_value(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
                         int64_t timeout_ms, ddict_error* error) {
    return on_pair(Operation::wait_for, dictionary, key, value, type, error,
                   [&](View& view, KeyBytes k, Bytes v) -> Result<void> {
                       const Result<View> limited = c_api::within(view, timeout_ms);
                       if (!limited) return limited.error();
                       return limited->wait_for_value_bytes(k, v, type);
                   });
}

int ddict_bput(ddict_dictionary* dictionary, ddict_key key, ddict_slice value, uint16_t type,
               ddict_error* error) {
    return on_pair(Operation::broadcast_put, dictionary, key, value, type, error,
                   [&](View& view, KeyBytes k, Bytes v) { return view.broadcast_put_bytes(k, v, type); });
}

int ddict_bget(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_value* value,
               ddict_error* error) {
    return receive(Operation::broadcast_get, dictionary, key, type, value, error,
                   [](View& view, KeyBytes k, ValueSink& sink) { return view.broadcast_get_bytes(k, sink); });
}

int ddict_berase(ddict_dictionary* dictionary, ddict_key key, bool* erased, ddict_error* error) {
    return on_key(Operation::broadcast_erase, dictionary, key, error,
                  [&](View& view, KeyBytes k) { return put_out(view.broadcast_erase_bytes(k), erased); });
}
