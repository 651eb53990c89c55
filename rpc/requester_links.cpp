// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The connections of a requester: how they come about, are watched, break, and are made again.
#include <algorithm>
#include <string>
#include <utility>

#include "rpc/requester.h"

namespace ddict {
namespace {

// How often the patience with a greeting doubles.
constexpr unsigned patience_doublings_max = 3;

Error silent() {
    return Error(Errc::manager_lost, "nothing was heard from it for " +
                                         std::to_string(limits::silence_until_lost.count()) +
                                         " ms: it is stopped, or its node or the network is down")
        .set_state(ManagerState::silent);
}

/// Trouble of this process or of its settings, which says nothing about the manager.
bool is_own_trouble(Errc code) {
    return code == Errc::system || code == Errc::bad_handle || code == Errc::incompatible;
}

/// Of one that has never answered. Managers answer nobody who does not prove to know the dictionary. `over`:
/// the transports and devices that were tried, if that is known.
Error unanswered(const std::string& over) {
    return Error(Errc::manager_lost, "it has not answered a hello for " +
                                         std::to_string(limits::silence_until_lost.count()) + " ms" +
                                         (over.empty() ? "" : " over " + over) +
                                         ": it has ended, its node is down, this network does not lead there "
                                         "(UCX_NET_DEVICES), or the handle is not of this dictionary")
        .set_state(ManagerState::silent);
}

}  // namespace

void Requester::open_link(Link& link, Time now) {
    const Result<PeerId> peer = transport_.connect(link.entry.address, link.entry.process);
    if (!peer && link.session != 0 && !link.same_host) {  // a network that is away may say so at once
        link.state = LinkState::broken;
        link.why = peer.error();
        link.again = now + limits::reconnect_interval;
        return;
    }
    if (!peer) {
        lose_link(link, peer.error());
        return;
    }
    link.peer = *peer;
    links_by_peer_[*peer] = &link;
    link.state = LinkState::greeting;
    link.heard = now;
    send_hello(link, now);
}

void Requester::send_hello(Link& link, Time now) {
    link.greeted = now;
    ask_link(link);
    introduce(link, wire::Verb::hello, link.session, link.hello);
}

/// To a manager that may have a session for this client whose number has not arrived, or that cannot answer
/// through the old connection: it is to end what it has.
void Requester::send_farewell(Link& link) {
    if (link.peer == no_peer) {
        const Result<PeerId> peer = transport_.connect(link.entry.address, link.entry.process);
        if (!peer) return;
        link.peer = *peer;
        links_by_peer_[*peer] = &link;
    }
    introduce(link, wire::Verb::goodbye, 0, next_link_request(link));
}

/// A message that says who this client is.
void Requester::introduce(Link& link, wire::Verb verb, std::uint64_t session, std::uint64_t request) {
    wire::RequestHeader header;
    header.verb = verb;
    header.session = session;
    header.request = request;
    const std::vector<std::byte> hello = wire::pack_proven(credentials_.secret, header,
                                                           {.dictionary_id = credentials_.dictionary_id,
                                                            .proof = {},
                                                            .ucx_version = credentials_.ucx_version,
                                                            .process = transport_.identity(),
                                                            .address = transport_.address()});
    transport_.send(link.peer, message_of(header, {}, hello));
}

/// The connection is gone, or is given up here; the session is not, and what waits for an answer goes on
/// waiting.
void Requester::break_link(Link& link, const Error& why) {
    const PeerId peer = disconnect(link);
    link.state = LinkState::broken;
    link.hello = 0;
    link.pinged.reset();
    link.why = why;
    link.again = now_ - link.opened < limits::reconnect_interval ? now_ + limits::reconnect_interval : now_;
    for (const auto& slot : slots_) {
        if (slot->id == 0 || slot->link != &link || slot->replied) continue;
        slot->resend = false;
        enqueue(*slot);
    }
    if (peer != no_peer) transport_.close(peer);
}

/// Every operation that waits for this manager ends with the error, and the connection with it.
void Requester::fail_link(Link& link, const Error& why) {
    drop_connection(link);
    link.queued.clear();
    if (why.code == Errc::manager_lost) {  // from now on one try is enough
        link.opened = {};
        link.refusals = refusals_max - 1;
    }
    fail_slots(link, why);
}

void Requester::fail_slots(Link& link, const Error& why) {
    for (const auto& slot : slots_) {
        if (slot->id != 0 && slot->link == &link && !slot->replied) fail(*slot, why);
    }
}

/// The same, and all requesters of this process are to know. On the same host the kernel tells them.
void Requester::lose_link(Link& link, const Error& why) {
    if (lost_ != nullptr && !link.same_host && why.code == Errc::manager_lost)
        lost_->remember(link.entry.manager, why, now_);
    fail_link(link, why);
}

/// It is still lost. The connection is kept: its answer may come yet.
void Requester::end_probe(Link& link) {
    const Error why = why_unreachable(link);
    if (lost_ != nullptr) lost_->remember(link.entry.manager, why, now_);
    link.probe_until.reset();
    link.queued.clear();
    fail_slots(link, why);
}

/// Of a manager that has no connection, at the end of the patience with it.
Error Requester::why_unreachable(const Link& link) const {
    const bool has_reason = link.why && link.why->code != Errc::timeout && link.why->detail[0] != '\0';
    if (!has_reason) return link.opened == Time{} ? unanswered(describe(link.entry.manager)) : silent();
    if (link.state != LinkState::greeting) {
        Error why = *link.why;
        if (!is_own_trouble(why.code)) why.code = Errc::manager_lost;
        return why;
    }
    Error why = silent();
    if (link.why->manager_state == ManagerState::silent) return why;
    return why.set_detail(std::string("it does not answer; before that: ") + link.why->detail.data());
}

void Requester::drop_connection(Link& link) {
    if (link.state == LinkState::open && link.peer != no_peer) send_to_manager(link, wire::Verb::goodbye, 0);
    link.state = LinkState::closed;
    link.session = 0;
    link.hello = 0;
    link.pinged.reset();
    link.give_up.reset();
    link.probe_until.reset();
    link.why.reset();
    link.refusals = 0;
    link.asked_since = 0;
    link.too_slow = 0;
    if (const PeerId peer = disconnect(link); peer != no_peer) transport_.close(peer);
}

/// Forgets the connection; it may still be open.
PeerId Requester::disconnect(Link& link) {
    links_by_peer_.erase(link.peer);
    return std::exchange(link.peer, no_peer);
}

/// Returns when to look again; nothing if that is not needed, or the manager was given up.
std::optional<Time> Requester::look_after(Link& link, Time now) {
    if (link.state != LinkState::open) return try_again(link, now);
    return link.same_host ? std::nullopt : check_silence(link, now);
}

/// Of a link that has no session, or none at present. On the same host the kernel knows whether the manager
/// lives: connecting fails when it does not. But it may be unable to answer at the moment.
std::optional<Time> Requester::try_again(Link& link, Time now) {
    if (link.probe_until && now >= *link.probe_until) {
        end_probe(link);
        return std::nullopt;
    }
    if (!link.give_up) {
        link.give_up = std::max(link.heard, now - limits::silence_before_ping) + limits::silence_until_lost;
    } else if (now - link.looked > limits::silence_before_ping) {
        *link.give_up += now - link.looked;  // the program was away, and nothing moved
    }
    link.looked = now;
    if (now >= *link.give_up && !link.same_host) {
        lose_link(link, Error(why_unreachable(link)));
        return std::nullopt;
    }
    if (link.state == LinkState::greeting && now - link.greeted >= patience_with(link)) {
        // Of one that had a session it is rather the network that was away: it may be back at any time.
        if (link.session == 0) ++link.too_slow;
        if (const PeerId peer = disconnect(link); peer != no_peer) transport_.close(peer);
        open_link(link, now);
    } else if (link.state == LinkState::broken && now >= link.again) {
        open_link(link, now);
    }
    if (link.state == LinkState::closed) return std::nullopt;
    Time next = link.state == LinkState::broken ? link.again : link.greeted + patience_with(link);
    if (link.probe_until) next = std::min(next, *link.probe_until);
    // Often enough that this process does not take itself for one that was away.
    return link.same_host ? next : std::min({next, *link.give_up, now + limits::silence_before_ping / 2});
}

/// For an answer to a greeting. It doubles: an attempt that takes a busy manager longer than the patience
/// must not be thrown away again and again, each time with more work for the manager.
Time::duration Requester::patience_with(const Link& link) {
    const auto first = link.same_host ? limits::greeting_repeated_same_host : limits::greeting_repeated;
    return first * (1 << std::min(link.too_slow, patience_doublings_max));
}

/// An answer that nobody waits for any more still shows that the manager lives.
void Requester::on_late_answer(Link& link, std::uint64_t request) {
    const bool waits = link.state == LinkState::greeting || link.state == LinkState::broken;
    const bool asked =
        link.asked_since != 0 && link.asked_since <= request && request <= latest_request(link);
    if (!waits || !asked) return;
    link.heard = now_;
    if (link.give_up) link.give_up = std::max(*link.give_up, now_ + limits::silence_until_lost);
    ++link.too_slow;
}

bool Requester::moves_bodies(const Link& link) const {
    return std::any_of(slots_.begin(), slots_.end(), [&link](const auto& slot) {
        return slot->id != 0 && slot->link == &link && (slot->body_out || slot->body_in);
    });
}

/// Returns when to look again; nothing if the manager was given up.
std::optional<Time> Requester::check_silence(Link& link, Time now) {
    constexpr auto patience = limits::silence_until_lost - limits::silence_before_ping;
    static_assert(limits::lost_probe_patience < patience);
    if (!link.pinged) {
        if (now - link.heard < limits::silence_before_ping) return link.heard + limits::silence_before_ping;
        link.pinged = now;
        ask_link(link);
        send_to_manager(link, wire::Verb::ping, link.hello);
    }
    // Another thread has waited for it already.
    const bool known = lost_ != nullptr && lost_->any() && lost_->is_lost(link.entry.manager, now);
    const Time lost = *link.pinged + (known ? limits::lost_probe_patience : patience);
    if (now >= lost) {
        lose_link(link, silent());
        return std::nullopt;
    }
    // The connection may be dead and the manager not: it may have dropped us. What may be slow because it is
    // large gets more time.
    const Time reconnect = *link.pinged + (moves_bodies(link) ? limits::silence_before_reconnect_with_bodies
                                                              : limits::silence_before_reconnect);
    if (now < reconnect) return std::min(reconnect, lost);
    break_link(link, silent());
    link.give_up = lost;
    link.looked = now;
    return try_again(link, now);
}

/// None of this link is above it.
std::uint64_t Requester::latest_request(const Link& link) const {
    return wire::connection_request_bit | sequence_ << wire::manager_bits | link.entry.manager;
}

std::uint64_t Requester::next_link_request(const Link& link) {
    ++sequence_;
    return latest_request(link);
}

/// The number of a greeting or a ping that is about to be sent.
void Requester::ask_link(Link& link) {
    link.hello = next_link_request(link);
    if (link.asked_since == 0) link.asked_since = link.hello;
}

/// A message that belongs to the session and to no operation.
void Requester::send_to_manager(Link& link, wire::Verb verb, std::uint64_t request) {
    wire::RequestHeader header;
    header.verb = verb;
    header.session = link.session;
    header.request = request;
    transport_.send(link.peer, message_of(header, {}, {}));
}

void Requester::leave() {
    const Error why(Errc::not_attached, "the dictionary was detached, or the thread ended, meanwhile");
    for (const auto& slot : slots_) {
        if (slot->id != 0 && slot->body_in && !slot->error) slot->error = named(why, *slot);
    }
    for (const auto& [id, link] : links_) {
        if (link->state == LinkState::greeting || link->state == LinkState::broken) send_farewell(*link);
        fail_link(*link, why);
    }
}

}  // namespace ddict
