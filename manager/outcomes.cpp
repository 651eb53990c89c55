// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Requests that come again, because the connection broke before their replies arrived.
#include <algorithm>

#include "manager/shard.h"

namespace ddict::manager {

/// Whether a request that may change something is to be executed. One that has been executed is answered as
/// it was then; one whose place has a later request already is no longer waited for. Notes where the outcome
/// goes.
bool Shard::is_new(Session& session, Call& call) {
    const std::uint64_t request = call.header.request;
    Outcome* outcome = sessions_.outcome_at(session, request);
    if (outcome == nullptr) {
        refuse(call, Errc::busy);
        return false;
    }
    if (request <= outcome->request) {
        repeat(call, *outcome);
        return false;
    }
    let_go(session, *outcome);
    call.outcome = outcome;
    return true;
}

/// A request that changes nothing shows as much as any other that the one before it in its place was
/// answered.
void Shard::let_go_of_last(Session& session, std::uint64_t request) {
    Outcome* last = session.outcomes.at(request);
    if (last != nullptr && request > last->request) let_go(session, *last);
}

/// As is_new, when the body of a request has arrived: meanwhile another copy of it may have been executed.
bool Shard::is_still_new(const Call& call) {
    if (call.outcome == nullptr) return true;
    if (call.header.request <= call.outcome->request) {
        repeat(call, *call.outcome);
        return false;
    }
    let_go(*sessions_.find(call.header.session), *call.outcome);
    return true;
}

void Shard::repeat(const Call& call, const Outcome& outcome) {
    if (call.body_token != 0) transport_.discard_body(call.body_token);
    if (call.header.request < outcome.request || outcome.kind == Outcome::Kind::under_way) return;
    ++counters_.repeated_requests;
    wire::ReplyHeader header = reply_header(call.header);
    switch (outcome.kind) {
        case Outcome::Kind::value:
            return send_pair(call, *outcome.value);
        case Outcome::Kind::statuses:
            return repeat_statuses(call, outcome);
        case Outcome::Kind::forgotten:
            header.status = static_cast<std::uint16_t>(Errc::manager_lost);
            return send_reply(call.peer, header);
        default:
            header.status = outcome.status;
            header.argument = outcome.argument;
            header.argument2 = outcome.argument2;
            return send_reply(call.peer, header);
    }
}

void Shard::repeat_statuses(const Call& call, const Outcome& outcome) {
    const auto items = static_cast<std::size_t>(outcome.argument);
    const std::size_t bytes = items * sizeof(std::uint16_t);
    Buffer buffer = memory_.take(sizeof(wire::ReplyHeader) + bytes);
    if (!buffer) return;  // no answer is the only one left that is not wrong
    const MutableBytes page = buffer.bytes().subspan(sizeof(wire::ReplyHeader));
    if (outcome.statuses) {
        std::copy_n(outcome.statuses.bytes().begin(), bytes, page.begin());
    } else {
        std::fill(page.begin(), page.end(), std::byte{0});
    }
    send_page(call, std::move(buffer), bytes, 0);
}

/// The reply has this pair, which is about to be removed.
void Shard::remember_value(const Call& call, const shm::Block& block) {
    Session* session = sessions_.find(call.header.session);
    if (call.outcome == nullptr || session == nullptr) return;
    pool_.pin(&block);
    call.outcome->request = call.header.request;
    call.outcome->kind = Outcome::Kind::value;
    call.outcome->value = &block;
    ++session->holding;
    ++values_held_;
}

void Shard::remember_statuses(const Call& call, Bytes statuses) {
    Session* session = sessions_.find(call.header.session);
    if (call.outcome == nullptr || session == nullptr) return;
    Outcome& outcome = *call.outcome;
    outcome.request = call.header.request;
    outcome.kind = Outcome::Kind::statuses;
    outcome.argument = statuses.size() / sizeof(std::uint16_t);
    if (std::all_of(statuses.begin(), statuses.end(), [](std::byte b) { return b == std::byte{0}; })) return;
    outcome.statuses = memory_.take(statuses.size());
    if (!outcome.statuses) {
        outcome.kind = Outcome::Kind::forgotten;
        return;
    }
    std::copy(statuses.begin(), statuses.end(), outcome.statuses.bytes().begin());
    status_bytes_held_ += statuses.size();
    ++session->holding;
}

/// The answer will come later, whatever happens to the connection.
void Shard::remember_under_way(const wire::RequestHeader& request) {
    const Call call = call_of(request);
    if (call.outcome == nullptr || call.outcome->request >= request.request) return;
    call.outcome->request = request.request;
    call.outcome->kind = Outcome::Kind::under_way;
}

/// Of an outcome that holds some.
void Shard::give_up_memory(Session& session, Outcome& outcome) {
    --session.holding;
    outcome.kind = Outcome::Kind::forgotten;
    status_bytes_held_ -= outcome.statuses.bytes().size();
    outcome.statuses = {};
    if (outcome.value == nullptr) return;
    --values_held_;
    pool_.unpin(std::exchange(outcome.value, nullptr));
}

/// Values that were popped take room in the pool until their clients say that they have them. When it is full
/// they have to go. True if there were any.
bool Shard::let_go_of_values() {
    if (values_held_ == 0) return false;
    sessions_.for_each([this](Session& session) {
        if (session.holding == 0) return;
        session.outcomes.for_each([&](Outcome& outcome) {
            if (outcome.value != nullptr) let_go(session, outcome);
        });
    });
    return true;
}

/// Whether what failed so is worth another try.
bool Shard::has_made_room_after(const Error& error) {
    return error.code == Errc::no_space && let_go_of_values();
}

Result<shm::Block*> Shard::reserve(const Call& call, std::uint64_t value_bytes) {
    const auto try_it = [&] {
        return pool_.reserve(call.key, call.hash, call.header.value_type, call.header.checkpoint,
                             value_bytes);
    };
    const Result<shm::Block*> block = try_it();
    return block || !has_made_room_after(block.error()) ? block : try_it();
}

}  // namespace ddict::manager
