// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/async_operation.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ddict {
namespace client {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t spare_max = limits::operations_in_flight_max;

/// Operations that have ended, to be used again by this thread.
struct Spare {
    std::vector<std::unique_ptr<AsyncOperation>> operations;
    ~Spare();
};
thread_local bool spare_ended = false;
thread_local Spare spare;

Spare::~Spare() {
    spare_ended = true;
}

Error no_operation() {
    return Error(Errc::invalid_argument,
                 "this handle has no operation: none was begun, or its outcome was taken");
}

Error other_thread() {
    return Error(Errc::invalid_argument, "a handle is for the thread that began its operation");
}

}  // namespace

void AsyncOperation::make_sink(const detail::SinkType& type) {
    void* memory = sink_memory;
    if (type.bytes > sizeof sink_memory || type.alignment > alignof(std::max_align_t)) {
        std::size_t space = type.bytes + type.alignment;
        large_sink_memory = std::make_unique<std::byte[]>(space);
        memory = large_sink_memory.get();
        std::align(type.alignment, type.bytes, memory, space);
    }
    sink = type.construct(memory);
    destroy_sink = type.destroy;
}

void AsyncOperation::drop_sink() {
    if (sink != nullptr) destroy_sink(std::exchange(sink, nullptr));
    large_sink_memory.reset();
}

bool AsyncOperation::is_out_of_reach() const {
    return !flight.settled() && (thread != this_thread() || fork_generation != client::fork_generation);
}

const void* this_thread() {
    return &spare_ended;
}

AsyncOperation* new_operation() {
    std::unique_ptr<AsyncOperation> operation;
    if (spare_ended || spare.operations.empty()) {
        operation = std::make_unique<AsyncOperation>();
    } else {
        operation = std::move(spare.operations.back());
        spare.operations.pop_back();
    }
    operation->thread = this_thread();
    operation->fork_generation = fork_generation.load(std::memory_order_relaxed);
    return operation.release();
}

void give_back(AsyncOperation* ended) noexcept {
    std::unique_ptr<AsyncOperation> operation(ended);
    operation->drop_sink();
    if (spare_ended || operation->thread != this_thread() || spare.operations.size() >= spare_max) return;
    try {
        spare.operations.push_back(std::move(operation));
    } catch (const std::bad_alloc&) {
        // Then it is not kept.
    }
}

detail::OperationHandle failed_operation(const Error& error) {
    AsyncOperation* operation = new_operation();
    operation->flight.outcome = error;
    return detail::OperationHandle(operation);
}

detail::OperationHandle start_operation(Attachment& attachment, Request request,
                                        const detail::TimeoutBudget& budget, const detail::SinkType* sink,
                                        bool temporary_value) {
    const auto failed = [&](Error error) {
        error.set_operation(operation_of(request.verb));
        return failed_operation(error.set_key(request.key));
    };
    const std::uint64_t value_bytes = request.value_bytes();
    const bool is_gathered = !request.parts.empty() && value_bytes <= limits::gathered_bytes_max;
    const bool small = is_gathered || value_bytes <= limits::inline_value_bytes_max;
    if (!small && temporary_value) {
        Error error(Errc::too_large,
                    "this type is encoded into memory that would not last: put it, or encode it first");
        return failed(error.set_bytes(value_bytes, limits::inline_value_bytes_max));
    }
    const Result<Session*> session = attachment.session();
    if (!session) return failed(session.error());

    AsyncOperation* operation = new_operation();
    detail::OperationHandle handle(operation);
    operation->bytes.assign(request.key.bytes().begin(), request.key.bytes().end());
    if (small) operation->bytes.insert(operation->bytes.end(), request.value.begin(), request.value.end());
    for (std::size_t i = 0; is_gathered && i < request.parts.size(); ++i)
        operation->bytes.insert(operation->bytes.end(), request.parts[i].begin(), request.parts[i].end());
    const Bytes copies = operation->bytes;
    if (small) {
        request.value = copies.subspan(request.key.size());
        request.parts = {};
    }
    request.key = {copies.first(request.key.size()), request.key.type()};
    operation->key_bytes = request.key.size();
    operation->key_type = request.key.type();
    operation->manager = number_of(request.shard);
    if (sink != nullptr) {
        operation->make_sink(*sink);
        request.sink = operation->sink;
    }
    const Time now = steady_clock::now();
    const Time deadline = budget.deadline(now);
    if (const Result<void> ready = attachment.prepare(**session, request, now, deadline); ready) {
        const std::string& node = (*session)->known_manager(request.shard)->node;
        operation->node = {};
        node.copy(operation->node.data(), operation->node.size() - 1);
        operation->flight.outlives_call = true;
        (*session)->start(operation->flight, request, now, deadline);
    } else {
        operation->flight.outcome = ready.error();
    }
    return handle;
}

}  // namespace client

namespace detail {

bool OperationHandle::has_ended_here() const {
    if (operation_ == nullptr) return true;
    if (operation_->thread != client::this_thread()) return false;
    client::Flight& flight = operation_->flight;
    return flight.settled() || (!operation_->is_out_of_reach() && flight.session->finished(flight));
}

ValueSink* OperationHandle::sink() const {
    return operation_ == nullptr ? nullptr : operation_->sink;
}

Error OperationHandle::name_error(Error error) const {
    if (operation_ == nullptr) return error;
    const KeyBytes key(Bytes(operation_->bytes).first(operation_->key_bytes), operation_->key_type);
    error.set_operation(operation_of(operation_->flight.verb)).set_key(key);
    return error.set_manager(operation_->manager).set_node(operation_->node.data());
}

Result<bool> OperationHandle::ready() {
    if (operation_ == nullptr) return client::no_operation();
    if (operation_->thread != client::this_thread()) return client::other_thread();
    client::Flight& flight = operation_->flight;
    if (flight.settled()) return true;
    if (operation_->is_out_of_reach()) {
        Error error = client::forked().set_operation(operation_of(flight.verb));
        error.in_doubt = wire::is_change(flight.verb);  // the parent goes on with it
        return error;
    }
    client::Session& session = *flight.session;
    if (session.finished(flight)) return true;
    session.poll();
    return session.finished(flight);
}

Result<std::uint64_t> OperationHandle::wait(std::optional<std::chrono::steady_clock::time_point> deadline) {
    const Result<bool> begun = ready();
    if (!begun.has_value()) return begun.error();
    client::Flight& flight = operation_->flight;
    if (!flight.settled()) flight.session->interruptible();
    while (!flight.settled()) {
        client::Session& session = *flight.session;
        if (session.finished(flight)) break;
        if (session.is_interrupted() || (deadline && client::steady_clock::now() >= *deadline)) {
            Error error(Errc::timeout, "it is still under way; the handle can be waited for again");
            error.in_doubt = session.may_take_effect(flight);
            return name_error(error);
        }
        session.progress(deadline.value_or(Time::max()));
    }
    if (!flight.outcome) return flight.outcome.error();
    const Reply& reply = *flight.outcome;
    // A wait's value that is empty has not come to the sink by itself.
    if (flight.verb == wire::Verb::wait_for && reply.value_bytes == 0 && operation_->sink != nullptr) {
        if (const auto buffer = operation_->sink->prepare(0, reply.value_type); !buffer)
            return name_error(buffer.error());
    }
    return reply.argument;
}

void OperationHandle::cancel() {
    if (operation_ == nullptr || operation_->is_out_of_reach()) return;
    client::Flight& flight = operation_->flight;
    if (flight.settled()) return;
    client::Session& session = *flight.session;
    if (!session.finished(flight)) session.cancel(flight, ShardId{operation_->manager});
}

void OperationHandle::release() noexcept {
    client::AsyncOperation* operation = std::exchange(operation_, nullptr);
    if (operation == nullptr) return;
    client::Flight& flight = operation->flight;
    // Then nothing can be done about it but to leave it to its session for good.
    if (operation->is_out_of_reach()) return;
    while (!flight.settled() && !flight.session->finished(flight))
        flight.session->progress(Time::max());
    client::give_back(operation);
}

}  // namespace detail
}  // namespace ddict
