// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/shard.h"

#include "core/hash.h"
#include "core/stats.h"

namespace ddict::manager {
namespace {

using wire::Verb;

/// Tells one client's greetings from those of others.
std::uint64_t greeter_of(const wire::Hello& hello) {
    const std::uint64_t parts[] = {hello.process.host_key, static_cast<std::uint64_t>(hello.process.pid),
                                   hello.process.start_time, hash_of(hello.address)};
    return hash_of(std::as_bytes(std::span(parts)));
}

}  // namespace

Shard::Shard(shm::Pool& pool, Transport& transport, const ShardOptions& options)
    : pool_(pool),
      transport_(transport),
      options_(options),
      sessions_(options.session_seed),
      times_(options.clock),
      frozen_(pool.frozen()) {
    head_.resize(limits::head_bytes_max);
}

void Shard::reject(std::uint64_t body_token) {
    ++counters_.rejected_messages;
    if (body_token != 0) transport_.discard_body(body_token);
}

void Shard::on_message(Bytes head, const IncomingBody& body) {
    if (head.size() < sizeof(wire::RequestHeader)) return reject(body.token);
    Call call{.header = header_in(head)};
    const Form form = read_call(head.subspan(sizeof call.header), body, call);
    if (form == Form::malformed) return reject(body.token);
    if (call.header.verb == Verb::hello) return on_hello(call);
    if (call.header.verb == Verb::goodbye && call.header.session == 0) return on_farewell(call);
    Session* session = sessions_.find(call.header.session);
    if (session == nullptr) return reject(body.token);
    if (session->peer == no_peer) {  // a late one: its client will greet again, and then repeat it
        if (body.token != 0) transport_.discard_body(body.token);
        return;
    }
    call.peer = session->peer;
    if (form == Form::too_large) {
        return refuse(
            call,
            Error(Errc::too_large).set_bytes(call.header.value_bytes, value_bytes_max(call.header.verb)));
    }
    if (wire::is_remembered(call.header.verb)) {
        if (!is_new(*session, call)) return;
    } else if (session->holding != 0) {
        let_go_of_last(*session, call.header.request);
    }
    if (!times_.count(call.header.verb)) return execute(call);
    const std::uint64_t started = times_.start();
    execute(call);
    times_.stop(call.header.verb, started);
}

/// What is common to a request that has come whole, and to one whose operand has now arrived.
void Shard::execute(Call& call) {
    if (!call.key.empty()) call.hash = hash_of(call.key);
    if ((frozen_ || broadcast_keys_.any()) && changes_pairs(call.header.verb)) {
        const Errc refusal = refusal_of_change(call.header.verb, call.key);
        if (refusal != Errc{}) return refuse(call, refusal);
    }
    dispatch(call);
}

void Shard::dispatch(const Call& call) {
    switch (call.header.verb) {
        case Verb::hello:
            return;  // before there is a session
        case Verb::goodbye:
            return end_session(*sessions_.find(call.header.session));
        case Verb::ping:
            return reply(call);
        case Verb::put:
            return on_put(call);
        case Verb::get:
            return on_get(call);
        case Verb::contains:
            return on_contains(call);
        case Verb::erase:
            return on_erase(call);
        case Verb::size:
            return reply(call, pool_.size() - broadcast_keys_.copies());
        case Verb::clear:
            return on_clear(call);
        case Verb::scan:
            return on_scan(call);
        case Verb::stats:
            return on_stats(call);
        case Verb::directory:
            return on_directory(call);
        case Verb::shutdown:
            shutdown_requested_ = true;
            return reply(call);
        case Verb::pop:
            return on_pop(call);
        case Verb::compare_and_swap:
            return on_compare_and_swap(call);
        case Verb::fetch_add:
            return on_fetch_add(call);
        case Verb::append:
            return on_append(call);
        case Verb::freeze:
            return on_freeze(call);
        case Verb::batch_get:
        case Verb::batch_put:
        case Verb::batch_erase:
            return on_batch(call);
        case Verb::wait_for:
            return on_wait_for(call);
        case Verb::broadcast_put:
            return on_broadcast_put(call);
        case Verb::broadcast_erase:
            return on_broadcast_erase(call);
    }
}

void Shard::on_hello(const Call& call) {
    wire::Hello hello;
    if (!wire::unpack(call.value, hello)) return reject(call.body_token);
    if (!is_proven(call, hello)) return;
    const Errc refusal = refusal_of(hello);
    refusal == Errc{} ? answer_greeting(call, hello) : refuse_greeting(call, hello, refusal);
}

/// From a client that leaves before it has heard its session's number, or after its connection broke. It may
/// have been overtaken by a newer greeting, or have overtaken an older one: for that one's sake its number is
/// remembered, as that of a session whose connection broke.
void Shard::on_farewell(const Call& call) {
    wire::Hello hello;
    if (!wire::unpack(call.value, hello)) return reject(0);
    if (!is_proven(call, hello)) return;
    const std::uint64_t greeter = greeter_of(hello);
    if (Session* known = sessions_.of_greeter(greeter); known != nullptr) {
        if (known->greeting >= call.header.request) return;
        end_session(*known);
    }
    if (!make_room_for_session()) return;
    break_session(*sessions_.find(sessions_.open(no_peer, greeter, call.header.request)));
}

/// Goes on with the session that the client names, if it is still known, and ends any other that the client
/// has. But a greeting may have been overtaken by a newer one: the client does not wait for the answer any
/// more.
void Shard::answer_greeting(const Call& call, const wire::Hello& hello) {
    const std::uint64_t greeter = greeter_of(hello);
    const std::uint64_t greeting = call.header.request;
    Session* known = sessions_.of_greeter(greeter);
    if (known != nullptr && known->greeting >= greeting) return;
    const bool goes_on = known != nullptr && known->id == call.header.session;
    if (known != nullptr && !goes_on) end_session(*known);
    const Result<PeerId> peer = reach(hello);
    if (!peer) return;
    wire::ReplyHeader header = reply_header(call.header);
    if (goes_on) {
        waiting_.drop_session(known->id);  // they will be asked for again
        stop_seeking_room(known->id);
        if (known->peer != no_peer) transport_.close(known->peer);
        sessions_.set_peer(*known, *peer);
        known->greeting = greeting;
        header.argument = known->id;
    } else {
        header.argument = sessions_.open(*peer, greeter, greeting);
    }
    send_reply(*peer, header);
}

/// To one that has proved to know the dictionary.
void Shard::refuse_greeting(const Call& call, const wire::Hello& hello, Errc refusal) {
    ++counters_.rejected_messages;
    const Result<PeerId> peer = reach(hello);
    if (!peer) return;
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(refusal);
    send_reply(*peer, header);
    transport_.close(*peer);
}

Result<PeerId> Shard::reach(const wire::Hello& hello) {
    const Result<PeerId> peer = transport_.connect(hello.address, hello.process);
    if (peer) return peer;
    // It has died, or gave an address that is none, or one of another UCX; or this process lacks something,
    // and then the client waits in vain.
    const Errc code = peer.error().code;
    if (code == Errc::manager_lost || code == Errc::bad_handle || code == Errc::incompatible) {
        ++counters_.rejected_messages;
    } else {
        ++counters_.unreachable_clients;
        why_unreachable_ = peer.error();
    }
    return peer;
}

/// Strangers get no answer, and nothing that they say is looked at: to answer takes a connection, whose
/// making costs time, memory and descriptors, sends something to whomever the stranger likes, and hands his
/// bytes to a parser that trusts them.
bool Shard::is_proven(const Call& call, const wire::Hello& hello) {
    const shm::PoolIdentity& own = pool_.identity();
    if (hello.dictionary_id == own.dictionary_id &&
        equal_in_constant_time(hello.proof, wire::proof_of(own.secret, call.header, hello)))
        return true;
    ++unproven_greetings_;
    reject(0);
    return false;
}

Errc Shard::refusal_of(const wire::Hello& hello) {
    if (hello.ucx_version != options_.ucx_version) return Errc::incompatible;
    if (!make_room_for_session()) return Errc::busy;
    return {};
}

/// Clients that are there go before clients that may come back.
bool Shard::make_room_for_session() {
    for (; sessions_.full() && !broken_.empty(); broken_.pop_front()) {
        Session* session = sessions_.find(broken_.front().session);
        if (session != nullptr && session->peer == no_peer) end_session(*session);
    }
    return !sessions_.full();
}

void Shard::end_session(Session& session) {
    const PeerId peer = session.peer;
    waiting_.drop_session(session.id);
    stop_seeking_room(session.id);
    session.outcomes.for_each([&](Outcome& outcome) { let_go(session, outcome); });
    sessions_.close(session.id);
    if (peer != no_peer) transport_.close(peer);
}

void Shard::say_farewell(bool with_dictionary) {
    wire::ReplyHeader header;
    header.verb_and_reply_bit = static_cast<std::uint8_t>(Verb::goodbye) | wire::reply_bit;
    header.status = static_cast<std::uint16_t>(with_dictionary ? Errc::dictionary_gone : Errc::manager_lost);
    header.request = wire::connection_request_bit | pool_.identity().manager;
    sessions_.for_each([&](const Session& session) {
        if (session.peer == no_peer) return;
        header.argument = session.id;
        send_reply(session.peer, header);
    });
}

/// The client may live, and come back to ask for what it has missed.
void Shard::break_session(Session& session) {
    waiting_.drop_session(session.id);
    stop_seeking_room(session.id);
    sessions_.set_peer(session, no_peer);
    broken_.push_back({session.id, ++session.breaks, std::nullopt});
}

void Shard::on_peer_lost(PeerId peer, const Error&) {
    if (Session* session = sessions_.of_peer(peer); session != nullptr) break_session(*session);
}

Time Shard::forget_broken_sessions(Time now) {
    for (auto last = broken_.rbegin(); last != broken_.rend() && !last->deadline; ++last)
        last->deadline = now + limits::session_kept;
    for (; !broken_.empty() && *broken_.front().deadline <= now; broken_.pop_front()) {
        Session* session = sessions_.find(broken_.front().session);
        if (session != nullptr && session->peer == no_peer && session->breaks == broken_.front().breaks)
            end_session(*session);
    }
    return broken_.empty() ? Time::max() : *broken_.front().deadline;
}

void Shard::on_stats(const Call& call) {
    std::vector<std::byte> packed;
    pack(statistics(call.peer), packed);
    reply_copy(call, packed, 0);
}

void Shard::on_directory(const Call& call) {
    if (directory_ == nullptr) return refuse(call, Errc::system);
    std::vector<std::byte> page;
    std::uint64_t manager = call.header.argument;
    for (; manager < directory_->manager_count() && page.size() < limits::page_bytes_max; ++manager) {
        const Result<DirectoryEntry> entry = directory_->entry(static_cast<std::uint32_t>(manager));
        if (!entry) return refuse(call, entry.error());
        pack(*entry, page);
    }
    reply_copy(call, page, manager);
}

void Shard::on_freeze(const Call& call) {
    if (call.header.argument != wire::freeze_ask) {
        frozen_ = call.header.argument == wire::freeze_on;
        pool_.set_frozen(frozen_);
    }
    reply(call, frozen_ ? 1 : 0);
}

ManagerStats Shard::statistics(PeerId asking) const {
    ManagerStats stats = counters_;
    const shm::PoolUsage usage = pool_.usage();
    stats.manager = pool_.identity().manager;
    stats.node = pool_.identity().node;
    stats.pid = options_.pid;
    stats.keys = usage.keys - broadcast_keys_.copies();
    stats.pool_bytes = usage.pool_bytes;
    stats.used_bytes = usage.used_bytes;
    stats.free_bytes = usage.free_bytes;
    stats.largest_free_bytes = usage.largest_free_bytes;
    stats.index_bytes = usage.index_bytes;
    stats.sessions = sessions_.connected();
    stats.waiting = waiting_.size();
    stats.broadcasts = broadcasts_under_way();
    stats.broadcast_keys = broadcast_keys_.stored();
    stats.bodies_in_flight = bodies_in_flight();
    stats.private_bytes = memory_.used_bytes();
    stats.frozen = frozen_;
    stats.operations = times_.statistics();
    stats.transport = transport_.describe(asking);
    return stats;
}

}  // namespace ddict::manager
