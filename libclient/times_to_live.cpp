// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pairs with a time to live. It is the manager that erases them (shm/expiries.h); a client says how long.
#include <algorithm>
#include <chrono>
#include <utility>

#include "libclient/view_calls.h"

namespace ddict {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

/// Between two looks whether the key is still there for which somebody waits.
constexpr std::chrono::milliseconds look_interval{250};

/// As a message has it: 0 would be none.
std::uint64_t microseconds_of(nanoseconds ttl) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(ttl.count() / 1000, 1));
}

std::string named(KeyBytes key) {
    const std::string_view text = text_of(key);
    const bool is_readable =
        key.type() == type_text && std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
    return is_readable ? "\"" + std::string(text) + '"' : "another key";
}

}  // namespace

/// It leaves a batch that the view collects: what that has is stored as the view was when it began.
View View::with_ttl_of(nanoseconds ttl) const {
    View view = *this;
    view.ttl_ = microseconds_of(ttl);
    view.batch_ = nullptr;
    return view;
}

Result<bool> View::touch_bytes(KeyBytes key, std::optional<nanoseconds> ttl) const {
    Request request;
    request.verb = wire::Verb::touch;
    request.key = key;
    request.argument = ttl ? microseconds_of(*ttl) : 0;
    const Result<Reply> reply = Calls::call(*this, std::move(request));
    if (!reply) return reply.error();
    return reply->argument != 0;
}

Result<std::optional<std::chrono::microseconds>> View::time_to_live_bytes(KeyBytes key) const {
    constexpr Operation operation = Operation::time_to_live;
    Request request;
    request.verb = wire::Verb::contains;
    request.key = key;
    const Result<Reply> reply = Calls::call(*this, std::move(request));
    if (!reply) return Error(reply.error()).set_operation(operation);
    if (reply->argument == 0) return name_error(Error(Errc::not_found), operation, key);
    const std::uint64_t left = reply->argument >> 1;
    return left != 0 ? std::optional(std::chrono::microseconds(left)) : std::nullopt;
}

/// A wait ends early to look whether it is worth going on. What was put before `alive` went is found by the
/// last look.
Result<void> View::wait_for_while_bytes(KeyBytes key, KeyBytes alive, ValueSink& sink) const {
    const View whole = for_one_call();
    for (;;) {
        const Result<void> came = whole.until(steady_clock::now() + look_interval).wait_for_bytes(key, sink);
        const bool goes_on = !came && came.error().code == Errc::timeout && !whole.budget_.is_over();
        if (!goes_on) return came;
        const Result<bool> is_alive = whole.contains_bytes(alive);
        if (!is_alive.has_value()) return is_alive.error();
        if (*is_alive) continue;
        const Result<void> last = whole.find_bytes(key, sink);
        if (last || last.error().code != Errc::not_found)
            return last ? last : Error(last.error()).set_operation(Operation::wait_for);
        Error error = last.error();
        error.set_operation(Operation::wait_for);
        return error.set_detail(
            "it was waited for as long as there is " + named(alive) +
            ", which is gone: whoever was to put it has ended, or does not touch that key");
    }
}

}  // namespace ddict
