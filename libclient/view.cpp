// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The operations of a View on one key.
#include <ddict/view.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "libclient/async_operation.h"
#include "libclient/host_memory.h"
#include "libclient/shared.h"
#include "libclient/view_calls.h"

namespace ddict {
namespace {

using client::Attachment;
using wire::Verb;

/// Passes a value on, or keeps it if the one it is for does not want it.
class RescueSink final : public ValueSink {
  public:
    explicit RescueSink(ValueSink& sink) : sink_(sink) {}
    Result<MutableBytes> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        asked = true;
        Result<MutableBytes> buffer = sink_.prepare(bytes, value_type);
        if (buffer) return buffer;
        refusal = buffer.error();
        rescued.resize(bytes);
        type = value_type;
        return MutableBytes(rescued);
    }
    bool asked = false;
    std::optional<Error> refusal;
    std::vector<std::byte> rescued;
    std::uint16_t type = 0;

  private:
    ValueSink& sink_;
};

Request request_of(Verb verb, KeyBytes key, Bytes value = {}, std::uint16_t value_type = 0) {
    Request request;
    request.verb = verb;
    request.key = key;
    request.value = value;
    request.value_type = value_type;
    return request;
}

Request request_of_parts(Verb verb, KeyBytes key, Parts parts, std::uint16_t value_type) {
    Request request = request_of(verb, key, {}, value_type);
    request.parts = parts;
    return request;
}

std::uint16_t flags_of(PutCondition condition) {
    return condition == PutCondition::absent ? wire::put_if_absent : wire::put_if_present;
}

std::vector<std::byte> gathered(Parts parts) {
    std::vector<std::byte> whole;
    whole.reserve(bytes_in(parts));
    for (const Bytes part : parts)
        whole.insert(whole.end(), part.begin(), part.end());
    return whole;
}

Result<void> without_value(const Result<Reply>& reply) {
    if (!reply) return reply.error();
    return {};
}

Result<bool> truth_of(const Result<Reply>& reply) {
    if (!reply) return reply.error();
    return reply->argument != 0;
}

Result<bool> whether_found(const Result<Reply>& reply) {
    if (reply) return true;
    if (reply.error().code == Errc::not_found) return false;
    return reply.error();
}

/// What the manager keeps of a request while it works on it is bounded.
Result<void> check_operand(Operation operation, KeyBytes key, std::uint64_t bytes) {
    if (bytes <= limits::operand_bytes_max) return {};
    Error error(Errc::too_large, "the operands of this operation are too large");
    return error.set_operation(operation).set_key(key).set_bytes(bytes, limits::operand_bytes_max);
}

/// Of a request that the caller has given a value.
bool can_be_sent(const Request& request) {
    return client::can_be_sent(request.value) && client::can_be_sent(request.parts);
}

Error broadcast_with_ttl() {
    return Error(Errc::invalid_argument, "what is stored on all managers has no time to live");
}

/// Replies without a value do not come to the sink by themselves, save those of a get.
Result<void> deliver_empty(const Result<Reply>& reply, ValueSink& sink, Operation operation, KeyBytes key) {
    if (!reply) return reply.error();
    if (reply->value_bytes != 0) return {};
    const Result<MutableBytes> buffer = sink.prepare(0, reply->value_type);
    if (buffer) return {};
    return Error(buffer.error()).set_operation(operation).set_key(key);
}

}  // namespace

// ---- making views ----

View::View(detail::Shared<Attachment> attachment, std::chrono::nanoseconds timeout)
    : attachment_(std::move(attachment)) {
    budget_.timeout = timeout;
}

View View::with_timeout(std::chrono::nanoseconds timeout) const {
    View view = *this;
    view.budget_.timeout = timeout;
    return view;
}

View View::until(Clock::time_point deadline) const {
    View view = *this;
    view.budget_.until = deadline;
    return view;
}

Result<View> View::try_at(std::uint32_t checkpoint) const {
    static_assert(checkpoint_id_max == limits::checkpoint_id_max &&
                  ddict::newest_checkpoint == limits::newest_checkpoint && any_checkpoint == no_checkpoint);
    if (checkpoint > ddict::newest_checkpoint)
        return Error(Errc::invalid_argument,
                     "the id of a checkpoint is at most " + std::to_string(checkpoint_id_max));
    View view = *this;
    view.checkpoint_ = checkpoint;
    return view;
}

View View::persistent() const {
    View view = *this;
    view.flags_ |= wire::persistent;
    return view;
}

View View::at_once() const {
    View view = *this;
    view.flags_ |= wire::at_once;
    return view;
}

View View::when_space() const {
    View view = *this;
    view.waits_for_space_ = true;
    return view;
}

std::uint32_t View::checkpoint_id() const {
    if (checkpoint_ != any_checkpoint) return checkpoint_;
    return attachment_ == nullptr ? 0 : attachment_->checkpoint_id().load(std::memory_order_relaxed);
}

View View::for_one_call() const {
    return until(budget_.deadline(Clock::now()));
}

Result<View> View::try_manager(std::uint32_t id) const {
    if (attachment_ == nullptr) return Calls::no_dictionary(Operation::none);
    if (id >= manager_count()) {
        return Error(Errc::invalid_argument,
                     "there is no such manager; there are " + std::to_string(manager_count()))
            .set_manager(id);
    }
    View view = *this;
    view.manager_ = id;
    return view;
}

View View::placed_by(Placement placement) const {
    View view = *this;
    view.placement_ =
        placement ? client::share(std::make_shared<const Placement>(std::move(placement))) : nullptr;
    view.places_by_number_ = false;
    return view;
}

View View::placed_at(ManagerOfKey manager_of) const {
    if (!manager_of || attachment_ == nullptr) return placed_by(nullptr);
    View view = placed_by(
        [manager_of = std::move(manager_of)](KeyBytes key) -> std::uint64_t { return manager_of(key); });
    view.places_by_number_ = true;
    return view;
}

std::uint32_t View::manager_of_bytes(KeyBytes key) const {
    return attachment_ == nullptr ? 0 : number_of(Calls::owner(*this, key));
}

Error View::name_error(Error error, Operation operation, KeyBytes key) const {
    error.set_operation(operation).set_key(key);
    if (attachment_ == nullptr || operation == Operation::broadcast_get) return error;
    error.set_manager(number_of(Calls::owner(*this, key)));
    attachment_->name_node(error);
    return error;
}

// ---- what all calls have in common ----

Error View::Calls::key_error(Operation operation, KeyBytes key) {
    if (key.empty()) return Error(Errc::invalid_argument, "the key is empty").set_operation(operation);
    // (A KeyBytes counts no further.)
    Error error(Errc::too_large, key.size() == 0xffff ? "the key is too long, and may be longer than that"
                                                      : "the key is too long");
    return error.set_operation(operation).set_key(key).set_bytes(key.size(), limits::key_bytes_max);
}

Result<void> View::Calls::check(const View& view, Operation operation, KeyBytes key) {
    if (view.attachment_ == nullptr) return no_dictionary(operation).set_key(key);
    if (!is_good_key(key)) return key_error(operation, key);
    return {};
}

Result<void> View::Calls::check_parts(KeyBytes key, Parts parts) {
    const bool good = parts.size() <= limits::value_parts_max &&
                      std::none_of(parts.begin(), parts.end(), [](Bytes part) { return part.empty(); });
    if (good) return {};
    Error error(Errc::invalid_argument, "a value has at most 16 parts, and none of them is empty");
    return error.set_operation(Operation::put).set_key(key);
}

KeyPlacement View::Calls::placement_by_hand(const View& view, KeyBytes key) {
    if (view.manager_ != any_manager) return {.by = PlacedBy::number, .value = view.manager_};
    return {.by = view.places_by_number_ ? PlacedBy::number : PlacedBy::hash,
            .value = (*view.placement_)(key)};
}

void View::Calls::place_by_hand(const View& view, Request& request) {
    const KeyPlacement placement = placement_by_hand(view, request.key);
    request.shard = owner(view, request.key, placement);
    if (wire::rule_of(request.verb).takes_placement) request.stored_as.placement = placement;
}

Result<Reply> View::Calls::call(const View& view, Request&& request) {
    if (view.attachment_ == nullptr || !is_good_key(request.key))
        return check(view, operation_of(request.verb), request.key).error();
    if (!can_be_sent(request)) [[unlikely]]
        return view.name_error(no_host_memory_to_send(), operation_of(request.verb), request.key);
    place(view, request);
    return send(view, request);
}

Result<Reply> View::Calls::call_manager(const View& view, Request& request) {
    set_checkpoint(view, request);
    return send(view, request);
}

bool View::Calls::read_here(const View& view, Operation operation, ShardId shard, KeyBytes key,
                            std::uint64_t hash, ValueSink& sink, Result<void>& outcome) {
    if (client::Trace::current() != nullptr) [[unlikely]]
        return read_traced(view, operation, shard, key, hash, sink, outcome);
    return read_untraced(view, operation, shard, key, hash, sink, outcome);
}

bool View::Calls::read_untraced(const View& view, Operation operation, ShardId shard, KeyBytes key,
                                std::uint64_t hash, ValueSink& sink, Result<void>& outcome) {
    Attachment& attachment = *view.attachment_;
    // What is wrong otherwise, the way by message tells.
    if (!attachment.reads_here() || view.budget_.is_over()) return false;
    const client::LocalPools::Read read =
        attachment.pools().get(shard, key, hash, checkpoint(view), sink, outcome);
    if (read == client::LocalPools::Read::ask) return false;
    attachment.count_local_read(shard);
    if (read == client::LocalPools::Read::absent) outcome = Error(Errc::not_found);
    if (!outcome) {
        outcome.error().set_operation(operation).set_key(key).set_manager(number_of(shard));
        outcome.error().set_node(attachment.node());
    }
    return true;
}

// ---- one key ----

Result<void> View::put_bytes(KeyBytes key, Bytes value, std::uint16_t value_type) const {
    if (Calls::collects(*this)) return Calls::collect(*this, Verb::put, key, value, value_type);
    return without_value(Calls::call(*this, request_of(Verb::put, key, value, value_type)));
}

bool View::Calls::sends_whole(const View& view, Parts parts) {
    // What cannot be read is not copied: the call refuses it.
    return (bytes_in(parts) <= limits::gathered_bytes_max || collects(view)) && client::can_be_sent(parts);
}

Result<void> View::put_parts(KeyBytes key, Parts parts, std::uint16_t value_type) const {
    if (parts.size() == 1) return put_bytes(key, parts[0], value_type);
    if (Calls::sends_whole(*this, parts)) return put_bytes(key, gathered(parts), value_type);
    if (const Result<void> good = Calls::check_parts(key, parts); !good) return good;
    return without_value(Calls::call(*this, request_of_parts(Verb::put, key, parts, value_type)));
}

Result<bool> View::put_bytes_if(PutCondition condition, KeyBytes key, Bytes value,
                                std::uint16_t value_type) const {
    Request request = request_of(Verb::put, key, value, value_type);
    request.flags = flags_of(condition);
    return truth_of(Calls::call(*this, std::move(request)));
}

Result<bool> View::put_parts_if(PutCondition condition, KeyBytes key, Parts parts,
                                std::uint16_t value_type) const {
    if (parts.size() == 1) return put_bytes_if(condition, key, parts[0], value_type);
    if (Calls::sends_whole(*this, parts)) return put_bytes_if(condition, key, gathered(parts), value_type);
    if (const Result<void> good = Calls::check_parts(key, parts); !good) return good.error();
    Request request = request_of_parts(Verb::put, key, parts, value_type);
    request.flags = flags_of(condition);
    return truth_of(Calls::call(*this, std::move(request)));
}

Result<void> View::Calls::get(const View& view, KeyBytes key, ValueSink& sink, std::uint16_t flags) {
    if (const Result<void> good = check(view, Operation::get, key); !good) return good;
    const std::uint64_t hash = hash_of(key);
    Request request = request_of(Verb::get, key);
    request.shard = owner(view, key, hash);
    request.sink = &sink;
    request.flags = flags;
    Result<void> outcome;
    if (read_here(view, Operation::get, request.shard, key, hash, sink, outcome)) return outcome;
    return without_value(call_manager(view, request));
}

Result<void> View::get_bytes(KeyBytes key, ValueSink& sink) const {
    return Calls::get(*this, key, sink, 0);
}

Result<void> View::find_bytes(KeyBytes key, ValueSink& sink) const {
    return Calls::get(*this, key, sink, wire::at_once);
}

Result<bool> View::Calls::look_up(const View& view, KeyBytes key, ValueInfo& info) {
    if (const Result<void> good = check(view, Operation::contains, key); !good) return good.error();
    const std::uint64_t hash = hash_of(key);
    const ShardId shard = owner(view, key, hash);
    Attachment& attachment = *view.attachment_;
    if (attachment.reads_here() && !view.budget_.is_over()) {
        const client::Trace* const trace = client::Trace::current();
        const Time started = trace == nullptr ? Time() : std::chrono::steady_clock::now();
        const client::LocalPools::Read read =
            attachment.pools().contains(shard, key, hash, checkpoint(view), &info);
        if (read != client::LocalPools::Read::ask) {
            attachment.count_local_read(shard);
            const bool is_there = read == client::LocalPools::Read::value;
            if (trace != nullptr) [[unlikely]]
                trace_read(view, *trace, Operation::contains, shard, key, started, 0,
                           is_there ? Result<void>() : Error(Errc::not_found));
            return is_there;
        }
    }
    Request request = request_of(Verb::contains, key);
    request.shard = shard;
    const Result<Reply> reply = call_manager(view, request);
    if (reply) info = {.type = reply->value_type, .bytes = reply->argument2};
    return truth_of(reply);
}

Result<bool> View::contains_bytes(KeyBytes key) const {
    ValueInfo info;
    return Calls::look_up(*this, key, info);
}

Result<std::optional<ValueInfo>> View::type_and_size_bytes(KeyBytes key) const {
    ValueInfo info;
    const Result<bool> there = Calls::look_up(*this, key, info);
    if (!there.has_value()) return Error(there.error()).set_operation(Operation::type_and_size);
    return *there ? std::optional(info) : std::nullopt;
}

Result<void> View::pop_bytes(KeyBytes key, ValueSink& sink) const {
    RescueSink rescue(sink);
    Request request = request_of(Verb::pop, key);
    request.sink = &rescue;
    const Result<Reply> reply = Calls::call(*this, std::move(request));
    if (!reply) return reply.error();
    if (!rescue.asked) {  // an empty value
        if (const Result<MutableBytes> buffer = rescue.prepare(0, reply->value_type); !buffer)
            return buffer.error();
    }
    if (!rescue.refusal) return {};
    return put_back(key, rescue.rescued, rescue.type, *rescue.refusal);
}

Error View::put_back(KeyBytes key, Bytes value, std::uint16_t value_type, const Error& why) const {
    const Result<bool> back = put_bytes_if(PutCondition::absent, key, value, value_type);
    Error error = name_error(why, Operation::pop, key);
    // What was taken away is then lost, or has given way to a newer value.
    error.in_doubt = !back.has_value() || !*back;
    if (!back.has_value())
        error.set_detail(std::string("the value is not what was asked for, and could not be put back: ") +
                         std::string(name(back.error().code)) + " " + back.error().detail.data());
    return error;
}

Result<bool> View::erase_bytes(KeyBytes key) const {
    return whether_found(Calls::call(*this, request_of(Verb::erase, key)));
}

// ---- one key, atomically ----

Result<bool> View::swap_bytes(KeyBytes key, std::optional<Bytes> expected, std::optional<Bytes> desired,
                              std::uint16_t value_type) const {
    if (!expected && !desired) {  // whether there is nothing to be removed
        const Result<bool> there = contains_bytes(key);
        if (!there.has_value()) return Error(there.error()).set_operation(Operation::compare_and_swap);
        return !*there;
    }
    const std::size_t expected_bytes = expected ? expected->size() : 0;
    const std::size_t desired_bytes = desired ? desired->size() : 0;
    const std::size_t bytes = expected_bytes + desired_bytes;
    // Each alone too: the sum of sizes that make no sense may be a small one.
    for (const std::size_t size : {expected_bytes, desired_bytes, bytes}) {
        if (const Result<void> good = check_operand(Operation::compare_and_swap, key, size); !good)
            return good.error();
    }
    if (!client::can_be_sent(expected.value_or(Bytes())) || !client::can_be_sent(desired.value_or(Bytes())))
        return name_error(no_host_memory_to_send(), Operation::compare_and_swap, key);
    std::vector<std::byte> both;
    both.reserve(bytes);
    if (expected) both.insert(both.end(), expected->begin(), expected->end());
    if (desired) both.insert(both.end(), desired->begin(), desired->end());
    Request request = request_of(Verb::compare_and_swap, key, both, value_type);
    request.argument = expected_bytes;
    request.flags =
        static_cast<std::uint16_t>((expected ? 0 : wire::swap_if_absent) | (desired ? 0 : wire::swap_erases));
    return truth_of(Calls::call(*this, std::move(request)));
}

Result<std::uint64_t> View::add_bits(KeyBytes key, std::uint16_t value_type, std::uint64_t delta,
                                     std::uint64_t initial) const {
    const Bytes initial_bytes = std::as_bytes(std::span(&initial, 1));
    Request request = request_of(Verb::fetch_add, key, initial_bytes, value_type);
    request.argument = delta;
    const Result<Reply> reply = Calls::call(*this, std::move(request));
    if (!reply) return reply.error();
    return reply->argument;
}

Result<std::uint64_t> View::append_bytes(KeyBytes key, Bytes value, std::uint16_t value_type) const {
    if (const Result<void> good = check_operand(Operation::append, key, value.size()); !good)
        return good.error();
    const Result<Reply> reply = Calls::call(*this, request_of(Verb::append, key, value, value_type));
    if (!reply) return reply.error();
    return reply->argument;
}

// ---- waiting ----

Result<void> View::wait_for_bytes(KeyBytes key, ValueSink& sink) const {
    Request request = request_of(Verb::wait_for, key);
    request.sink = &sink;
    const Result<Reply> reply = Calls::call(*this, std::move(request));
    return deliver_empty(reply, sink, Operation::wait_for, key);
}

Result<void> View::wait_for_value_bytes(KeyBytes key, Bytes value, std::uint16_t value_type) const {
    if (const Result<void> good = check_operand(Operation::wait_for, key, value.size()); !good) return good;
    Request request = request_of(Verb::wait_for, key, value, value_type);
    request.flags = wire::wait_for_value;
    return without_value(Calls::call(*this, std::move(request)));
}

// ---- a copy on every manager ----

Result<Reply> View::Calls::broadcast(const View& view, Request request) {
    if (const Result<void> good = check(view, operation_of(request.verb), request.key); !good)
        return good.error();
    if (!can_be_sent(request)) [[unlikely]]
        return view.name_error(no_host_memory_to_send(), operation_of(request.verb), request.key);
    if (view.ttl_ != 0 && request.verb == Verb::broadcast_put)
        return view.name_error(broadcast_with_ttl(), operation_of(request.verb), request.key);
    request.shard = broadcast_root(view, request.key);
    Result<Reply> reply = call_manager(view, request);
    // It may be about a manager that this thread has never spoken to.
    if (!reply) view.attachment_->name_node(reply.error());
    return reply;
}

Result<void> View::broadcast_put_bytes(KeyBytes key, Bytes value, std::uint16_t value_type) const {
    if (Calls::collects(*this) && ttl_ == 0)
        return Calls::collect(*this, Verb::broadcast_put, key, value, value_type);
    return without_value(Calls::broadcast(*this, request_of(Verb::broadcast_put, key, value, value_type)));
}

Result<void> View::broadcast_put_parts(KeyBytes key, Parts parts, std::uint16_t value_type) const {
    if (parts.size() == 1) return broadcast_put_bytes(key, parts[0], value_type);
    if (Calls::sends_whole(*this, parts)) return broadcast_put_bytes(key, gathered(parts), value_type);
    if (const Result<void> good = Calls::check_parts(key, parts); !good) return good;
    return without_value(
        Calls::broadcast(*this, request_of_parts(Verb::broadcast_put, key, parts, value_type)));
}

Result<bool> View::broadcast_erase_bytes(KeyBytes key) const {
    return whether_found(Calls::broadcast(*this, request_of(Verb::broadcast_erase, key)));
}

Result<void> View::Calls::get_from(const View& view, ShardId shard, KeyBytes key, std::uint64_t hash,
                                   ValueSink& sink) {
    Result<void> outcome;
    if (read_here(view, Operation::broadcast_get, shard, key, hash, sink, outcome)) return outcome;
    Request request = request_of(Verb::get, key);
    request.shard = shard;
    request.sink = &sink;
    request.flags = wire::at_once;
    outcome = without_value(call_manager(view, request));
    if (!outcome) outcome.error().set_operation(Operation::broadcast_get);
    return outcome;
}

Result<void> View::broadcast_get_bytes(KeyBytes key, ValueSink& sink) const {
    constexpr std::uint32_t tries_max = 4;
    if (const Result<void> good = Calls::check(*this, Operation::broadcast_get, key); !good) return good;
    const std::uint64_t hash = hash_of(key);
    const std::uint32_t count = manager_count();
    const ShardId root = ddict::shard_of(hash, count);
    const std::uint32_t nearest = manager_ == any_manager ? attachment_->main_manager() : manager_;
    Result<void> outcome;
    const bool was_here =
        Calls::read_here(*this, Operation::broadcast_get, ShardId{nearest}, key, hash, sink, outcome);
    if (was_here && (outcome || outcome.error().code != Errc::not_found)) return outcome;
    const View timed = for_one_call();
    const std::uint32_t tries = std::min(tries_max, count);
    for (std::uint32_t i = 0; !was_here && i < tries; ++i) {
        // The managers of a node have numbers that follow each other: far from those of a lost node are
        // others.
        const ShardId shard{(nearest + i * count / tries) % count};
        outcome = Calls::get_from(timed, shard, key, hash, sink);
        if (outcome || outcome.error().code != Errc::manager_lost) break;
    }
    const bool ask_root =
        !outcome && (outcome.error().code == Errc::not_found || outcome.error().code == Errc::manager_lost);
    if (!ask_root || outcome.error().manager == number_of(root)) return outcome;
    return Calls::get_from(timed, root, key, hash, sink);
}

// ---- operations under way ----

detail::OperationHandle View::Calls::start(const View& view, Request request, const detail::SinkType* sink,
                                           bool temporary_value) {
    if (const Result<void> good = check(view, operation_of(request.verb), request.key); !good)
        return client::failed_operation(good.error());
    if (!can_be_sent(request)) [[unlikely]]
        return client::failed_operation(
            view.name_error(no_host_memory_to_send(), operation_of(request.verb), request.key));
    place(view, request);
    return client::start_operation(*view.attachment_, request, view.budget_, sink, temporary_value);
}

detail::OperationHandle View::start_put(KeyBytes key, Bytes value, std::uint16_t value_type,
                                        bool temporary) const {
    return Calls::start(*this, request_of(Verb::put, key, value, value_type), nullptr, temporary);
}

detail::OperationHandle View::start_put_parts(KeyBytes key, Parts parts, std::uint16_t value_type) const {
    if (parts.size() == 1) return start_put(key, parts[0], value_type);
    if (const Result<void> good = Calls::check_parts(key, parts); !good)
        return client::failed_operation(good.error());
    return Calls::start(*this, request_of_parts(Verb::put, key, parts, value_type), nullptr, false);
}

detail::OperationHandle View::start_wait(KeyBytes key, const detail::SinkType& sink) const {
    return Calls::start(*this, request_of(Verb::wait_for, key), &sink, false);
}

Result<int> View::async_descriptor() const {
    if (attachment_ == nullptr) return Calls::no_dictionary(Operation::none);
    const Result<client::Session*> session = attachment_->session();
    if (!session) return session.error();
    return (*session)->descriptor();
}

Result<View::Clock::time_point> View::move_along() const {
    if (attachment_ == nullptr) return Calls::no_dictionary(Operation::none);
    const Result<client::Session*> session = attachment_->session();
    if (!session) return session.error();
    return (*session)->turn();
}

detail::OperationHandle View::start_get(KeyBytes key, const detail::SinkType& sink) const {
    return Calls::start(*this, request_of(Verb::get, key), &sink, false);
}

detail::OperationHandle View::start_erase(KeyBytes key) const {
    return Calls::start(*this, request_of(Verb::erase, key), nullptr, false);
}

}  // namespace ddict
