// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/session_gate.h"

#include <chrono>

#include "base/hash.h"

namespace ddict::manager {
namespace {

/// Where it is missing.
constexpr std::chrono::milliseconds memory_looked_for_every{1};

/// Tells one client's hellos from those of others.
std::uint64_t client_of(const wire::Hello& hello) {
    const std::uint64_t parts[] = {hello.process.host_key, static_cast<std::uint64_t>(hello.process.pid),
                                   hello.process.start_time, hash_of(hello.address)};
    return hash_of(std::as_bytes(std::span(parts)));
}

}  // namespace

SessionGate::SessionGate(std::uint32_t ucx_version, const store::Store& store, Transport& transport,
                         Sessions& sessions, Replies& replies, Waiters& waiters, DeferredPuts& deferred_puts)
    : ucx_version_(ucx_version),
      store_(store),
      transport_(transport),
      sessions_(sessions),
      replies_(replies),
      waiters_(waiters),
      deferred_puts_(deferred_puts) {
    // Of clients of a manager that was killed: they come back, or are forgotten.
    sessions.for_each([this](Session& session) { break_session(session); });
}

/// Strangers get no answer, and nothing that they say is looked at: to answer takes a connection, whose
/// making costs time, memory and descriptors, sends something to whomever the stranger likes, and hands its
/// bytes to a parser that trusts them.
bool SessionGate::reads(const Call& call, wire::Hello& hello) {
    if (!wire::unpack(call.value, hello)) {
        ++rejected_;
        replies_.discard_payload(call.payload_token);
        return false;
    }
    const shm::PoolIdentity& own = store_.pool().identity();
    if (hello.dictionary_id == own.dictionary_id &&
        equal_in_constant_time(hello.proof, wire::proof_of(own.secret, call.header, hello)))
        return true;
    ++unproven_;
    ++rejected_;
    return false;
}

void SessionGate::on_hello(const Call& call) {
    wire::Hello hello;
    if (!reads(call, hello)) return;
    const Errc refusal = refusal_of(call, hello);
    refusal == Errc{} ? answer(call, hello) : refuse(call, hello, refusal);
}

/// It may have been overtaken by a newer hello, or have overtaken an older one: for that one's sake its
/// number is remembered, as that of a session whose connection broke.
void SessionGate::on_goodbye(const Call& call) {
    wire::Hello hello;
    if (!reads(call, hello)) return;
    const std::uint64_t client = client_of(hello);
    if (Session* known = sessions_.of_client(client); known != nullptr) {
        if (known->hello_number >= call.header.request) return;
        end_session(*known);
    }
    if (!has_capacity_for_session()) return;
    break_session(*sessions_.find(sessions_.open(no_peer, client, call.header.request)));
}

/// Goes on with the session that the client names, if it is still known, and ends any other that the client
/// has. But a hello may have been overtaken by a newer one: the client does not wait for the answer any
/// more.
void SessionGate::answer(const Call& call, const wire::Hello& hello) {
    const std::uint64_t client = client_of(hello);
    const std::uint64_t hello_number = call.header.request;
    Session* known = sessions_.of_client(client);
    if (known != nullptr && known->hello_number >= hello_number) return;
    const bool goes_on = known != nullptr && known->id == call.header.session;
    if (known != nullptr && !goes_on) end_session(*known);
    const Result<PeerId> peer = reach(hello);
    if (!peer) return;
    wire::ReplyHeader header = reply_header(call.header);
    if (goes_on) {
        drop_requests(*known);  // they will be asked for again
        if (known->peer != no_peer) transport_.close(known->peer);
        sessions_.set_peer(*known, *peer);
        known->set_hello_number(hello_number);
        header.argument = known->id;
    } else {
        header.argument = sessions_.open(*peer, client, hello_number);
    }
    Session& session = *sessions_.find(header.argument);
    session.process = hello.process;
    notify(goes_on ? SessionEvent::resumed : SessionEvent::opened, session);
    replies_.send(*peer, header);
}

/// To one that has proved to know the dictionary.
void SessionGate::refuse(const Call& call, const wire::Hello& hello, Errc refusal) {
    ++rejected_;
    const Result<PeerId> peer = reach(hello);
    if (!peer) return;
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(refusal);
    replies_.send(*peer, header);
    transport_.close(*peer);
}

Result<PeerId> SessionGate::reach(const wire::Hello& hello) {
    const Result<PeerId> peer = transport_.connect(hello.address, hello.process);
    if (peer) return peer;
    // It has died, or gave an address that is none, or one of another UCX; or this process lacks something,
    // and the client gets no answer until its timeout.
    const Errc code = peer.error().code;
    if (code == Errc::manager_lost || code == Errc::bad_handle || code == Errc::incompatible) {
        ++rejected_;
    } else {
        count_unreachable(1, peer.error());
    }
    return peer;
}

Errc SessionGate::refusal_of(const Call& call, const wire::Hello& hello) {
    if (hello.ucx_version != ucx_version_) return Errc::incompatible;
    const Session* known = sessions_.of_client(client_of(hello));
    const bool goes_on = known != nullptr && known->id == call.header.session;
    return goes_on || has_capacity_for_session() ? Errc{} : Errc::busy;
}

/// Clients that are there go before clients that may come back.
bool SessionGate::has_capacity_for_session() {
    for (; sessions_.full() && !broken_.empty(); broken_.pop_front()) {
        Session* session = sessions_.find(broken_.front().session);
        if (session != nullptr && session->peer == no_peer) end_session(*session, SessionEvent::forgotten);
    }
    return !sessions_.full();
}

void SessionGate::drop_requests(const Session& session) {
    waiters_.drop_session(session.id);
    deferred_puts_.drop_session(session.id);
}

void SessionGate::end_session(Session& session, SessionEvent event) {
    notify(event, session);
    const PeerId peer = session.peer;
    drop_requests(session);
    sessions_.close(session.id);
    if (peer != no_peer) transport_.close(peer);
}

void SessionGate::say_goodbye(bool with_dictionary) {
    wire::ReplyHeader header;
    header.verb_and_reply_bit = static_cast<std::uint8_t>(wire::Verb::goodbye) | wire::reply_bit;
    header.status = static_cast<std::uint16_t>(with_dictionary ? Errc::dictionary_gone : Errc::manager_lost);
    header.request = wire::connection_request_bit | store_.pool().identity().manager;
    sessions_.for_each([&](const Session& session) {
        if (session.peer == no_peer) return;
        header.argument = session.id;
        replies_.send(session.peer, header);
    });
}

/// The client may live, and come back to ask for what it has missed.
void SessionGate::break_session(Session& session, const Error* why) {
    notify(SessionEvent::broken, session, why);
    broken_.push_back({session.id, session.breaks + 1, std::nullopt});
    ++session.breaks;
    drop_requests(session);
    sessions_.set_peer(session, no_peer);
}

/// A reply that is cached will be repeated, and what was not cached is asked for again, over a connection of
/// its own. Where memory is missing for that too, the next turn tries again.
void SessionGate::break_what_lacks_replies() {
    if (!replies_.take_unsent()) return;
    sessions_.for_each([this](Session& session) {
        if (!session.lacks_reply) return;
        const PeerId peer = session.peer;
        try {
            break_session(session);
        } catch (const std::bad_alloc&) {
            return replies_.note_unsent();
        }
        transport_.close(peer);
    });
}

void SessionGate::on_peer_lost(PeerId peer, const Error& why) {
    if (Session* session = sessions_.of_peer(peer); session != nullptr) break_session(*session, &why);
}

Time SessionGate::tick(Time now) {
    break_what_lacks_replies();
    for (auto last = broken_.rbegin(); last != broken_.rend() && !last->deadline; ++last)
        last->deadline = now + limits::session_kept;
    for (; !broken_.empty() && *broken_.front().deadline <= now; broken_.pop_front()) {
        Session* session = sessions_.find(broken_.front().session);
        if (session != nullptr && session->peer == no_peer && session->breaks == broken_.front().breaks)
            end_session(*session, SessionEvent::forgotten);
    }
    if (replies_.has_unsent()) return now + memory_looked_for_every;
    return broken_.empty() ? Time::max() : *broken_.front().deadline;
}

}  // namespace ddict::manager
