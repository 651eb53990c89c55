// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One shard of the dictionary: the manager's logic as a deterministic state machine. Requests come in as
// transport events, replies go out through the transport; pairs live in the pool. No I/O, no clock, no
// threads.
//
// A request that fits into one message is answered before its event returns. A large put reserves its block
// first and has the body received straight into it; the pair becomes visible when the body is complete. A
// large get is sent straight from its block, which stays pinned until the transport lets it go, whatever
// happens to the key meanwhile. Large operands of other verbs are received into private memory, and the
// request takes effect when they are complete. Nothing a peer sends is trusted: what makes no sense is
// counted and ignored.
//
//   shard.cpp      events, sessions, and what is not about pairs
//   transfers.cpp  replies and bodies
//   outcomes.cpp   requests that come again
//   pairs.cpp      put get contains erase pop clear
//   room.cpp       large puts that wait until pairs have been moved
//   atomics.cpp    compare_and_swap fetch_add append
//   scans.cpp      scan
//   batches.cpp    batch_get batch_put batch_erase
//   waits.cpp      wait_for
//   broadcasts.cpp broadcast_put broadcast_erase
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ddict/stats.h>

#include "core/batch.h"
#include "core/directory.h"
#include "core/transport.h"
#include "core/wire.h"
#include "manager/broadcast_keys.h"
#include "manager/call.h"
#include "manager/operation_times.h"
#include "manager/private_memory.h"
#include "manager/relay.h"
#include "manager/sessions.h"
#include "manager/waiting.h"
#include "shm/pool.h"

namespace ddict::manager {

struct ShardOptions {
    std::uint32_t ucx_version = 0;   // clients with another one are refused
    std::uint64_t session_seed = 0;  // of the numbers that sessions get; unpredictable in production
    std::int32_t pid = 0;            // for statistics
    Nanoclock clock = nullptr;       // for statistics; null: nothing is timed
};

class Shard final : public TransportEvents {
  public:
    /// `pool` and `transport` must outlive the shard.
    Shard(shm::Pool& pool, Transport& transport, const ShardOptions& options);

    /// Where the other managers are, for clients that ask, and how to ask them. Both must outlive the shard.
    /// Without a relay there are no broadcasts.
    void set_directory(const DirectoryView* directory, Relay* relay = nullptr) {
        directory_ = directory;
        relay_ = relay;
    }
    void on_relayed(std::uint64_t tag, const Result<Reply>& outcome);

    /// A client has asked for the end of the dictionary; the request has been answered.
    bool shutdown_requested() const { return shutdown_requested_; }
    /// Tells all sessions that this manager ends, and whether the dictionary ends with it.
    void say_farewell(bool with_dictionary);
    /// Those with a connection.
    std::size_t sessions() const { return sessions_.connected(); }
    /// Those, and the ones whose connection broke not long ago.
    std::size_t sessions_remembered() const { return sessions_.size(); }
    /// What is remembered of requests whose reply may not have arrived yet: values that were popped, and
    /// bytes outside the pool.
    std::size_t values_held() const { return values_held_; }
    std::size_t status_bytes_held() const { return status_bytes_held_; }
    /// Requests that came again and were answered from memory.
    std::uint64_t repeated_requests() const { return counters_.repeated_requests; }
    /// Clients that could not be answered, for a reason of this process: the number, and the last reason.
    std::uint64_t unreachable_clients() const { return counters_.unreachable_clients; }
    const Error& why_unreachable() const { return why_unreachable_; }
    /// More of them, that have not come as far as a greeting.
    void count_unreachable(std::uint64_t count, const Error& why) {
        counters_.unreachable_clients += count;
        why_unreachable_ = why;
    }
    /// Messages that were not for the shard, and that nobody else wanted: for statistics.
    void count_rejected(std::uint64_t messages) { counters_.rejected_messages += messages; }
    /// Greetings and farewells of those that do not know the dictionary; rejected messages, too.
    std::uint64_t unproven_greetings() const { return unproven_greetings_; }
    /// Large values on their way in or out.
    std::size_t bodies_in_flight() const { return transfers_.size() - free_transfers_.size(); }
    std::size_t broadcasts_under_way() const { return broadcasts_.size() - free_broadcasts_.size(); }
    const BroadcastKeys& broadcast_keys() const { return broadcast_keys_; }
    /// Whether a body's event is this shard's, and not that of another user of the same transport.
    static bool owns(std::uint64_t tag) { return (tag & transfer_tag) != 0; }
    const WaitingRequests& waiting() const { return waiting_; }
    /// Of requests under way, outside the pool.
    std::size_t private_bytes() const { return memory_.used_bytes() - status_bytes_held_; }

    /// Whether time matters to it at present.
    bool needs_tick() const { return !waiting_.empty() || !broken_.empty() || !seeking_room_.empty(); }
    /// Ends what has waited for too long, and forgets clients that have not come back. Returns when it wants
    /// to be called again, at the latest. To be called after events, if needs_tick().
    Time tick(Time now);

    void on_message(Bytes head, const IncomingBody& body) override;
    void on_body_received(std::uint64_t tag, bool ok) override;
    void on_body_sent(std::uint64_t tag, bool ok) override;
    void on_peer_lost(PeerId peer, const Error& why) override;

  private:
    using Buffer = PrivateMemory::Buffer;
    static constexpr std::uint64_t transfer_tag = std::uint64_t{1} << 63;

    /// A body on its way: of a put into `reserved`, of an operand into `buffer` behind its key, or out of
    /// `pinned` or `buffer`.
    struct Transfer {
        wire::RequestHeader request;
        shm::Block* reserved = nullptr;
        const shm::Block* pinned = nullptr;
        Buffer buffer;
    };

    /// A put whose block has to be made room for.
    struct SeekingRoom {
        wire::RequestHeader request;
        std::string key;
        std::uint64_t body_token = 0;
    };

    /// One that children have been asked to pass on.
    struct Broadcast {
        wire::RequestHeader request;
        std::string key;
        std::uint64_t version = 0;
        const shm::Block* pinned = nullptr;       // what is passed on; null: the key is erased
        std::uint32_t children = 0;               // that have not answered yet
        Errc code{};                              // the first error
        std::uint32_t failed_manager = 0;         // whose it is
        std::vector<wire::RequestHeader> joined;  // older broadcasts of the key, which end with this one
    };
    /// Of a batch; the bytes are those of the request.
    struct Item {
        std::uint64_t hash;
        Bytes key;
        Bytes value;
        std::uint16_t value_type;
    };

    // shard.cpp
    void reject(std::uint64_t body_token);
    void execute(Call& call);
    void dispatch(const Call& call);
    void on_hello(const Call& call);
    void on_farewell(const Call& call);
    bool is_proven(const Call& call, const wire::Hello& hello);
    Errc refusal_of(const wire::Hello& hello);
    void answer_greeting(const Call& call, const wire::Hello& hello);
    void refuse_greeting(const Call& call, const wire::Hello& hello, Errc refusal);
    Result<PeerId> reach(const wire::Hello& hello);
    bool make_room_for_session();
    void end_session(Session& session);
    void break_session(Session& session);
    Time forget_broken_sessions(Time now);
    void on_stats(const Call& call);
    void on_directory(const Call& call);
    void on_freeze(const Call& call);
    ManagerStats statistics(PeerId asking) const;

    // outcomes.cpp
    bool is_new(Session& session, Call& call);
    void let_go_of_last(Session& session, std::uint64_t request);
    bool is_still_new(const Call& call);
    void repeat(const Call& call, const Outcome& outcome);
    void repeat_statuses(const Call& call, const Outcome& outcome);
    /// To be called with every reply, before it is sent.
    void remember(const Call& call, const wire::ReplyHeader& header) {
        if (call.outcome != nullptr) call.outcome->set_answer(call.header.request, header);
    }
    void remember_value(const Call& call, const shm::Block& block);
    void remember_statuses(const Call& call, Bytes statuses);
    void remember_under_way(const wire::RequestHeader& request);
    /// The client has the reply, or does not want it any more.
    void let_go(Session& session, Outcome& outcome) {
        if (outcome.holds_memory()) give_up_memory(session, outcome);
    }
    void give_up_memory(Session& session, Outcome& outcome);
    bool let_go_of_values();
    bool has_made_room_after(const Error& error);
    Result<void> store(const Call& call, Bytes value) {
        return store(call.key, call.hash, call.header.value_type, call.header.checkpoint, value);
    }
    Result<void> store(Bytes key, std::uint64_t hash, std::uint16_t value_type, std::uint64_t checkpoint,
                       Bytes value) {
        Result<void> stored = pool_.put(key, hash, value_type, checkpoint, value);
        if (!stored && has_made_room_after(stored.error()))
            stored = pool_.put(key, hash, value_type, checkpoint, value);
        return stored;
    }
    Result<shm::Block*> reserve(const Call& call, std::uint64_t value_bytes);

    // pairs.cpp
    /// Why the pair must not be changed now; Errc{} if it may.
    Errc refusal_of_change(wire::Verb verb, Bytes key) const;
    void on_put(const Call& call);
    void receive_pair(const Call& call);
    void finish_put(const Call& call, shm::Block* block);
    bool condition_holds(std::uint16_t flags, Bytes key, std::uint64_t hash) const;
    void on_get(const Call& call);
    void on_contains(const Call& call);
    void on_erase(const Call& call);
    void on_pop(const Call& call);
    void on_clear(const Call& call);

    // room.cpp
    bool seek_room(const Call& call);
    void go_on_seeking_room();
    void stop_seeking_room(std::uint64_t session);

    // atomics.cpp
    void on_compare_and_swap(const Call& call);
    void on_fetch_add(const Call& call);
    void on_append(const Call& call);

    // scans.cpp
    void on_scan(const Call& call);

    // batches.cpp
    bool read_batch(const Call& call);
    void on_batch(const Call& call);
    void get_items(std::size_t begin, std::size_t end, wire::ItemWriter& results);
    void put_items(std::size_t begin, std::size_t end, std::uint64_t checkpoint, wire::ItemWriter& results);
    void erase_items(std::size_t begin, std::size_t end, wire::ItemWriter& results);

    // waits.cpp
    void on_wait_for(const Call& call);
    bool end_wait(const wire::RequestHeader& header, PeerId peer, const shm::Block& block, Bytes expected);
    void wake(Bytes key, std::uint64_t hash);
    /// To be called after every write of a pair.
    void written(Bytes key, std::uint64_t hash) {
        if (!waiting_.empty()) wake(key, hash);
    }

    // broadcasts.cpp
    bool admits_broadcast(const Call& call);
    bool is_overtaken(const wire::RequestHeader& header, Bytes key);
    void join_newer(const Call& call);
    void on_broadcast_put(const Call& call);
    void finish_broadcast_put(Call call, shm::Block* block);
    void fail_to_store(const wire::RequestHeader& header, Bytes key, std::uint64_t hash, const Error& error);
    void on_broadcast_erase(const Call& call);
    void start_broadcast(const wire::RequestHeader& header, Bytes key, std::uint64_t hash, Errc code);
    void end_broadcast(const wire::RequestHeader& request, Errc code, std::uint32_t failed_manager);
    std::uint32_t new_broadcast();

    // transfers.cpp
    Call call_of(const wire::RequestHeader& request);
    void reply(const Call& call, std::uint64_t argument = 0);
    void refuse(const Call& call, Errc code);
    void refuse(const Call& call, const Error& error);
    void refuse_type(const Call& call, std::uint16_t type, std::uint64_t bytes);
    bool reply_pair(const Call& call, const shm::Block& block);
    void send_pair(const Call& call, const shm::Block& block);
    void send_large_pair(const Call& call, const wire::ReplyHeader& header, const shm::Block& block);
    void send_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument);
    void reply_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument);
    void reply_copy(const Call& call, Bytes value, std::uint64_t argument);
    void send_reply(PeerId peer, const wire::ReplyHeader& header, Bytes inline_value = {});
    void receive_into(shm::Block& block, const Call& call);
    void receive_operand(const Call& call);
    bool has_room_for_body() const { return bodies_in_flight() < limits::bodies_in_flight_max; }
    std::uint64_t start_transfer(Transfer transfer);
    Transfer end_transfer(std::uint64_t tag);

    /// A session whose connection broke.
    struct Broken {
        std::uint64_t session;
        std::uint32_t breaks;          // of it, this one included: it may have been mended since
        std::optional<Time> deadline;  // counts from the first tick
    };

    shm::Pool& pool_;
    Transport& transport_;
    ShardOptions options_;
    const DirectoryView* directory_ = nullptr;
    Relay* relay_ = nullptr;
    PrivateMemory memory_;
    Sessions sessions_;
    std::deque<Broken> broken_;          // the oldest first
    std::size_t values_held_ = 0;        // by outcomes
    std::size_t status_bytes_held_ = 0;  // by outcomes
    Error why_unreachable_;
    std::uint64_t unproven_greetings_ = 0;
    WaitingRequests waiting_;
    BroadcastKeys broadcast_keys_;
    std::vector<std::unique_ptr<Broadcast>> broadcasts_;
    std::vector<std::uint32_t> free_broadcasts_;
    std::uint64_t broadcast_version_ = 0;  // of the last broadcast that began here
    std::deque<SeekingRoom> seeking_room_;
    std::vector<Transfer> transfers_;
    std::vector<std::uint32_t> free_transfers_;
    std::vector<std::byte> head_;  // scratch of head_bytes_max: a reply being put together
    std::vector<Item> items_;      // scratch: a batch
    OperationTimes times_;
    ManagerStats counters_;  // of which only the counts of events are used
    bool frozen_ = false;
    bool shutdown_requested_ = false;
};

/// Whether a pair has this value. Plain bytes can be read as any type, and anything as plain bytes.
inline bool has_value(const shm::Block& block, std::uint16_t value_type, Bytes value) {
    const bool types_agree = block.value_type() == value_type || block.value_type() == 0 || value_type == 0;
    return types_agree && block.value_bytes() == value.size() &&
           (value.empty() || std::memcmp(block.value().data(), value.data(), value.size()) == 0);
}

/// The header of the reply to a request, for success and without a value.
inline wire::ReplyHeader reply_header(const wire::RequestHeader& request) {
    wire::ReplyHeader header;
    header.verb_and_reply_bit = static_cast<std::uint8_t>(request.verb) | wire::reply_bit;
    header.request = request.request;
    return header;
}

}  // namespace ddict::manager
