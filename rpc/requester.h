// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The client side of the protocol: requests in, messages out; messages in, replies out. No I/O, no clock, no
// threads: the caller says what time it is and moves the transport along. Libclient drives one per thread
// over UCX, a manager drives one while it comes up, and the simulation drives many over a simulated network.
//
// Life of an operation: begin() -> (hello, if this is the first one to its manager) -> request -> reply, and
// the body of a large value in either direction -> done(). Invariant: when done() is true nothing refers to
// the caller's key, value or sink any more; an operation that passes its deadline while a body is on its way
// therefore gives up the connection to that manager.
//
// When a connection breaks, or is given up, while others wait for answers, the manager is greeted again and
// asked to go on with the session; what has not been answered is sent once more, with the same number. The
// manager remembers what it has executed, so each takes effect once. If it does not answer for
// silence_until_lost, or has forgotten the session, what cannot be repeated is manager_lost. A manager that
// ends in good order says so: then what waits for it is dictionary_gone.
//
// Invariant of every error: if Error::in_doubt is false, the change was not made; if it is true, it was sent.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <ddict/value_sink.h>

#include "base/assert.h"
#include "base/secret.h"
#include "cluster/directory.h"
#include "rpc/lost_managers.h"
#include "rpc/transport.h"
#include "wire/messages.h"

namespace ddict {

using Time = std::chrono::steady_clock::time_point;

struct Request {
    wire::Verb verb = wire::Verb::ping;
    std::uint32_t manager = 0;
    Bytes key;
    Bytes value;  // stays the caller's; must not change until the operation is done
    std::uint16_t value_type = 0;
    std::uint64_t checkpoint = 0;
    std::uint64_t argument = 0;
    std::uint16_t flags = 0;
    ValueSink* sink = nullptr;  // may be null: the value of the reply is then dropped
};

struct Reply {
    std::uint64_t value_bytes = 0;
    std::uint16_t value_type = 0;
    std::uint64_t argument = 0;
};

/// Who attaches, and to what.
struct Credentials {
    std::uint64_t dictionary_id = 0;
    Secret secret{};
    std::uint32_t ucx_version = 0;
    // Where the numbers of requests begin; the lower 46 bits count. Unpredictable in production: who does not
    // see the requests cannot make up answers to them.
    std::uint64_t sequence_start = 0;
};

using wire::operation_of;
/// Who asks managers to end has to hear of each whether it has: that another says the dictionary has ended is
/// no answer.
constexpr bool ends_manager(wire::Verb verb) noexcept {
    return wire::rule_of(verb).effect == wire::Effect::end;
}
/// What a wait_for asks of its manager: microseconds.
std::uint64_t wait_argument(Time::duration left) noexcept;
/// Why a manager refuses to change a pair, alone or in a batch, where the code does not say it; else empty.
std::string_view reason_of_refusal(Errc code) noexcept;

class Requester final : public TransportEvents {
  public:
    using OperationId = std::uint64_t;

    /// `transport` must outlive the requester, and have no other one: managers know a client by its address.
    /// `lost`, which must outlive it too, is what the requesters of a process share; may be null.
    Requester(Transport& transport, const Credentials& credentials, LostManagers* lost = nullptr);

    /// Tells where a manager is. Needed before the first begin() to it; told again, it replaces what was
    /// known.
    void add_manager(const DirectoryEntry& entry);
    /// What add_manager() was told; null if nothing.
    const DirectoryEntry* known_manager(std::uint32_t manager) const {
        const Link* link = find_link(manager);
        return link == nullptr ? nullptr : &link->entry;
    }

    /// Starts an operation. Requires a known manager, a key within the limits, and fewer than
    /// limits::operations_in_flight_max operations in flight. Key, value and sink stay the caller's until
    /// done().
    OperationId begin(const Request& request, Time now, Time deadline);
    bool done(OperationId id) const { return slot_of(id).finished(); }
    /// The outcome; forgets the operation. Requires done().
    Result<Reply> take(OperationId id);
    /// Ends an operation as if its deadline were now; it is done when the transport has let go of its bodies.
    void give_up(OperationId id);
    /// Whether it is a change that has been sent, so that it may take effect.
    bool may_take_effect(OperationId id) const {
        const Slot& slot = slot_of(id);
        return slot.session != 0 && wire::is_change(slot.request.verb);
    }

    /// Ends operations whose deadline has passed, and asks silent managers on other hosts whether they live.
    /// Returns when it wants to be called again, at the latest. To be called after what has arrived was
    /// delivered: a manager that was asked counts as lost when its answer is not there by then.
    Time tick(Time now);

    /// Says goodbye to every manager and closes the connections. What is under way ends with not_attached; it
    /// is done when the transport has let go of its bodies, which it does soon.
    void leave();

    /// How this client reaches a manager, for people; empty if there is no connection.
    std::string describe(std::uint32_t manager) const;
    /// Messages that were no reply to anything this requester can have asked.
    std::uint64_t rejected_messages() const { return rejected_messages_; }

    void on_message(Bytes head, const IncomingBody& body) override;
    void on_body_received(std::uint64_t tag, bool ok) override;
    void on_body_sent(std::uint64_t tag, bool ok) override;
    void on_peer_lost(PeerId peer, const Error& why) override;

  private:
    /// broken: the connection is gone and will be made anew, to go on with the session if there was one.
    enum class LinkState { closed, greeting, open, broken };
    struct Link {
        DirectoryEntry entry;
        bool same_host = false;
        LinkState state = LinkState::closed;
        PeerId peer = no_peer;
        std::uint64_t session = 0;        // ours; unless open, the one to go on with, or 0
        std::uint64_t hello = 0;          // request number of the hello or ping under way
        std::uint64_t asked_since = 0;    // of the first one since its last answer
        std::uint32_t pending = 0;        // operations that are not finished
        std::vector<OperationId> queued;  // to send once the session is open; some may be over by then
        Time greeted{};                   // when the hello was sent
        Time heard{};                     // when it last said something, or was first asked
        std::optional<Time> pinged;       // when it was asked whether it lives; it has said nothing since
        Time opened{};                    // when it last answered a hello
        Time again{};                     // broken: when to greet it
        std::optional<Time> give_up;      // unless open: when it counts as lost; set at the first look
        std::optional<Time> probe_until;  // it is remembered as lost, and asked again: what waits ends then
        Time looked{};                    // when give_up was last looked at
        unsigned refusals = 0;            // connections that broke before it ever answered
        unsigned too_slow = 0;            // greetings that it has answered too late, or not at all
        std::optional<Error> why;         // the last connection broke, or could not be made
        bool ended = false;               // it has said that the dictionary has ended
    };
    struct Slot {
        OperationId id = 0;  // 0: free
        Request request;
        Link* link = nullptr;
        PeerId peer = no_peer;      // the connection that it was sent through
        std::uint64_t session = 0;  // in which it was sent; 0: it has not been sent yet
        Time deadline{};
        bool pending = false;   // counted in its link
        bool queued = false;    // there
        bool resend = false;    // as soon as the transport has let go of its bodies
        bool replied = false;   // the outcome is known
        bool body_out = false;  // the transport still holds the caller's value
        bool body_in = false;   // the transport still writes into the caller's sink
        std::optional<Error> error;
        Reply reply;
        bool finished() const { return replied && !body_out && !body_in; }
    };

    // Connections that break before the manager has ever answered, until it counts as lost.
    static constexpr unsigned refusals_max = 4;
    // Above the number of a request that belongs to a link, of which the highest bit says so and the lowest
    // are the manager's id, is room for as many numbers again.
    static constexpr unsigned sequence_start_bits = 63 - wire::manager_bits - 1;

    Link* find_link(std::uint32_t manager) const {
        const bool again = last_link_ != nullptr && last_link_->entry.manager == manager;
        return again ? last_link_ : look_up_link(manager);
    }
    Link* look_up_link(std::uint32_t manager) const;
    Slot* find_slot(OperationId id) const {
        const std::uint32_t place = wire::place_of(id);
        Slot* slot = place < slots_.size() ? slots_[place].get() : nullptr;
        return slot != nullptr && slot->id == id && id != 0 ? slot : nullptr;
    }
    /// Of an operation that begin() has given out.
    Slot& slot_of(OperationId id) const {
        Slot* slot = find_slot(id);
        DDICT_ASSERT(slot != nullptr, "operation is not in flight");
        return *slot;
    }
    void add_slot();
    void open_link(Link& link, Time now);
    void send_hello(Link& link, Time now);
    void send_farewell(Link& link);
    void introduce(Link& link, wire::Verb verb, std::uint64_t session, std::uint64_t request);
    void break_link(Link& link, const Error& why);
    void enqueue(Slot& slot);
    void send_queued(Link& link);
    void send_or_fail(Slot& slot);
    void resend_if_free(Slot& slot);
    void send_request(Slot& slot);
    /// A message put together; there until the next one is.
    Bytes message_of(const wire::RequestHeader& header, Bytes key, Bytes value);
    bool moves_bodies(const Link& link) const;
    void reject(const IncomingBody& body);
    void on_link_reply(const wire::ReplyHeader& header);
    void on_hello_reply(Link& link, const wire::ReplyHeader& header);
    void on_manager_farewell(Link& link, const wire::ReplyHeader& header);
    void on_late_answer(Link& link, std::uint64_t request);
    std::uint64_t latest_request(const Link& link) const;
    std::uint64_t next_link_request(const Link& link);
    void ask_link(Link& link);
    static Time::duration patience_with(const Link& link);
    void send_to_manager(Link& link, wire::Verb verb, std::uint64_t request);
    PeerId disconnect(Link& link);
    bool takes_grace(Slot& slot) const;
    void end_overdue(Slot& slot);
    std::optional<Time> look_after(Link& link, Time now);
    std::optional<Time> check_silence(Link& link, Time now);
    std::optional<Time> try_again(Link& link, Time now);
    static void update_pending(Slot& slot) {
        if (!slot.pending || !slot.finished()) return;
        slot.pending = false;
        --slot.link->pending;
    }
    void accept_value(Slot& slot, const wire::ReplyHeader& header, Bytes inline_value,
                      const IncomingBody& body);
    void fail(Slot& slot, const Error& error);
    void fail_link(Link& link, const Error& why);
    void fail_slots(Link& link, const Error& why);
    void lose_link(Link& link, const Error& why);
    bool ends_at_once(Slot& slot);
    void end_probe(Link& link);
    Error why_unreachable(const Link& link) const;
    void drop_connection(Link& link);
    void heard_from(Link& link) {
        link.heard = now_;
        link.pinged.reset();
    }
    Error named(Error error, const Slot& slot, bool is_reply = false) const;
    bool dictionary_ended_with(const Error& error, const Link& link) const;

    Transport& transport_;
    Credentials credentials_;
    LostManagers* lost_;  // may be null
    std::unordered_map<std::uint32_t, std::unique_ptr<Link>> links_;
    std::unordered_map<PeerId, Link*> links_by_peer_;  // those that have a connection
    mutable Link* last_link_ = nullptr;                // most programs talk to one manager for a while
    std::vector<std::unique_ptr<Slot>> slots_;         // an operation's number says which
    std::vector<std::uint32_t> free_slots_;
    std::uint64_t sequence_;
    std::uint64_t rejected_messages_ = 0;
    std::vector<std::byte> message_;  // scratch: has the size of the longest
    Time now_{};                      // what the caller said last
};

}  // namespace ddict
