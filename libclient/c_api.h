// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The border between the C API and the library: no exception crosses it, and what comes over it is judged
// here.
#pragma once

#include <ddict/ddict.h>
#include <ddict/dictionary.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

struct ddict_dictionary {
    explicit ddict_dictionary(ddict::Dictionary whole) : dictionary(std::move(whole)) {}
    explicit ddict_dictionary(ddict::View part) : view(std::move(part)) {}

    /// What the operations are called on.
    ddict::View& operations() { return dictionary ? *dictionary : view; }

    std::optional<ddict::Dictionary> dictionary;  // none in a view
    ddict::View view;
};

namespace ddict::c_api {

using Bytes = std::span<const std::byte>;

/// Writes as much of the text as there is space for, and a zero; returns the length of all of it.
std::size_t write_text(std::string_view text, char* buffer, std::size_t capacity);

/// Fills `to`, which may be null.
void tell(ddict_error* to, const Error& from) noexcept;

struct Named {
    const void* pointer;
    const char* name;
};
/// invalid_argument, with its name, for the first that is null.
Result<void> given(std::initializer_list<Named> pointers);
Result<void> check(const ddict_slice& slice, const char* name);
/// invalid_argument for the number of an element alone, where the type of a value is wanted.
Result<void> check_type(std::uint16_t type);
/// As its making functions leave it: then its bytes are those of `number`.
inline bool holds_number(const ddict_key& key) {
    return key.data == nullptr && key.bytes == 0 &&
           (key.type == key_type_int64 || key.type == key_type_uint64 || key.type == key_type_float64);
}
/// invalid_argument for a key of a text that was NULL, and for bytes that are no number of their type.
Result<void> check_key(const ddict_key& key, const char* name);
/// invalid_argument for a view, which cannot end the dictionary, nor save it.
inline Result<void> only_whole(const ddict_dictionary* dictionary) {
    if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
    if (!dictionary->dictionary)
        return Error(Errc::invalid_argument, "this is a view: use the handle that it was made from");
    return {};
}
inline Bytes bytes_of(const ddict_slice& slice) {
    return {static_cast<const std::byte*>(slice.data), slice.bytes};
}

/// The bytes and the type of a key of the C API: those of a number stand in `key` itself.
inline KeyBytes key_of(const ddict_key& key) {
    if (holds_number(key)) return {std::as_bytes(std::span(&key.number, 1)), key.type};
    return {{static_cast<const std::byte*>(key.data), key.bytes}, key.type};
}
/// The same the other way; refers to the same bytes.
inline ddict_key key_of(KeyBytes key) {
    return {key.data(), key.size(), 0, key.type()};
}

inline std::string_view text_of(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A time-out of the C API that is not the default. invalid_argument if it is negative.
Result<std::chrono::nanoseconds> timeout_of(std::int64_t timeout_ms);
/// The view with this time-out of the C API.
Result<View> within(const View& view, std::int64_t timeout_ms);

/// Whether the operation changes something.
bool is_change(Operation operation) noexcept;
/// Writes what managers are missing into the caller's memory: the first `capacity` of them.
Result<void> write_missing(const std::vector<MissingManager>& from, ddict_missing_manager* to,
                           std::size_t capacity, std::size_t* count);

/// Null has all defaults.
CreateOptions create_options(const ddict_create_options* options);
/// A handle of its own for the caller.
Result<void> hand_out(Result<Dictionary> made, ddict_dictionary** dictionary);
/// A copy of the text, which the caller is to free.
Result<void> give_text(std::string_view text, char** to);

/// Calls f, which returns a Result<void>, and turns what becomes of it into a code and an error.
template <class F>
int guarded(Operation operation, ddict_error* error, F&& f) noexcept {
    Error failure(Errc::system);
    bool cut_short = true;
    try {
        const Result<void> outcome = f();
        if (outcome) return DDICT_OK;
        failure = outcome.error();
        cut_short = false;
    } catch (const Exception& thrown) {
        failure = thrown.error();
        cut_short = false;
    } catch (const std::bad_alloc&) {
        failure.set_detail("out of memory");
    } catch (const std::exception& thrown) {
        failure.set_detail(thrown.what());
    } catch (...) {
        failure.set_detail("an exception of an unknown kind");
    }
    if (cut_short) failure.in_doubt = is_change(operation);
    if (failure.operation == Operation::none) failure.set_operation(operation);
    tell(error, failure);
    return static_cast<int>(failure.code);
}

/// An operation on one key: f is called with the operations and the key.
template <class F>
int on_key(Operation operation, ddict_dictionary* dictionary, const ddict_key& key, ddict_error* error,
           F&& f) noexcept {
    return guarded(operation, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
        if (const Result<void> good = check_key(key, "key"); !good) return good;
        return f(dictionary->operations(), key_of(key));
    });
}

/// A view of the handle's dictionary, in a handle of its own; make gives a Result<View>.
template <class Make>
int make_view(Operation operation, ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error,
              Make make) {
    return guarded(operation, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}, {view, "view"}}); !good) return good;
        Result<View> made = make(dictionary->operations());
        if (!made) return made.error();
        *view = new ddict_dictionary(*std::move(made));
        return {};
    });
}

/// Writes the outcome to where the caller wants it, if it wants it.
template <class T>
Result<void> put_out(const Result<T>& from, std::type_identity_t<T>* to) {
    if (!from.has_value()) return from.error();
    if (to != nullptr) *to = *from;
    return {};
}

/// Makes a number the type that was asked for, in place: there are at least 8 bytes. Leaves all else as it
/// is. Errors: wrong_type.
Result<void> convert_number(ddict_value& value, std::uint16_t asked);
/// Whether the one can be converted to the other, if the number allows it.
constexpr bool are_two_numbers(std::uint16_t stored, std::uint16_t asked) {
    return stored != asked && detail::is_number_type(stored) && detail::is_number_type(asked);
}

/// Receives a value into memory of malloc, which the caller of the C API is to free.
class MallocSink final : public ValueSink {
  public:
    explicit MallocSink(std::uint16_t asked = type_bytes) : asked_(asked) {}
    MallocSink(const MallocSink&) = delete;
    MallocSink& operator=(const MallocSink&) = delete;
    ~MallocSink() { std::free(data_); }

    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override;
    std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_), bytes_}; }
    std::uint16_t type() const { return type_; }
    /// The value, which is the caller's from now on. Requires that it has come. Errors: wrong_type; it is
    /// then still here.
    Result<void> take(ddict_value& value) { return take(value, asked_); }
    Result<void> take(ddict_value& value, std::uint16_t asked);
    /// The same as it is stored.
    ddict_value release();
    /// Makes it a copy. Errors: system (no memory).
    Result<void> copy(Bytes bytes, std::uint16_t value_type);

  private:
    std::uint16_t asked_;
    std::uint16_t type_ = type_bytes;
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace ddict::c_api
