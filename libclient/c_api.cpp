// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/c_api.h"

#include <algorithm>
#include <complex>
#include <cstring>
#include <string>

#include "base/value_buffer.h"
#include "rpc/requester.h"

namespace ddict::c_api {
namespace {

static_assert(DDICT_CHECKPOINT_RETIRED == static_cast<int>(errc_last), "a code of C for each of C++");
static_assert(DDICT_NOT_FOUND == static_cast<int>(Errc::not_found) &&
              DDICT_WRONG_TYPE == static_cast<int>(Errc::wrong_type) &&
              DDICT_NOT_ATTACHED == static_cast<int>(Errc::not_attached) &&
              DDICT_SYSTEM == static_cast<int>(Errc::system) &&
              DDICT_FROZEN == static_cast<int>(Errc::frozen));
static_assert(DDICT_MANAGER_ANSWERED == static_cast<int>(ManagerState::answered) &&
              DDICT_MANAGER_SILENT == static_cast<int>(ManagerState::silent) &&
              DDICT_MANAGER_UNREACHABLE == static_cast<int>(ManagerState::unreachable) &&
              DDICT_MANAGER_ENDED == static_cast<int>(ManagerState::ended));
static_assert(DDICT_NO_MANAGER == Error::no_manager);
static_assert(DDICT_ARRAY(DDICT_FLOAT64) == (type_array | element_type<double>()) &&
              DDICT_VECTOR(DDICT_UINT16) == Codec<std::vector<std::uint16_t>>::type &&
              DDICT_SCALAR(DDICT_COMPLEX64) == Codec<std::complex<float>>::type &&
              DDICT_SCALAR(DDICT_BOOL) == Codec<bool>::type && DDICT_TEXT == type_text &&
              DDICT_LIST == type_list && DDICT_RECORD == type_record && DDICT_MAP == type_map &&
              DDICT_USER_TYPE(7) == user_type(7) && DDICT_STRUCTURE == element_structure &&
              DDICT_STRUCTURE_SCALAR(7) == (type_structure | 7) &&
              DDICT_STRUCTURE_VECTOR(7) == (type_structure_vector | 7) &&
              DDICT_STRUCTURE_ARRAY(7) == (type_structure_array | 7));
static_assert(sizeof(ddict_error::key) == sizeof(Error::key) &&
              sizeof(ddict_error::node) == sizeof(Error::node) &&
              sizeof(ddict_error::detail) == sizeof(Error::detail));

Error told(const ddict_error& from) {
    Error error(static_cast<Errc>(from.code));
    error.operation = static_cast<Operation>(from.operation);
    error.key_bytes_shown = std::min<std::uint8_t>(from.key_bytes, sizeof from.key);
    error.key_cut = from.key_cut;
    error.key_type = from.key_type;
    error.in_doubt = from.in_doubt;
    error.manager_state = static_cast<ManagerState>(from.manager_state);
    error.manager = from.manager;
    error.need_bytes = from.need_bytes;
    error.have_bytes = from.have_bytes;
    std::memcpy(error.key.data(), from.key, sizeof from.key);
    error.set_node({from.node, strnlen(from.node, sizeof from.node)});
    error.set_detail({from.detail, strnlen(from.detail, sizeof from.detail)});
    return error;
}

}  // namespace

std::size_t write_text(std::string_view text, char* buffer, std::size_t capacity) {
    if (buffer != nullptr && capacity > 0) {
        const std::size_t shown = std::min(text.size(), capacity - 1);
        std::memcpy(buffer, text.data(), shown);
        buffer[shown] = '\0';
    }
    return text.size();
}

void tell(ddict_error* to, const Error& from) noexcept {
    if (to == nullptr) return;
    std::memset(to, 0, sizeof *to);
    to->code = static_cast<int>(from.code);
    to->manager = from.manager;
    to->need_bytes = from.need_bytes;
    to->have_bytes = from.have_bytes;
    to->operation = static_cast<std::uint32_t>(from.operation);
    to->key_bytes = from.key_bytes_shown;
    to->key_cut = from.key_cut;
    to->key_type = from.key_type;
    to->in_doubt = from.in_doubt;
    to->manager_state = static_cast<std::uint8_t>(from.manager_state);
    std::memcpy(to->key, from.key.data(), from.key_bytes_shown);
    std::memcpy(to->node, from.node.data(), strnlen(from.node.data(), from.node.size() - 1));
    std::memcpy(to->detail, from.detail.data(), strnlen(from.detail.data(), from.detail.size() - 1));
}

bool is_change(Operation operation) noexcept {
    for (std::uint8_t verb = 1; verb <= wire::verb_last; ++verb) {
        const auto one = static_cast<wire::Verb>(verb);
        if (operation_of(one) == operation) return wire::is_change(one);
    }
    return false;
}

Result<void> write_missing(const std::vector<MissingManager>& from, ddict_missing_manager* to,
                           std::size_t capacity, std::size_t* count) {
    if (to == nullptr && capacity > 0)
        return Error(Errc::invalid_argument,
                     "space for missing managers is above 0, but there is no memory to write to");
    *count = from.size();
    for (std::size_t i = 0; i < std::min(capacity, from.size()); ++i) {
        to[i] = {};
        to[i].manager = from[i].manager;
        write_text(from[i].node, to[i].node, sizeof to[i].node);
        tell(&to[i].error, from[i].error);
    }
    return {};
}

Result<void> given(std::initializer_list<Named> pointers) {
    for (const Named& named : pointers) {
        if (named.pointer == nullptr)
            return Error(Errc::invalid_argument, std::string(named.name) + " is NULL");
    }
    return {};
}

Result<void> check(const ddict_slice& slice, const char* name) {
    if (slice.data == nullptr && slice.bytes > 0)
        return Error(Errc::invalid_argument, std::string(name) + " has a size but no data");
    return {};
}

Result<void> check_key(const ddict_key& key, const char* name) {
    if (key.data == nullptr && key.bytes > 0)
        return Error(Errc::invalid_argument, std::string(name) + " is NULL");
    if (key.data != nullptr && detail::is_number_type(key.type) &&
        !detail::NumberKey::of(bytes_of({key.data, key.bytes}), key.type))
        return detail::no_number_key(key.bytes, key.type);
    return {};
}

Result<void> check_type(std::uint16_t type) {
    if (type < DDICT_INT8 || type > DDICT_STRUCTURE) return {};
    std::string element = type_in_words(static_cast<std::uint16_t>(type_scalar | type));
    std::transform(element.begin(), element.end(), element.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    const bool has_name = element.find(' ') == element.npos;
    return Error(Errc::invalid_argument,
                 "type " + std::to_string(type) + " is that of an element, not of a value" +
                     (has_name ? ": DDICT_SCALAR(DDICT_" + element + ") is meant" : ""));
}

Result<std::chrono::nanoseconds> timeout_of(std::int64_t timeout_ms) {
    if (timeout_ms < 0)
        return Error(Errc::invalid_argument, "a time-out of " + std::to_string(timeout_ms) + " ms");
    return detail::TimeoutBudget::clamped(std::chrono::milliseconds(timeout_ms));
}

Result<View> within(const View& view, std::int64_t timeout_ms) {
    if (timeout_ms == DDICT_DEFAULT_TIMEOUT) return view;
    const Result<std::chrono::nanoseconds> timeout = timeout_of(timeout_ms);
    if (!timeout) return timeout.error();
    return view.within(*timeout);
}

Result<std::span<std::byte>> MallocSink::prepare(std::uint64_t size, std::uint16_t value_type) {
    if (!are_two_numbers(value_type, asked_)) {
        if (const Result<void> fits = detail::check_type(value_type, asked_); !fits) return fits.error();
    }
    std::free(std::exchange(data_, nullptr));
    data_ = std::malloc(std::max(static_cast<std::size_t>(size), sizeof(std::uint64_t)) + 1);
    if (data_ == nullptr) return no_memory_to_receive(size);
    bytes_ = static_cast<std::size_t>(size);
    type_ = value_type;
    return bytes();
}

Result<void> MallocSink::take(ddict_value& value, std::uint16_t asked) {
    if (!are_two_numbers(type_, asked)) {
        if (const Result<void> fits = detail::check_type(type_, asked); !fits) return fits;
    }
    ddict_value taken{.data = data_, .bytes = bytes_, .type = type_};
    if (const Result<void> converted = convert_number(taken, asked); !converted) return converted;
    data_ = nullptr;
    value = taken;
    return {};
}

ddict_value MallocSink::release() {
    static_cast<char*>(data_)[bytes_] = '\0';
    return {.data = std::exchange(data_, nullptr), .bytes = bytes_, .type = type_};
}

Result<void> convert_number(ddict_value& value, std::uint16_t asked) {
    Result<void> outcome;
    const auto take = [&]<class T>(T) {
        if (asked != Codec<T>::type) return;
        const Result<T> number =
            detail::converted<T>({static_cast<const std::byte*>(value.data), value.bytes}, value.type);
        if (!number) {
            outcome = number.error();
            return;
        }
        std::memcpy(value.data, &*number, sizeof(T));
        value.bytes = sizeof(T);
        value.type = asked;
    };
    if (are_two_numbers(value.type, asked)) {
        take(std::int8_t{}), take(std::int16_t{}), take(std::int32_t{}), take(std::int64_t{});
        take(std::uint8_t{}), take(std::uint16_t{}), take(std::uint32_t{}), take(std::uint64_t{});
        take(float{}), take(double{});
    }
    if (outcome) static_cast<char*>(value.data)[value.bytes] = '\0';
    return outcome;
}

Result<void> MallocSink::copy(Bytes from, std::uint16_t value_type) {
    const Result<std::span<std::byte>> buffer = prepare(from.size(), value_type);
    if (!buffer) return buffer.error();
    std::copy(from.begin(), from.end(), buffer->begin());
    return {};
}

}  // namespace ddict::c_api

using namespace ddict;
using c_api::given;
using c_api::guarded;
using c_api::make_view;
using c_api::only_whole;

size_t ddict_error_message(const ddict_error* error, char* buffer, size_t capacity) {
    if (buffer != nullptr && capacity > 0) *buffer = '\0';
    if (error == nullptr) return 0;
    try {
        return c_api::write_text(c_api::told(*error).message(), buffer, capacity);
    } catch (...) {  // no memory for the whole line
        return c_api::write_text(ddict_code_name(error->code), buffer, capacity);
    }
}

const char* ddict_code_name(int code) {
    if (code == DDICT_OK) return "ok";
    if (code < 0 || code > static_cast<int>(errc_last)) return "unknown";
    return name(static_cast<Errc>(code)).data();  // a literal, so a zero follows
}

size_t ddict_type_in_words(uint16_t type, char* buffer, size_t capacity) {
    if (buffer != nullptr && capacity > 0) *buffer = '\0';
    try {
        return c_api::write_text(type_in_words(type), buffer, capacity);
    } catch (...) {
        return 0;
    }
}

uint16_t ddict_structure_number(const char* name) {
    return name == nullptr ? std::uint16_t{0} : structure_number_of(name);
}

void ddict_free(void* memory) {
    std::free(memory);
}

// ---- attaching ----

namespace {

/// 0 is the default; the library refuses negative ones.
AttachOptions attach_options(const ddict_attach_options& from) {
    AttachOptions options;
    if (from.timeout_ms != 0) options.timeout = std::chrono::milliseconds(from.timeout_ms);
    if (from.attach_timeout_ms != 0)
        options.attach_timeout = std::chrono::milliseconds(from.attach_timeout_ms);
    options.local_reads = !from.by_messages_only;
    return options;
}

}  // namespace

int ddict_attach(const char* handle, const ddict_attach_options* options, ddict_dictionary** dictionary,
                 ddict_error* error) {
    return guarded(Operation::attach, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
        const AttachOptions completed = options == nullptr ? AttachOptions() : attach_options(*options);
        return c_api::hand_out(
            handle == nullptr ? Dictionary::try_attach(completed) : Dictionary::try_attach(handle, completed),
            dictionary);
    });
}

Result<void> c_api::hand_out(Result<Dictionary> made, ddict_dictionary** dictionary) {
    if (!made) return made.error();
    *dictionary = new ddict_dictionary(*std::move(made));
    return {};
}

CreateOptions c_api::create_options(const ddict_create_options* options) {
    CreateOptions completed;
    if (options == nullptr) return completed;
    completed.nodes = options->nodes;
    if (options->nodelist != nullptr) completed.nodelist = options->nodelist;
    completed.managers_per_node = options->managers_per_node;
    completed.total_mem = options->total_mem;
    if (options->name != nullptr) completed.name = options->name;
    if (options->launch_timeout_ms != 0)
        completed.launch_timeout = std::chrono::milliseconds(options->launch_timeout_ms);
    completed.attach = attach_options(options->attach);
    completed.restart = !options->no_restart;
    completed.resume = options->resume;
    completed.allow_empty = options->allow_empty;
    completed.working_set = options->working_set;
    completed.wait_for_keys = options->wait_for_keys;
    completed.wait_for_writers = options->wait_for_writers;
    return completed;
}

int ddict_create(const ddict_create_options* options, ddict_dictionary** dictionary, ddict_error* error) {
    return guarded(Operation::create, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
        return c_api::hand_out(Dictionary::try_create(c_api::create_options(options)), dictionary);
    });
}

void ddict_detach(ddict_dictionary* dictionary) {
    static_cast<void>(guarded(Operation::detach, nullptr, [&]() -> Result<void> {
        if (dictionary != nullptr && dictionary->dictionary) dictionary->dictionary->detach();
        delete dictionary;
        return {};
    }));
}

int ddict_restart(ddict_dictionary* dictionary, uint32_t manager, ddict_error* error) {
    return guarded(Operation::restart, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        return dictionary->dictionary->try_restart(manager);
    });
}

int ddict_destroy(ddict_dictionary* dictionary, ddict_error* error) {
    return guarded(Operation::destroy, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        return dictionary->dictionary->try_destroy();
    });
}

int ddict_destroy_and_keep(ddict_dictionary* dictionary, ddict_error* error) {
    return guarded(Operation::destroy, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        return dictionary->dictionary->try_destroy({.keep_pools = true});
    });
}

int ddict_serialize(ddict_dictionary* dictionary, char** handle, ddict_error* error) {
    return ddict_handle(dictionary, handle, error);
}

Result<void> c_api::give_text(std::string_view text, char** to) {
    MallocSink copy;
    if (const Result<void> copied = copy.copy(std::as_bytes(std::span(text)), type_text); !copied)
        return copied;
    *to = static_cast<char*>(copy.release().data);
    return {};
}

int ddict_handle(ddict_dictionary* dictionary, char** handle, ddict_error* error) {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{handle, "handle"}}); !good) return good;
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        const std::string text = dictionary->dictionary->handle();
        if (text.empty()) return dictionary->dictionary->check_attached();
        return c_api::give_text(text, handle);
    });
}

int ddict_name(ddict_dictionary* dictionary, char* name, size_t capacity, ddict_error* error) {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{name, "name"}}); !good) return good;
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        if (capacity == 0) return Error(Errc::invalid_argument, "capacity is 0");
        if (const Result<void> good = dictionary->dictionary->check_attached(); !good) return good;
        c_api::write_text(dictionary->dictionary->name(), name, capacity);
        return {};
    });
}

int ddict_within(ddict_dictionary* dictionary, int64_t timeout_ms, ddict_dictionary** view,
                 ddict_error* error) {
    return make_view(Operation::none, dictionary, view, error,
                     [&](View& operations) { return c_api::within(operations, timeout_ms); });
}

int64_t ddict_now_ns(void) {
    return std::chrono::nanoseconds(View::Clock::now().time_since_epoch()).count();
}

int ddict_until(ddict_dictionary* dictionary, int64_t deadline_ns, ddict_dictionary** view,
                ddict_error* error) {
    return make_view(Operation::none, dictionary, view, error, [&](View& operations) -> Result<View> {
        return operations.until(View::Clock::time_point{std::chrono::nanoseconds(deadline_ns)});
    });
}

int ddict_placed_by(ddict_dictionary* dictionary, ddict_placement placement, void* context,
                    ddict_dictionary** view, ddict_error* error) {
    return make_view(Operation::none, dictionary, view, error, [&](View& operations) -> Result<View> {
        if (placement == nullptr) return Error(Errc::invalid_argument, "placement is NULL");
        return operations.placed_by(
            [placement, context](KeyBytes key) { return placement(c_api::key_of(key), context); });
    });
}

int ddict_placed_at(ddict_dictionary* dictionary, ddict_manager_of_key manager_of, void* context,
                    ddict_dictionary** view, ddict_error* error) {
    return make_view(Operation::none, dictionary, view, error, [&](View& operations) -> Result<View> {
        if (manager_of == nullptr) return Error(Errc::invalid_argument, "manager_of is NULL");
        return operations.placed_at(
            [manager_of, context](KeyBytes key) { return manager_of(c_api::key_of(key), context); });
    });
}

int ddict_manager(ddict_dictionary* dictionary, uint32_t manager, ddict_dictionary** view,
                  ddict_error* error) {
    return make_view(Operation::none, dictionary, view, error,
                     [&](View& operations) { return operations.try_manager(manager); });
}
