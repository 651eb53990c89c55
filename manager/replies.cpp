// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/replies.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

namespace ddict::manager {
namespace {

// Questions during a payload until it counts as lost: some seconds, and those that all payloads take at 1
// MiB/s.
constexpr std::uint64_t stalled_pings = 4;
constexpr std::uint64_t bytes_per_ping =
    (std::uint64_t{1} << 20) * static_cast<std::uint64_t>(limits::silence_before_ping.count()) / 1000;

}  // namespace

Replies::Replies(store::Store& store, Sessions& sessions, Transport& transport)
    : store_(store), sessions_(sessions), transport_(transport), message_(limits::header_bytes_max) {}

Call Replies::call_of(const wire::RequestHeader& request) const {
    Call call;
    call.header = request;
    call.is_transient = stores_transient(request, store_.checkpoints().settings());
    Session* session = sessions_.find(request.session);
    if (session == nullptr) return call;
    call.peer = session->peer;
    if (wire::is_cached(request.verb)) call.slot = {session->replies, session->replies->at(request.request)};
    return call;
}

void Replies::reply(const Call& call, std::uint64_t argument, std::uint64_t argument2) {
    wire::ReplyHeader header = reply_header(call.header);
    header.argument = argument;
    header.argument2 = argument2;
    store_.cache(call.slot, header.request, 0, argument, argument2);
    send(call.peer, header);
}

void Replies::reply_info(const Call& call, const shm::Block* block, Errc status, std::uint64_t left) {
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(status);
    if (block != nullptr) {
        header.value_type = block->value_type();
        header.argument = 1 | left << 1;
        header.argument2 = block->value_bytes();
    }
    send(call.peer, header);
}

void Replies::ask_again(const Call& call, const wire::AskAgain& why) {
    discard_payload(call.payload_token);
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(Errc::timeout);
    header.flags = wire::ask_again;
    header.argument = why.argument();
    header.argument2 = why.count;
    send(call.peer, header);
}

void Replies::answer(const Call& call, Errc code, std::uint64_t argument, std::uint64_t argument2) {
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(code);
    header.argument = argument;
    header.argument2 = argument2;
    if (code != Errc{}) count_refused(code);
    send(call.peer, header);
}

void Replies::refuse(const Call& call, Errc code) {
    discard_payload(call.payload_token);
    if (is_half_made(call)) return;
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(code);
    if (wire::rule_of(call.header.verb).is_broadcast) header.argument2 = store_.pool().identity().manager;
    store_.cache(call.slot, header.request, header.status, 0, header.argument2);
    send(call.peer, header);
}

void Replies::refuse(const Call& call, const Error& error) {
    discard_payload(call.payload_token);
    if (is_half_made(call)) return;
    count_refused(error.code);
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(error.code);
    header.argument = error.need_bytes;
    header.argument2 = error.have_bytes;
    store_.cache(call.slot, header.request, header.status, header.argument, header.argument2);
    send(call.peer, header);
}

void Replies::refuse_type(const Call& call, std::uint16_t type, std::uint64_t bytes) {
    refuse(call, Error(Errc::wrong_type).set_bytes(type, bytes));
}

bool Replies::reply_pair(const Call& call, const shm::Block& block) {
    if (block.value_bytes() > limits::inline_value_bytes_max && !has_capacity_for_payload()) {
        refuse(call, Errc::busy);
        return false;
    }
    send_pair(call, block);
    return true;
}

void Replies::send_pair(const Call& call, const shm::Block& block) {
    wire::ReplyHeader header = reply_header(call.header);
    header.value_type = block.value_type();
    header.value_bytes = block.value_bytes();
    header.argument = block.checkpoint();
    if (header.value_bytes <= limits::inline_value_bytes_max) return send(call.peer, header, block.value());
    send_large_pair(call, header, block);
}

void Replies::send_large_pair(const Call& call, const wire::ReplyHeader& header, const shm::Block& block) {
    store_.pin(block);
    send_value(call, header, block.value(), {.request = call.header, .peer = call.peer, .pinned = &block});
}

void Replies::send_value(const Call& call, const wire::ReplyHeader& header, Bytes value, Transfer transfer) {
    const shm::Block* const pinned = transfer.pinned;
    std::optional<std::uint64_t> tag;
    try {
        tag = start_transfer(std::move(transfer));
        transport_.send(call.peer, std::as_bytes(std::span(&header, 1)), value, *tag);
    } catch (const std::bad_alloc&) {
        if (tag) static_cast<void>(end_transfer(*tag));
        if (pinned != nullptr) store_.unpin(*pinned);
        answer_failed(call, wire::ValueFailure::no_memory_to_send);
    }
}

void Replies::reply_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument) {
    if (bytes > limits::inline_value_bytes_max && !has_capacity_for_payload())
        return refuse(call, Errc::busy);
    send_page(call, std::move(buffer), bytes, argument);
}

void Replies::send_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument) {
    wire::ReplyHeader header = reply_header(call.header);
    header.value_bytes = bytes;
    header.argument = argument;
    if (bytes <= limits::inline_value_bytes_max) {
        std::memcpy(buffer.bytes().data(), &header, sizeof header);
        return send_message(call.peer, buffer.bytes().first(sizeof header + bytes));
    }
    const Bytes page = buffer.bytes().subspan(sizeof header, bytes);
    send_value(call, header, page, {.request = call.header, .peer = call.peer, .buffer = std::move(buffer)});
}

void Replies::reply_copy(const Call& call, Bytes value, std::uint64_t argument) {
    Buffer buffer = memory_.take(sizeof(wire::ReplyHeader) + value.size());
    if (!buffer) return refuse(call, Errc::busy);
    if (!value.empty())
        std::memcpy(buffer.bytes().data() + sizeof(wire::ReplyHeader), value.data(), value.size());
    reply_page(call, std::move(buffer), value.size(), argument);
}

void Replies::repeat(const Call& call, const store::CachedReply& cached) {
    using Kind = store::CachedReply::Kind;
    discard_payload(call.payload_token);
    if (call.header.request < cached.request || cached.kind == Kind::under_way) return;
    ++repeated_;
    wire::ReplyHeader header = reply_header(call.header);
    switch (cached.kind) {
        case Kind::pair:
            return send_pair(call, store_.replies().block_of(cached));
        case Kind::statuses:
            return repeat_statuses(call, cached);
        case Kind::forgotten:
            header.status = static_cast<std::uint16_t>(Errc::manager_lost);
            return send(call.peer, header);
        default:
            header.status = cached.status;
            header.argument = cached.argument;
            header.argument2 = cached.argument2;
            return send(call.peer, header);
    }
}

void Replies::repeat_statuses(const Call& call, const store::CachedReply& cached) {
    const std::size_t bytes = static_cast<std::size_t>(cached.argument) * sizeof(std::uint16_t);
    Buffer buffer = memory_.take(sizeof(wire::ReplyHeader) + bytes);
    if (!buffer) return;  // no answer is the only one left that is not wrong
    const MutableBytes page = buffer.bytes().subspan(sizeof(wire::ReplyHeader));
    if (cached.statuses != 0) {
        std::memcpy(page.data(), store_.replies().statuses_of(cached).data(), bytes);
    } else {
        std::fill(page.begin(), page.end(), std::byte{0});
    }
    send_page(call, std::move(buffer), bytes, 0);
}

void Replies::send(PeerId peer, const wire::ReplyHeader& header, Bytes inline_value) {
    if (peer == no_peer) return;  // the client has gone meanwhile
    std::memcpy(message_.data(), &header, sizeof header);
    if (!inline_value.empty())
        std::memcpy(message_.data() + sizeof header, inline_value.data(), inline_value.size());
    send_message(peer, Bytes(message_).first(sizeof header + inline_value.size()));
}

/// A client whose reply is lost would wait for its deadline; one whose connection is closed asks again.
[[gnu::always_inline]] inline void Replies::send_message(PeerId peer, Bytes message) noexcept {
    try {
        transport_.send(peer, message);
    } catch (const std::bad_alloc&) {
        Session* session = sessions_.of_peer(peer);
        if (session == nullptr) return;  // refused, or gone: its connection is closed anyway
        session->lacks_reply = true;
        has_unsent_ = true;
    }
}

/// Where a connection has broken for one side only, and is made anew, UCX may lose a payload without a word:
/// small messages still come through, and this one never does.
bool Replies::is_stalled_after_ping(PeerId peer) {
    if (transfers_.size() == 0 || transport_.is_same_host(peer)) return false;
    std::uint64_t bytes = 0;
    std::uint32_t pings = 0;
    transfers_.for_each([&](Transfer& transfer) {
        bytes += transfer.bytes();
        if (transfer.peer == peer) pings = std::max(pings, ++transfer.pings);
    });
    return pings > stalled_pings + bytes / bytes_per_ping;
}

void Replies::answer_untaken(const Transfer& transfer) {
    if (transfer.peer == no_peer || call_of(transfer.request).peer != transfer.peer) return;
    wire::ReplyHeader header = reply_header(transfer.request);
    header.status = static_cast<std::uint16_t>(Errc::system);
    send(transfer.peer, header);
}

void Replies::answer_failed(const Call& call, wire::ValueFailure why) {
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(Errc::system);
    header.argument = static_cast<std::uint64_t>(why);
    send(call.peer, header);
}

/// False if memory is missing for that; this has been answered then.
bool Replies::receive(const Call& call, MutableBytes into, Transfer transfer) {
    std::optional<std::uint64_t> tag;
    try {
        tag = start_transfer(std::move(transfer));
        transport_.receive_payload(call.peer, call.payload_token, into, *tag);
        return true;
    } catch (const std::bad_alloc&) {
        if (tag) static_cast<void>(end_transfer(*tag));
        discard_payload(call.payload_token);
        answer_failed(call, wire::ValueFailure::no_memory_to_receive);
        return false;
    }
}

void Replies::receive_into(shm::Block& block, const Call& call) {
    const bool begun =
        receive(call, block.value(), {.request = call.header, .peer = call.peer, .reserved = &block});
    if (!begun) store_.abandon(&block);
}

void Replies::receive_operand(const Call& call) {
    if (!has_capacity_for_payload()) return refuse(call, Errc::busy);
    const std::size_t bytes = call.key.size() + call.header.value_bytes;
    const bool is_page = bytes <= PrivateMemory::page_buffer_bytes;
    Buffer buffer = is_page ? memory_.take_page() : memory_.take(bytes);
    if (!buffer) return refuse(call, Errc::busy);
    if (!call.key.empty()) std::memcpy(buffer.bytes().data(), call.key.data(), call.key.size());
    const MutableBytes into = buffer.bytes().subspan(call.key.size(), call.header.value_bytes);
    receive(call, into,
            {.request = call.header,
             .peer = call.peer,
             .placement = call.placement,
             .until = call.until,
             .buffer = std::move(buffer)});
}

}  // namespace ddict::manager
