// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The operations of one client: each in a slot from begin() to take(), through the loss of connections and to
// its deadline. A request waits in a queue until its connection is open; when that breaks, what has not been
// answered is sent once more, with the same number, after the transport has released its payloads.
//
// Invariants:
// 1. An operation counts in its connection (Connection::operations()) exactly until it is finished.
// 2. When done() is true nothing refers to the caller's key, value or sink any more.
// 3. If Error::in_doubt is false, the change was not made; if it is true, it was sent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/assert.h"
#include "rpc/connection.h"
#include "rpc/connection_table.h"
#include "rpc/request_context.h"

namespace ddict {

using OperationId = std::uint64_t;

class Operations final : public ConnectionUser {
  public:
    /// Both must outlive it.
    Operations(RequestContext& context, const ConnectionTable& connections)
        : context_(context), connections_(connections) {}

    /// See Requester::begin().
    OperationId begin(const Request& request, Time now, Time deadline);
    bool done(OperationId id) const { return get(id).is_finished(); }
    Result<Reply> take(OperationId id);
    void give_up(OperationId id);
    bool may_take_effect(OperationId id) const {
        const Operation& operation = get(id);
        return operation.session != 0 && wire::is_change(operation.request.verb);
    }
    /// Ends operations whose deadline has passed. Returns when the next one is due.
    Time end_overdue();
    /// Nothing goes into the callers' sinks any more; what is on its way there ends with the error.
    void leave(const Error& why);

    /// A message of at least a reply's header, whose request number is none of a session's.
    void on_message(Bytes message, const IncomingPayload& payload);
    void on_payload_received(OperationId id, bool ok);
    void on_payload_sent(OperationId id);

    void on_open(Connection& connection) override;
    void on_broken(Connection& connection) override;
    void on_failed(Connection& connection, const Error& why) override;
    void on_ended(Connection& connection) override;
    bool moves_payloads(const Connection& connection) const override;

  private:
    static constexpr unsigned grace_looks_max = 5;
    struct Operation {
        OperationId id = 0;  // 0: the slot is free
        Request request;
        Connection* connection = nullptr;
        PeerId peer = no_peer;      // that it was sent to
        std::uint64_t session = 0;  // in which it was sent; 0: it has not been sent yet
        Time deadline{};
        bool pending = false;           // counted in its connection
        bool queued = false;            // to be sent once that is open
        bool resend = false;            // as soon as the transport has released its payloads
        bool replied = false;           // the outcome is known
        bool payload_out = false;       // the transport still holds the caller's value
        bool payload_in = false;        // the transport still writes into the caller's sink
        std::uint32_t older_sends = 0;  // over connections that have broken since
        unsigned grace_looks = 0;       // of takes_grace()
        bool puts_back = false;         // a pop that has failed here: its manager is to put the pair back
        std::optional<wire::AskAgain> awaits;  // what its manager has said that it waits for
        std::optional<Error> error;
        Reply reply;

        bool moves_payload() const { return payload_out || payload_in; }
        bool is_finished() const { return replied && !moves_payload(); }
        bool takes_grace(Time now) noexcept;
    };

    Operation* find(OperationId id) const {
        const std::uint32_t slot = wire::slot_of(id);
        Operation* operation = slot < slots_.size() ? slots_[slot].get() : nullptr;
        return operation != nullptr && operation->id == id && id != 0 ? operation : nullptr;
    }
    /// One that begin() has given out.
    Operation& get(OperationId id) const {
        Operation* operation = find(id);
        DDICT_ASSERT(operation != nullptr, "operation is not in flight");
        return *operation;
    }
    void add_slot();
    void enqueue(Operation& operation);
    void send(Operation& operation);
    void send_or_fail(Operation& operation);
    void resend_if_free(Operation& operation);
    void take_value(Operation& operation, const wire::ReplyHeader& header, Bytes inline_value,
                    const IncomingPayload& payload);
    void receive(Operation& operation, std::uint64_t token, MutableBytes into, MutableBytes rest);
    void ask_again(Operation& operation, const wire::ReplyHeader& header);
    bool is_stale_refusal(Operation& operation, const wire::ReplyHeader& header);
    void refuse_value(Operation& operation, const Error& why);
    void ask_to_put_back(Operation& operation) noexcept;
    static void on_put_back(Operation& operation, const wire::ReplyHeader& header);
    void fail(Operation& operation, const Error& error);
    static void fail_without_memory(Operation& operation) noexcept;
    void end_overdue(Operation& operation);
    Error named(const Error& error, const Operation& operation) const;
    static void settle(Operation& operation) {
        if (!operation.pending || !operation.is_finished()) return;
        operation.pending = false;
        operation.connection->remove_operation();
    }

    RequestContext& context_;
    const ConnectionTable& connections_;
    std::vector<std::unique_ptr<Operation>> slots_;  // an operation's number says which
    std::vector<std::uint32_t> free_slots_;
    // What waits for a connection to open; some may be over by then.
    std::unordered_map<const Connection*, std::vector<OperationId>> queues_;
};

}  // namespace ddict
