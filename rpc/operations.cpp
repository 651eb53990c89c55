// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/operations.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/value_buffer.h"
#include "rpc/reply_errors.h"

namespace ddict {
namespace {

// Of an operation that is over, but for the memory that the transport still holds.
constexpr std::chrono::milliseconds payload_look_interval{1};

/// Why the transport has not taken the value of a reply.
Error reason_of_refusal(const IncomingPayload& payload) {
    if (!payload.too_many) return no_memory_to_receive(payload.bytes);
    return Error(Errc::busy, "too many large values are on their way to this process");
}

}  // namespace

/// The manager of a wait says itself that it is over, at its deadline: its word is listened for a little
/// longer, in several looks, each of which begins when the one before it has been taken. So time in which
/// this process was not scheduled does not count; and where that takes long, the manager may be waiting for a
/// processor as well, and gets as much longer.
bool Operations::Operation::takes_grace(Time now) noexcept {
    if (!wire::rule_of(request.verb).waits || session == 0 || replied || request.argument == 0) return false;
    if (grace_looks == grace_looks_max) return false;
    ++grace_looks;
    const Time::duration tenth = std::chrono::microseconds(request.argument / 10);
    const auto grace = std::clamp<Time::duration>(tenth, limits::wait_grace_min, limits::wait_grace_max);
    deadline = now + grace / grace_looks_max;
    return true;
}

void Operations::add_slot() {
    DDICT_ASSERT(slots_.size() < limits::operations_in_flight_max, "too many operations in flight");
    // First all that memory may be missing for: who gives a slot back cannot fail.
    free_slots_.reserve(slots_.size() + 1);
    slots_.push_back(std::make_unique<Operation>());
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
}

OperationId Operations::begin(const Request& request, Time now, Time deadline) {
    context_.set_now(now);
    Connection* known = connections_.find(request.shard);
    DDICT_ASSERT(known != nullptr, "operation on a manager that was never added");
    DDICT_ASSERT(request.key.size() <= limits::key_bytes_max, "key above the limit");
    Connection& connection = *known;
    if (free_slots_.empty()) add_slot();
    const std::uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    Operation& operation = *slots_[slot];
    operation.id = (context_.next_sequence() << wire::slot_bits) | slot;
    operation.request = request;
    operation.connection = &connection;
    operation.peer = no_peer;
    operation.older_sends = 0;
    operation.grace_looks = 0;
    operation.session = 0;
    operation.deadline = deadline;
    operation.queued = operation.resend = operation.replied = false;
    operation.payload_out = operation.payload_in = operation.puts_back = false;
    operation.pending = true;
    operation.awaits.reset();
    operation.error.reset();
    operation.reply = {};
    connection.add_operation();
    try {
        if (connection.is_open()) {
            send(operation);
        } else if (const std::optional<Error> refusal = connection.refusal(request.verb)) {
            fail(operation, *refusal);
        } else {
            enqueue(operation);
            connection.open();
        }
    } catch (const std::bad_alloc&) {
        fail_without_memory(operation);
    }
    return operation.id;
}

/// Nothing was sent.
void Operations::fail_without_memory(Operation& operation) noexcept {
    const Request& request = operation.request;
    operation.error = Error(Errc::system, "no memory is left to send it")
                          .set_operation(operation_of(request.verb))
                          .set_key(request.key)
                          .set_manager(number_of(request.shard))
                          .set_node(operation.connection->entry().node);
    operation.session = 0;
    operation.payload_out = false;
    operation.replied = true;
    settle(operation);
}

Result<Reply> Operations::take(OperationId id) {
    Operation& operation = get(id);
    DDICT_ASSERT(operation.is_finished(), "operation is not done");
    operation.id = 0;
    free_slots_.push_back(wire::slot_of(id));
    if (operation.error) return *operation.error;
    return operation.reply;
}

void Operations::give_up(OperationId id) {
    Operation& operation = get(id);
    if (!operation.is_finished()) end_overdue(operation);
}

Time Operations::end_overdue() {
    Time next = Time::max();
    for (const auto& operation : slots_) {
        if (operation->id == 0 || operation->is_finished()) continue;
        if (context_.now() < operation->deadline || operation->takes_grace(context_.now())) {
            next = std::min(next, operation->deadline);
        } else {
            end_overdue(*operation);
            if (!operation->is_finished()) next = std::min(next, context_.now() + payload_look_interval);
        }
    }
    return next;
}

void Operations::end_overdue(Operation& operation) {
    Connection& connection = *operation.connection;
    if (!operation.replied) {
        Error late(Errc::timeout, overdue_text(operation.request, operation.session != 0));
        late.set_state(ManagerState::silent);
        if (operation.awaits)
            late.set_detail(overdue_text(operation.request, *operation.awaits))
                .set_state(ManagerState::answered);
        const std::optional<Error>& trouble = connection.trouble();
        if (operation.session == 0 && trouble && trouble->detail[0] != '\0') {
            late.set_detail(std::string("no connection to the manager was made in time: ") +
                            trouble->detail.data());
            if (trouble->code == Errc::busy) late.code = Errc::busy;  // it takes no more of them
        }
        fail(operation, late);
    } else if (operation.payload_in && !operation.error) {
        operation.error = named(Error(Errc::timeout, "the value did not arrive in time"), operation);
    }
    // Only the end of its connection gets the caller's memory back; the transport reports it from its poll().
    // If the operation's connection has been ended already, there may be a new one: leave that alone.
    if (!operation.moves_payload() || connection.peer() != operation.peer) return;
    const Error why(Errc::timeout, "the connection was given up with another operation's deadline");
    connection.operations() > 1 && connection.is_open() ? connection.break_off(why) : connection.fail(why);
}

void Operations::leave(const Error& why) {
    for (const auto& operation : slots_) {
        if (operation->id != 0 && operation->payload_in && !operation->error)
            operation->error = named(why, *operation);
    }
}

// ---- sending ----

void Operations::enqueue(Operation& operation) {
    if (operation.queued) return;
    operation.queued = true;
    queues_[operation.connection].push_back(operation.id);
}

void Operations::send(Operation& operation) {
    const Request& request = operation.request;
    const PeerId peer = operation.connection->peer();
    if (operation.peer != no_peer && operation.peer != peer) ++operation.older_sends;
    operation.peer = peer;
    operation.session = operation.connection->session();
    wire::RequestHeader header;
    header.verb = request.verb;
    header.key_bytes = static_cast<std::uint16_t>(request.key.size());
    header.key_type = request.key.type();
    header.value_type = request.value_type;
    header.placed_by = request.stored_as.placement.by;
    header.has_ttl = request.stored_as.ttl != 0 ? 1 : 0;
    header.flags = request.flags;
    header.session = operation.session;
    header.request = operation.id;
    header.checkpoint = request.checkpoint == no_checkpoint ? 0 : request.checkpoint;
    header.value_bytes = request.value_bytes();
    header.argument = request.argument;
    if (wire::rule_of(request.verb).waits) {
        header.argument = std::min(header.argument, wait_argument(operation.deadline - context_.now()));
    }

    if (header.value_bytes <= limits::inline_value_bytes_max)
        return context_.send(operation.peer, header, request.key, request.value, request.stored_as);
    operation.payload_out = true;
    if (!request.parts.empty())
        return context_.send_with_payload(operation.peer, header, request.key, request.parts, operation.id,
                                          request.stored_as);
    context_.send_with_payload(operation.peer, header, request.key, request.value, operation.id,
                               request.stored_as);
}

void Operations::send_or_fail(Operation& operation) {
    const bool forgotten = operation.session != 0 && operation.session != operation.connection->session();
    if (forgotten && wire::is_cached(operation.request.verb)) {
        fail(operation, Error(Errc::manager_lost,
                              "the connection broke, and the manager has forgotten what came of this request")
                            .set_state(ManagerState::answered));
    } else if (operation.moves_payload()) {
        operation.resend = true;
    } else {
        send(operation);
    }
}

void Operations::resend_if_free(Operation& operation) {
    if (!operation.resend || operation.moves_payload()) return;
    operation.resend = false;
    if (!operation.replied) send_or_fail(operation);
}

void Operations::on_payload_sent(OperationId id) {
    // Whether the value arrived is what the reply tells; here it only matters that the caller's memory is
    // free again.
    Operation* operation = find(id);
    if (operation == nullptr) return;
    operation->payload_out = false;
    resend_if_free(*operation);
    settle(*operation);
}

// ---- replies ----

void Operations::on_message(Bytes message, const IncomingPayload& payload) {
    wire::ReplyHeader header;
    std::memcpy(&header, message.data(), sizeof header);
    if (!is_well_formed(header)) return context_.reject(payload);
    const Bytes inline_value = message.subspan(sizeof header);
    Operation* operation = find(header.request);
    // The answer to an operation that was given up.
    if (operation == nullptr || operation->replied) return context_.discard(payload);
    if (!is_reply_to(header, operation->request.verb) || operation->peer == no_peer)
        return context_.reject(payload);
    Connection& connection = *operation->connection;
    // The last of a connection that broke: its payload cannot be had any more.
    if (payload.token != 0 && connection.peer() == no_peer) return context_.discard(payload);
    connection.heard();
    if (operation->puts_back) {
        context_.discard(payload);
        return on_put_back(*operation, header);
    }
    if (is_stale_refusal(*operation, header)) return context_.discard(payload);
    if (asks_again(header)) {
        context_.discard(payload);
        return ask_again(*operation, header);
    }
    operation->replied = true;
    if (header.status != 0) {
        context_.discard(payload);
        operation->error = with_context(error_of(header, operation->request), operation->request, connection,
                                        connections_, context_.lost_managers());
        if (operation->error->code == Errc::system) ask_to_put_back(*operation);
        return settle(*operation);
    }
    operation->reply = {.value_bytes = header.value_bytes,
                        .value_type = header.value_type,
                        .argument = header.argument,
                        .argument2 = header.argument2};
    const bool awaits_value = operation->request.sink != nullptr;
    if (awaits_value || header.value_bytes != 0 || payload.present() || !inline_value.empty())
        take_value(*operation, header, inline_value, payload);
    settle(*operation);
}

void Operations::take_value(Operation& operation, const wire::ReplyHeader& header, Bytes inline_value,
                            const IncomingPayload& payload) {
    const std::uint64_t arrived = payload.present() ? payload.bytes : inline_value.size();
    if (arrived != header.value_bytes) {
        context_.discard(payload);
        const Error error(Errc::protocol, "the length of the value is not as announced");
        operation.error = named(error, operation);
        return operation.connection->fail(error);
    }
    ValueSink* sink = operation.request.sink;
    if (sink == nullptr || (arrived == 0 && !is_reply_to(header, wire::Verb::get)))
        return context_.discard(payload);
    if (payload.is_refused()) return refuse_value(operation, reason_of_refusal(payload));
    MutableBytes rest;
    const Result<MutableBytes> buffer = buffer_of(*sink, arrived, header.value_type, rest);
    if (!buffer) {
        context_.discard(payload);
        return refuse_value(operation, buffer.error());
    }
    if (payload.token != 0) {
        operation.payload_in = true;
        try {
            receive(operation, payload.token, *buffer, rest);
        } catch (const std::bad_alloc&) {
            operation.payload_in = false;
            context_.discard(payload);
            refuse_value(operation, no_memory_to_receive(arrived));
        }
    } else if (arrived > 0) {
        const Bytes value = payload.present() ? payload.in_memory : inline_value;
        if (!buffer->empty()) std::memcpy(buffer->data(), value.data(), buffer->size());
        if (!rest.empty()) std::memcpy(rest.data(), value.data() + buffer->size(), rest.size());
    }
}

void Operations::receive(Operation& operation, std::uint64_t token, MutableBytes into, MutableBytes rest) {
    Transport& transport = context_.transport();
    const PeerId peer = operation.connection->peer();
    if (into.empty() || rest.empty())
        return transport.receive_payload(peer, token, into.empty() ? rest : into, operation.id);
    transport.receive_payload(peer, token, into, rest, operation.id);
}

/// Nothing has come of it: the manager says what it waits for, and from now on only when that is over.
void Operations::ask_again(Operation& operation, const wire::ReplyHeader& header) {
    operation.awaits = wire::AskAgain::of(header.argument, header.argument2);
    if (operation.awaits->count == 0) operation.awaits.reset();
    operation.request.flags |= wire::sent_again;
    try {
        operation.connection->is_open() ? send_or_fail(operation) : enqueue(operation);
    } catch (const std::bad_alloc&) {
        fail_without_memory(operation);
    }
}

/// A manager that cannot move a value says so; what it says of a connection that has broken since does not
/// count. Of which it is cannot be seen: so it is asked again as often as there were others.
bool Operations::is_stale_refusal(Operation& operation, const wire::ReplyHeader& header) {
    if (header.status != static_cast<std::uint16_t>(Errc::system)) return false;
    if (operation.peer != operation.connection->peer()) return true;  // to be sent when there is one again
    if (operation.older_sends == 0) return false;
    --operation.older_sends;
    send_or_fail(operation);
    return true;
}

/// The value has come, and cannot be taken.
void Operations::refuse_value(Operation& operation, const Error& why) {
    operation.error = named(why, operation);
    ask_to_put_back(operation);
}

/// What was popped is still at the manager, until another request is in this one's slot.
void Operations::ask_to_put_back(Operation& operation) noexcept {
    if (operation.request.verb != wire::Verb::pop) return;
    operation.puts_back = true;
    operation.request.flags |= wire::pop_put_back;
    operation.request.sink = nullptr;
    operation.replied = false;
    try {
        operation.connection->is_open() ? send_or_fail(operation) : enqueue(operation);
    } catch (const std::bad_alloc&) {
        operation.replied = true;  // what has become of the pair is not known
    }
}

/// What a pop has failed of stays its error.
void Operations::on_put_back(Operation& operation, const wire::ReplyHeader& header) {
    // The value once more, or that it was not taken.
    if (header.value_bytes != 0 || header.status == static_cast<std::uint16_t>(Errc::system)) return;
    operation.replied = true;
    operation.error->in_doubt = header.status != 0;
    settle(operation);
}

void Operations::on_payload_received(OperationId id, bool ok) {
    Operation* operation = find(id);
    if (operation == nullptr) return;
    Connection& connection = *operation->connection;
    operation->payload_in = false;
    if (!ok && !operation->error) {
        const Error error(Errc::manager_lost, "the connection broke while the value was on its way");
        if (connection.is_closed()) {
            operation->error = named(error, *operation);
        } else {  // the manager still has it, or can read it again
            operation->replied = false;
            operation->reply = {};
            if (!connection.is_open()) {
                enqueue(*operation);
            } else if (connection.peer() == operation->peer) {
                connection.break_off(error);
            } else {
                send_or_fail(*operation);
            }
        }
    }
    resend_if_free(*operation);
    settle(*operation);
}

// ---- what happens to a connection ----

void Operations::on_open(Connection& connection) {
    const auto queue = queues_.find(&connection);
    if (queue == queues_.end()) return;
    const std::vector<OperationId> queued = std::exchange(queue->second, {});
    for (const OperationId id : queued) {
        Operation* operation = find(id);
        if (operation == nullptr) continue;
        operation->queued = false;
        if (!operation->replied) send_or_fail(*operation);
    }
}

void Operations::on_broken(Connection& connection) {
    for (const auto& operation : slots_) {
        if (operation->id == 0 || operation->connection != &connection || operation->replied) continue;
        operation->resend = false;
        operation->awaits.reset();
        enqueue(*operation);
    }
}

void Operations::on_failed(Connection& connection, const Error& why) {
    queues_.erase(&connection);
    for (const auto& operation : slots_) {
        if (operation->id != 0 && operation->connection == &connection && !operation->replied)
            fail(*operation, why);
    }
}

void Operations::on_ended(Connection& connection) {
    for (const auto& operation : slots_) {
        if (operation->id == 0 || operation->connection != &connection) continue;
        if (operation->request.verb != wire::Verb::shutdown) continue;
        operation->replied = true;
        settle(*operation);
    }
}

bool Operations::moves_payloads(const Connection& connection) const {
    return std::any_of(slots_.begin(), slots_.end(), [&connection](const auto& operation) {
        return operation->id != 0 && operation->connection == &connection && operation->moves_payload();
    });
}

// ---- errors ----

void Operations::fail(Operation& operation, const Error& error) {
    if (!operation.puts_back) operation.error = named(error, operation);
    operation.replied = true;
    settle(operation);
}

/// Of an error that is not the manager's own answer to this request.
Error Operations::named(const Error& error, const Operation& operation) const {
    Error named = error;
    named.in_doubt = operation.session != 0 && wire::is_change(operation.request.verb);
    if (named.code == Errc::manager_lost && named.manager_state == ManagerState::unknown)
        named.set_state(ManagerState::unreachable);
    return with_context(named, operation.request, *operation.connection, connections_,
                        context_.lost_managers());
}

}  // namespace ddict
