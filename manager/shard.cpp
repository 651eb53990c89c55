// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/shard.h"

#include <algorithm>
#include <array>
#include <new>

#include "base/hash.h"
#include "base/hex.h"
#include "manager/ops/ops.h"

namespace ddict::manager {
namespace {

using wire::Verb;

// Until the next look for pairs whose time to live is over, at the most.
constexpr std::uint64_t expiry_look_max = 3'600'000'000'000;
// After a look that could erase none of them.
constexpr std::chrono::milliseconds expiry_again{100};

using Op = void (*)(ShardParts&, const Call&);

struct OpOfVerb {
    Verb verb;
    Op op;
};

/// What executes the requests of each verb. A hello comes before there is a session, and is none of these.
constexpr std::array op_of_verb = {
    OpOfVerb{Verb::goodbye, ops::goodbye},
    OpOfVerb{Verb::ping, ops::ping},
    OpOfVerb{Verb::put, ops::put},
    OpOfVerb{Verb::get, ops::get},
    OpOfVerb{Verb::contains, ops::contains},
    OpOfVerb{Verb::erase, ops::erase},
    OpOfVerb{Verb::size, ops::size},
    OpOfVerb{Verb::clear, ops::clear},
    OpOfVerb{Verb::scan, ops::scan},
    OpOfVerb{Verb::stats, ops::stats},
    OpOfVerb{Verb::directory, ops::directory},
    OpOfVerb{Verb::shutdown, ops::shutdown},
    OpOfVerb{Verb::pop, ops::pop},
    OpOfVerb{Verb::compare_and_swap, ops::compare_and_swap},
    OpOfVerb{Verb::fetch_add, ops::fetch_add},
    OpOfVerb{Verb::append, ops::append},
    OpOfVerb{Verb::wait_for, ops::wait_for},
    OpOfVerb{Verb::batch_get, ops::batch},
    OpOfVerb{Verb::batch_put, ops::batch},
    OpOfVerb{Verb::batch_erase, ops::batch},
    OpOfVerb{Verb::broadcast_put, ops::broadcast_put},
    OpOfVerb{Verb::broadcast_erase, ops::broadcast_erase},
    OpOfVerb{Verb::freeze, ops::freeze},
    OpOfVerb{Verb::count_prefix, ops::count_prefix},
    OpOfVerb{Verb::erase_prefix, ops::erase_prefix},
    OpOfVerb{Verb::cancel_wait, ops::cancel_wait},
    OpOfVerb{Verb::restart, ops::restart},
    OpOfVerb{Verb::checkpoints, ops::checkpoints},
    OpOfVerb{Verb::touch, ops::touch},
};

constexpr std::array<Op, wire::verb_last + 1> op_table = [] {
    std::array<Op, wire::verb_last + 1> table{};
    for (const OpOfVerb& one : op_of_verb)
        table[static_cast<std::size_t>(one.verb)] = one.op;
    return table;
}();
// By the rows and not by the pointers, which gcc does not compare in a constant when it looks for undefined
// behaviour.
static_assert(std::all_of(wire::verb_rules.begin() + 1, wire::verb_rules.end(),
                          [](const wire::VerbRule& rule) {
                              const auto rows =
                                  std::count_if(op_of_verb.begin(), op_of_verb.end(),
                                                [&](const OpOfVerb& one) { return one.verb == rule.verb; });
                              return rows == (rule.verb == Verb::hello ? 0 : 1);
                          }),
              "each verb but hello has its function");

}  // namespace

void Shard::set_directory(const DirectoryView* directory, Relay* relay) {
    parts_.directory.reset();
    if (directory != nullptr) parts_.directory.emplace(*directory);
    parts_.broadcaster.set_directory(directory != nullptr ? &*parts_.directory : nullptr, relay);
}

void Shard::reject(std::uint64_t payload_token) {
    ++parts_.counts.rejected_messages;
    parts_.replies.discard_payload(payload_token);
}

void Shard::on_message(Bytes message, const IncomingPayload& payload) {
    if (message.size() < sizeof(wire::RequestHeader)) return reject(payload.token);
    Call call{.header = header_in(message)};
    const Form form = read_call(message.subspan(sizeof call.header), payload, call);
    if (form == Form::malformed) return reject(payload.token);
    const Verb verb = call.header.verb;
    if (verb == Verb::hello) return parts_.gate.on_hello(call);
    if (verb == Verb::goodbye && call.header.session == 0) return parts_.gate.on_goodbye(call);
    Session* session = parts_.sessions.find(call.header.session);
    if (session == nullptr) return reject(payload.token);
    // A late one: its client will say hello again, and then repeat it.
    if (session->peer == no_peer) return parts_.replies.discard_payload(payload.token);
    call.peer = session->peer;
    if (call.ttl != 0) [[unlikely]]
        call.until = ops::end_of(parts_, call.ttl);
    if (form == Form::too_large) {
        const std::uint64_t limit = wire::rule_of(verb).value_bytes_max;
        return parts_.replies.refuse(call, Error(Errc::too_large).set_bytes(call.header.value_bytes, limit));
    }
    if (wire::is_cached(verb)) {
        if (!is_new(*session, call)) return;
    } else if (session->replies->holding != 0) {
        release_last(*session, call.header.request);
    }
    if (parts_.store.minds_checkpoint(call.header.checkpoint) && !is_at_checkpoint(call)) [[unlikely]]
        return;
    if (form == Form::untaken) [[unlikely]]
        return payload.too_many
                   ? parts_.replies.refuse(call, Errc::busy)
                   : parts_.replies.answer_failed(call, wire::ValueFailure::no_memory_to_receive);
    if (payload.is_shared && wire::rule_of(verb).value_bytes_max != wire::any_value && !take_operand(call))
        return parts_.replies.answer_failed(call, wire::ValueFailure::no_memory_to_receive);
    if (parts_.store.begin_request(call.header.session, call.header.request)) [[unlikely]]
        return refuse_deadly(call);
    if (!parts_.times.count(verb)) {
        execute(call);
    } else {
        const std::uint64_t started = parts_.times.start();
        execute(call);
        parts_.times.stop(verb, started);
    }
    parts_.store.end_executed();
    parts_.waiters.look_at_held();
}

/// Whether the checkpoint of a request is one that there is, or may be; answers if it is none. A change is of
/// a certain one.
bool Shard::is_at_checkpoint(Call& call) {
    const shm::WorkingSet& kept = parts_.store.checkpoints();
    std::uint32_t& checkpoint = call.header.checkpoint;
    if (!wire::rule_of(call.header.verb).at_checkpoint) {
        checkpoint = 0;
        return true;
    }
    if (checkpoint > limits::newest_checkpoint) {
        reject(call.payload_token);
        return false;
    }
    // Where all begins anew any id will do. What a kill has interrupted goes on: what is left of it is
    // refused item by item.
    const bool begins = call.header.verb == Verb::clear && call.has(wire::clear_begins);
    const bool is_change = wire::is_change(call.header.verb);
    const std::uint32_t oldest = is_change ? kept.oldest_open() : kept.oldest();
    if (checkpoint < oldest && !begins && !Replies::is_half_made(call)) {
        parts_.replies.refuse(call, Error(Errc::checkpoint_retired).set_bytes(checkpoint, oldest));
        return false;
    }
    if (checkpoint == limits::newest_checkpoint && is_change) checkpoint = kept.newest();
    call.is_transient = stores_transient(call.header, kept.settings());
    if (kept.settings().waits_for_writers && checkpoint != limits::newest_checkpoint && !begins)
        parts_.store.note_at(*parts_.sessions.find(call.header.session)->replies, checkpoint, is_change);
    if (!is_change || begins || !comes_too_early(call)) return true;
    parts_.waiters.await_checkpoint(call);
    return false;
}

/// Of a change, at a checkpoint to which others do not let the shard move yet. What a frozen shard refuses
/// need not wait for that.
bool Shard::comes_too_early(const Call& call) {
    return call.header.checkpoint > parts_.store.checkpoints().newest() &&
           call.header.checkpoint > parts_.store.newest_permitted() && !parts_.store.frozen() &&
           !Replies::is_half_made(call);
}

/// Copies the value of a request, which its sender could still change. False if memory is missing.
bool Shard::take_operand(Call& call) noexcept {
    try {
        operand_.assign(call.value.begin(), call.value.end());
    } catch (const std::bad_alloc&) {
        return false;
    }
    call.value = operand_;
    return true;
}

/// Whoever has sent it, for the log.
std::string Shard::client_of(const Call& call) {
    const Session& session = *parts_.sessions.find(call.header.session);
    const bool is_here = parts_.transport.is_same_host(call.peer);
    return "process " + std::to_string(session.process.pid) +
           (is_here ? " of this host" : " of another host") + " (" + parts_.transport.describe(call.peer) +
           ", session " + hex(session.id) + ")";
}

/// One over which managers were killed. Not cached: a part of it may have been made.
void Shard::refuse_deadly(const Call& call) {
    parts_.store.end_request();
    ++deadly_requests_;
    last_deadly_ =
        Error(Errc::protocol,
              "the manager was killed each time that it executed this request, of " + client_of(call));
    parts_.replies.discard_payload(call.payload_token);
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(last_deadly_.code);
    parts_.replies.send(call.peer, header);
    last_deadly_.set_operation(wire::rule_of(call.header.verb).operation);
    if (!call.key.empty()) last_deadly_.set_key(call.key);
}

/// Whether a request whose reply is cached is to be executed. One that has been executed is answered as it
/// was then; one whose slot has a later request already is no longer waited for. Notes the slot.
bool Shard::is_new(Session& session, Call& call) {
    const std::uint64_t request = call.header.request;
    const store::ReplySlot slot = parts_.store.replies().slot(*session.replies, request);
    if (slot.reply == nullptr) {
        parts_.replies.refuse(call, Errc::busy);
        return false;
    }
    if (request <= slot.reply->request) {
        const bool has_pair =
            request == slot.reply->request && slot.reply->kind == store::CachedReply::Kind::pair;
        if (has_pair && call.header.verb == Verb::pop && call.has(wire::pop_put_back)) {
            call.slot = slot;
            ops::put_back(parts_, call);
        } else {
            parts_.replies.repeat(call, *slot.reply);
        }
        return false;
    }
    // One that a kill has interrupted goes on.
    if (slot.reply->pending != request) parts_.store.replies().release(*slot.session, *slot.reply);
    call.slot = slot;
    return true;
}

/// As is_new, when the payload of a request has arrived: meanwhile another copy of it may have been executed.
bool Shard::is_still_new(const Call& call) {
    if (call.slot.reply == nullptr) return true;
    if (call.header.request <= call.slot.reply->request) {
        parts_.replies.repeat(call, *call.slot.reply);
        return false;
    }
    if (call.slot.reply->pending != call.header.request)
        parts_.store.replies().release(*call.slot.session, *call.slot.reply);
    return true;
}

/// A request that changes nothing shows as much as any other that the one before it in its slot was answered.
/// Those of a connection have no slot.
void Shard::release_last(Session& session, std::uint64_t request) {
    if ((request & wire::connection_request_bit) != 0) return;
    store::CachedReply* last = session.replies->at(request);
    if (last != nullptr && request > last->request) parts_.store.replies().release(*session.replies, *last);
}

/// What is common to a request that has come whole, and to one whose operand has now arrived.
void Shard::execute(Call& call) {
    if (!call.key.empty()) call.hash = hash_of(call.key);
    const Verb verb = call.header.verb;
    if (parts_.store.refuses_some() && wire::changes_pairs(verb) && !Replies::is_half_made(call)) {
        const auto role =
            wire::rule_of(verb).is_broadcast ? store::BroadcastRole::root : store::BroadcastRole::none;
        if (const Errc code = parts_.store.refusal(call.key, role); code != Errc{})
            return parts_.replies.refuse(call, code);
    }
    op_table[static_cast<std::size_t>(verb)](parts_, call);
}

/// When to be called again.
Time Shard::expire(Time now) {
    const std::uint64_t next = parts_.store.next_end();
    if (next == shm::no_end) return Time::max();
    const std::uint64_t clock = parts_.options.now();
    if (next > clock)
        return now + std::chrono::nanoseconds(std::min<std::uint64_t>(next - clock, expiry_look_max));
    const std::uint64_t expired = parts_.store.expire(clock);
    parts_.counts.expired += expired;
    // None, though some are over: they cannot be erased now.
    return expired != 0 ? now : now + expiry_again;
}

Time Shard::tick(Time now) {
    const Time next_session = parts_.gate.tick(now);  // whoever ends is waited for no longer
    const Time next_waiter = parts_.waiters.tick(now);
    const Time next = std::min({next_session, next_waiter, parts_.hold.tick(now), expire(now)});
    const bool has_more = parts_.store.retire_some();
    if (!parts_.deferred_puts.empty()) parts_.deferred_puts.step();
    return has_more || !parts_.deferred_puts.empty() ? now : next;
}

/// A client that has gone meanwhile, or whose connection broke, has not put anything: it may be about to send
/// the same again. One that is still there is told.
void Shard::on_payload_received(std::uint64_t tag, bool ok) {
    const Transfer transfer = parts_.replies.end_transfer(tag);
    shm::Block* block = transfer.reserved;
    Call call = parts_.replies.call_of(transfer.request);
    if (!ok || call.peer == no_peer || !is_still_new(call)) {
        if (block != nullptr) parts_.store.abandon(block);
        const bool is_same_connection = call.peer != no_peer && call.peer == transfer.peer;
        if (!ok && is_same_connection)
            parts_.replies.answer_failed(call, wire::ValueFailure::cannot_be_received);
        return;
    }
    if (parts_.store.minds_checkpoint(call.header.checkpoint) && !is_at_checkpoint(call)) [[unlikely]] {
        if (block != nullptr) parts_.store.abandon(block);
        return;
    }
    // Refused it would have been before its payload was asked for.
    parts_.store.begin_request(call.header.session, call.header.request);
    if (block != nullptr) {
        call.header.verb == Verb::put ? ops::finish_put(parts_, call, block)
                                      : parts_.broadcaster.finish_put(call, block);
    } else {
        call.key = {transfer.buffer.bytes().first(transfer.request.key_bytes), transfer.request.key_type};
        call.placement = transfer.placement;
        call.until = transfer.until;
        call.value = transfer.buffer.bytes().subspan(call.key.size(), transfer.request.value_bytes);
        execute(call);
    }
    parts_.store.end_executed();
    parts_.waiters.look_at_held();
}

void Shard::on_payload_sent(std::uint64_t tag, bool ok) {
    const Transfer transfer = parts_.replies.end_transfer(tag);
    if (!ok) parts_.replies.answer_untaken(transfer);
    if (transfer.pinned != nullptr) parts_.store.unpin(*transfer.pinned);
}

std::string Shard::inconsistency() const {
    for (const std::string& wrong :
         {parts_.store.pool().inconsistency(), parts_.store.replies().inconsistency(),
          parts_.waiters.inconsistency()}) {
        if (!wrong.empty()) return wrong;
    }
    return {};
}

ManagerStats Shard::statistics(PeerId asking) const {
    return ops::statistics(parts_, asking);
}

}  // namespace ddict::manager
