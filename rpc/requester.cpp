// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/requester.h"

#include <algorithm>
#include <exception>
#include <string>

#include "base/assert.h"
#include "rpc/reply_errors.h"

namespace ddict {
namespace {

bool is_reply_header(const wire::ReplyHeader& header) {
    const auto verb = static_cast<std::uint8_t>(header.verb_and_reply_bit & ~wire::reply_bit);
    return header.version == wire::protocol_version && (header.verb_and_reply_bit & wire::reply_bit) != 0 &&
           wire::is_verb(verb) && header.flags == 0 && header.status <= errc_last &&
           header.value_bytes <= limits::value_bytes_max;
}

bool answers(const wire::ReplyHeader& header, wire::Verb verb) {
    return header.verb_and_reply_bit == (static_cast<std::uint8_t>(verb) | wire::reply_bit);
}

/// Asks the sink for room. What it throws ends here: it comes from a user's type, or the value is larger than
/// the memory there is, and above are a transport's events that must be delivered to their end.
Result<MutableBytes> room_in(ValueSink& sink, std::uint64_t bytes, std::uint16_t value_type) {
    try {
        return sink.prepare(bytes, value_type);
    } catch (const std::exception& e) {
        return Error(Errc::system,
                     "cannot make memory for the value of " + std::to_string(bytes) + " bytes: " + e.what());
    }
}

}  // namespace

Requester::Requester(Transport& transport, const Credentials& credentials, LostManagers* lost)
    : transport_(transport),
      credentials_(credentials),
      lost_(lost),
      sequence_(credentials.sequence_start & ((std::uint64_t{1} << sequence_start_bits) - 1)) {
    message_.resize(limits::head_bytes_max);
}

Requester::Link* Requester::look_up_link(std::uint32_t manager) const {
    const auto found = links_.find(manager);
    return found == links_.end() ? nullptr : last_link_ = found->second.get();
}

void Requester::add_manager(const DirectoryEntry& entry) {
    auto& link = links_[entry.manager];
    if (link == nullptr) link = std::make_unique<Link>();
    if (link->state != LinkState::closed && link->entry.address != entry.address) {
        fail_link(*link, Error(Errc::manager_lost, "it was started again elsewhere"));
    }
    if (link->entry.address != entry.address) link->ended = false;
    link->entry = entry;
    link->same_host = entry.process.host_key == transport_.identity().host_key;
}

void Requester::add_slot() {
    DDICT_ASSERT(slots_.size() < limits::operations_in_flight_max, "too many operations in flight");
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.push_back(std::make_unique<Slot>());
}

Requester::OperationId Requester::begin(const Request& request, Time now, Time deadline) {
    now_ = now;
    Link* link = find_link(request.manager);
    DDICT_ASSERT(link != nullptr, "operation on a manager that was never added");
    DDICT_ASSERT(request.key.size() <= limits::key_bytes_max, "key above the limit");
    if (free_slots_.empty()) add_slot();
    const std::uint32_t place = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = *slots_[place];
    slot.id = (++sequence_ << wire::place_bits) | place;
    slot.request = request;
    slot.link = link;
    slot.peer = no_peer;
    slot.session = 0;
    slot.deadline = deadline;
    slot.queued = slot.resend = slot.replied = slot.body_out = slot.body_in = false;
    slot.pending = true;
    slot.error.reset();
    slot.reply = {};
    if (link->pending++ == 0) {
        link->heard = now;
        link->pinged.reset();
        link->give_up.reset();
        // Nobody has waited for the answer to the greeting since; it may be lost.
        const bool stale = link->state == LinkState::greeting && !link->same_host &&
                           now - link->greeted >= limits::silence_until_lost;
        if (stale || link->state == LinkState::broken) drop_connection(*link);
    }
    if (link->state == LinkState::open) {
        send_request(slot);
    } else if (!ends_at_once(slot)) {
        enqueue(slot);
        if (link->state == LinkState::closed) open_link(*link, now);
    }
    return slot.id;
}

/// Of an operation whose manager has no connection: whether what is known already is its outcome.
bool Requester::ends_at_once(Slot& slot) {
    Link& link = *slot.link;
    if (link.ended) {
        fail(slot, dictionary_ended());
        return true;
    }
    if (link.pending == 1) link.probe_until.reset();
    if (lost_ == nullptr || !lost_->any() || ends_manager(slot.request.verb)) return false;
    Error why;
    const LostManagers::Look look = lost_->look(link.entry.manager, now_, why);
    if (look == LostManagers::Look::lost) fail(slot, why);
    // What waits already has its own time.
    if (look == LostManagers::Look::probe && link.pending == 1)
        link.probe_until = now_ + limits::lost_probe_patience;
    return look == LostManagers::Look::lost;
}

Result<Reply> Requester::take(OperationId id) {
    Slot& slot = slot_of(id);
    DDICT_ASSERT(slot.finished(), "operation is not done");
    slot.id = 0;
    free_slots_.push_back(wire::place_of(id));
    if (slot.error) return *slot.error;
    return slot.reply;
}

void Requester::give_up(OperationId id) {
    Slot& slot = slot_of(id);
    if (!slot.finished()) end_overdue(slot);
}

void Requester::enqueue(Slot& slot) {
    if (slot.queued) return;
    slot.queued = true;
    slot.link->queued.push_back(slot.id);
}

void Requester::send_queued(Link& link) {
    const std::vector<OperationId> queued = std::exchange(link.queued, {});
    for (const OperationId id : queued) {
        Slot* slot = find_slot(id);
        if (slot == nullptr) continue;
        slot->queued = false;
        if (!slot->replied) send_or_fail(*slot);
    }
}

void Requester::send_or_fail(Slot& slot) {
    const bool forgotten = slot.session != 0 && slot.session != slot.link->session;
    if (forgotten && wire::is_cached(slot.request.verb)) {
        fail(slot, Error(Errc::manager_lost,
                         "the connection broke, and the manager has forgotten what came of this request")
                       .set_state(ManagerState::answered));
    } else if (slot.body_out || slot.body_in) {
        slot.resend = true;
    } else {
        send_request(slot);
    }
}

void Requester::resend_if_free(Slot& slot) {
    if (!slot.resend || slot.body_out || slot.body_in) return;
    slot.resend = false;
    if (!slot.replied) send_or_fail(slot);
}

void Requester::send_request(Slot& slot) {
    const Request& request = slot.request;
    slot.peer = slot.link->peer;
    slot.session = slot.link->session;
    wire::RequestHeader header;
    header.verb = request.verb;
    header.key_bytes = static_cast<std::uint16_t>(request.key.size());
    header.value_type = request.value_type;
    header.flags = request.flags;
    header.session = slot.link->session;
    header.request = slot.id;
    header.checkpoint = request.checkpoint;
    header.value_bytes = request.value.size();
    header.argument = request.argument;
    if (wire::rule_of(request.verb).waits) {
        header.argument = std::min(header.argument, wait_argument(slot.deadline - now_));
    }

    if (request.value.size() <= limits::inline_value_bytes_max)
        return transport_.send(slot.peer, message_of(header, request.key, request.value));
    slot.body_out = true;
    transport_.send(slot.peer, message_of(header, request.key, {}), request.value, slot.id);
}

Bytes Requester::message_of(const wire::RequestHeader& header, Bytes key, Bytes value) {
    const std::size_t bytes = sizeof header + key.size() + value.size();
    DDICT_ASSERT(bytes <= message_.size(), "a message is above the limit");
    std::byte* at = message_.data();
    std::memcpy(at, &header, sizeof header);
    at += sizeof header;
    if (!key.empty()) std::memcpy(at, key.data(), key.size());
    if (!value.empty()) std::memcpy(at + key.size(), value.data(), value.size());
    return Bytes(message_).first(bytes);
}

void Requester::reject(const IncomingBody& body) {
    ++rejected_messages_;
    if (body.token != 0) transport_.discard_body(body.token);
}

void Requester::on_message(Bytes head, const IncomingBody& body) {
    wire::ReplyHeader header;
    if (head.size() < sizeof header) return reject(body);
    std::memcpy(&header, head.data(), sizeof header);
    if (!is_reply_header(header)) return reject(body);
    const Bytes inline_value = head.subspan(sizeof header);

    if ((header.request & wire::connection_request_bit) != 0) {
        if (body.token != 0 || header.value_bytes != 0) return reject(body);
        return on_link_reply(header);
    }
    Slot* slot = find_slot(header.request);
    if (slot == nullptr || slot->replied) {  // the answer to an operation that was given up
        if (body.token != 0) transport_.discard_body(body.token);
        return;
    }
    if (!answers(header, slot->request.verb) || slot->peer == no_peer) return reject(body);
    // A last word from a connection that broke; its body cannot be had any more.
    if (body.token != 0 && slot->link->peer == no_peer) return transport_.discard_body(body.token);
    heard_from(*slot->link);
    if (header.status != 0) {
        if (body.token != 0) transport_.discard_body(body.token);
        slot->error = named(error_of(header, slot->request), *slot, true);
        slot->replied = true;
        return update_pending(*slot);
    }
    slot->reply = {
        .value_bytes = header.value_bytes, .value_type = header.value_type, .argument = header.argument};
    slot->replied = true;
    const bool awaits_value = slot->request.sink != nullptr;
    if (awaits_value || header.value_bytes != 0 || body.present() || !inline_value.empty())
        accept_value(*slot, header, inline_value, body);
    update_pending(*slot);
}

/// The answer to a greeting or a ping of a link. It may be late, and belong to one that was given up.
void Requester::on_link_reply(const wire::ReplyHeader& header) {
    Link* link = find_link(static_cast<std::uint32_t>(header.request) & ((1U << wire::manager_bits) - 1));
    if (link != nullptr && answers(header, wire::Verb::goodbye)) return on_manager_farewell(*link, header);
    const bool current = link != nullptr && link->hello == header.request && link->state != LinkState::closed;
    const bool greeting = current && link->state == LinkState::greeting;
    if (!current || !answers(header, greeting ? wire::Verb::hello : wire::Verb::ping)) {
        const bool is_answer = answers(header, wire::Verb::hello) || answers(header, wire::Verb::ping);
        if (!is_answer) ++rejected_messages_;
        if (is_answer && link != nullptr) on_late_answer(*link, header.request);
        return;
    }
    heard_from(*link);
    link->asked_since = 0;
    if (greeting) on_hello_reply(*link, header);
}

void Requester::accept_value(Slot& slot, const wire::ReplyHeader& header, Bytes inline_value,
                             const IncomingBody& body) {
    const std::uint64_t arrived = body.present() ? body.bytes : inline_value.size();
    if (arrived != header.value_bytes) {
        if (body.token != 0) transport_.discard_body(body.token);
        const Error error(Errc::protocol, "the length of the value is not as announced");
        slot.error = named(error, slot);
        return fail_link(*slot.link, error);
    }
    if (slot.request.sink == nullptr || (arrived == 0 && !answers(header, wire::Verb::get))) {
        if (body.token != 0) transport_.discard_body(body.token);
        return;
    }
    const Result<MutableBytes> room = room_in(*slot.request.sink, arrived, header.value_type);
    if (!room || room->size() != arrived) {
        if (body.token != 0) transport_.discard_body(body.token);
        slot.error = named(room ? Error(Errc::invalid_argument,
                                        "the sink returned a buffer of " + std::to_string(room->size()) +
                                            " bytes, expected " + std::to_string(arrived))
                                : room.error(),
                           slot);
        return;
    }
    if (body.token != 0) {
        slot.body_in = true;
        transport_.receive_body(slot.link->peer, body.token, *room, slot.id);
    } else if (arrived > 0) {
        std::memcpy(room->data(), body.present() ? body.in_memory.data() : inline_value.data(), arrived);
    }
}

void Requester::on_hello_reply(Link& link, const wire::ReplyHeader& header) {
    if (header.status != 0) {
        Error error(static_cast<Errc>(header.status));
        error.set_state(ManagerState::answered);
        if (error.code == Errc::dictionary_gone) {
            error.set_detail("the manager at its address is of another dictionary");
        } else if (error.code == Errc::busy) {
            error.set_detail("the manager has as many sessions as it takes");
        } else if (error.code == Errc::incompatible) {
            error.set_detail("this client runs UCX " + std::to_string(credentials_.ucx_version >> 16) + "." +
                             std::to_string(credentials_.ucx_version & 0xffff) +
                             ", the manager another version");
        }
        fail_link(link, error);
        return;
    }
    link.session = header.argument;
    link.state = LinkState::open;
    link.opened = now_;
    link.give_up.reset();
    link.probe_until.reset();
    link.why.reset();
    link.refusals = 0;
    link.too_slow = 0;
    if (lost_ != nullptr && lost_->any()) lost_->forget(link.entry.manager);
    send_queued(link);
}

/// The manager ends in good order. Whoever could know the session's number is that manager.
void Requester::on_manager_farewell(Link& link, const wire::ReplyHeader& header) {
    if (link.session == 0 || link.session != header.argument) {
        ++rejected_messages_;
        return;
    }
    if (static_cast<Errc>(header.status) != Errc::dictionary_gone) {
        return fail_link(link, Error(Errc::manager_lost, "it has ended: its node launcher is gone")
                                   .set_state(ManagerState::ended));
    }
    link.ended = true;
    if (lost_ != nullptr) lost_->note_end(dictionary_ended());
    for (const auto& slot : slots_) {
        if (slot->id == 0 || slot->link != &link || slot->request.verb != wire::Verb::shutdown) continue;
        slot->replied = true;  // that is what was asked for
        update_pending(*slot);
    }
    fail_link(link, dictionary_ended());
}

void Requester::on_body_received(std::uint64_t tag, bool ok) {
    Slot* slot = find_slot(tag);
    if (slot == nullptr) return;
    Link& link = *slot->link;
    slot->body_in = false;
    if (!ok && !slot->error) {
        const Error error(Errc::manager_lost, "the connection broke while the value was on its way");
        if (link.state == LinkState::closed) {
            slot->error = named(error, *slot);
        } else {  // the manager still has it, or can read it again
            slot->replied = false;
            slot->reply = {};
            if (link.state == LinkState::open && link.peer == slot->peer) {
                break_link(link, error);
            } else if (link.state == LinkState::open) {
                send_or_fail(*slot);
            } else {
                enqueue(*slot);
            }
        }
    }
    resend_if_free(*slot);
    update_pending(*slot);
}

void Requester::on_body_sent(std::uint64_t tag, bool) {
    // Whether the value arrived is what the reply tells; here it only matters that the caller's memory is
    // free again.
    if (Slot* slot = find_slot(tag)) {
        slot->body_out = false;
        resend_if_free(*slot);
        update_pending(*slot);
    }
}

void Requester::on_peer_lost(PeerId peer, const Error& why) {
    const auto found = links_by_peer_.find(peer);
    if (found == links_by_peer_.end()) return;
    Link& link = *found->second;
    disconnect(link);
    if (link.pending == 0) return drop_connection(link);  // the next operation will show
    // Who was never reached has probably gone for good: a few tries, for one that a bad moment has hit.
    const bool was_reached = link.opened != Time{};
    const bool hopeful = was_reached || ++link.refusals < refusals_max;
    if (hopeful) return break_link(link, why);
    lose_link(link, why);
}

void Requester::fail(Slot& slot, const Error& error) {
    slot.error = named(error, slot);
    slot.replied = true;
    update_pending(slot);
}

Time Requester::tick(Time now) {
    now_ = now;
    Time next = Time::max();
    for (const auto& slot : slots_) {
        if (slot->id == 0 || slot->finished()) continue;
        if (now < slot->deadline || takes_grace(*slot)) {
            next = std::min(next, slot->deadline);
        } else {
            end_overdue(*slot);
        }
    }
    for (const auto& [id, link] : links_) {
        if (link->pending == 0 || link->state == LinkState::closed) continue;
        if (const std::optional<Time> again = look_after(*link, now)) next = std::min(next, *again);
    }
    return next;
}

/// The manager of a wait says itself that it is over, at its deadline: its word is listened for a little
/// longer. Once: the argument says whether there is time left to wait.
bool Requester::takes_grace(Slot& slot) const {
    Request& request = slot.request;
    if (!wire::rule_of(request.verb).waits || slot.session == 0 || slot.replied || request.argument == 0)
        return false;
    const Time::duration tenth = std::chrono::microseconds(request.argument / 10);
    slot.deadline += std::clamp<Time::duration>(tenth, limits::wait_grace_min, limits::wait_grace_max);
    request.argument = 0;
    return now_ < slot.deadline;
}

void Requester::end_overdue(Slot& slot) {
    Link& link = *slot.link;
    if (!slot.replied) {
        Error late(Errc::timeout, overdue_text(slot.request, slot.session != 0));
        late.set_state(ManagerState::silent);
        if (slot.session == 0 && link.why && link.why->detail[0] != '\0')
            late.set_detail(std::string(late.detail.data()) + ": " + link.why->detail.data());
        fail(slot, late);
    } else if (slot.body_in && !slot.error) {
        slot.error = named(Error(Errc::timeout, "the value did not arrive in time"), slot);
    }
    // Only the end of its connection gets the caller's memory back; the transport reports it from its poll().
    // If the operation's connection has been given up already, the link may have a new one: leave that alone.
    if ((!slot.body_out && !slot.body_in) || link.peer != slot.peer) return;
    const Error why(Errc::timeout, "the connection was given up with another operation's deadline");
    link.pending > 1 && link.state == LinkState::open ? break_link(link, why) : fail_link(link, why);
}

std::string Requester::describe(std::uint32_t manager) const {
    const Link* link = find_link(manager);
    return link == nullptr || link->peer == no_peer ? std::string() : transport_.describe(link->peer);
}

}  // namespace ddict
