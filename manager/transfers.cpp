// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Replies, and the bodies that go with them or come with requests.
#include <cstring>
#include <utility>

#include "core/assert.h"
#include "manager/shard.h"

namespace ddict::manager {
namespace {

/// Errors of a broadcast say whose they are.
bool names_manager(wire::Verb verb) {
    return verb == wire::Verb::broadcast_put || verb == wire::Verb::broadcast_erase;
}

}  // namespace

/// A request whose message is long gone, and whose client may be too.
Call Shard::call_of(const wire::RequestHeader& request) {
    Call call;
    call.header = request;
    Session* session = sessions_.find(request.session);
    if (session == nullptr) return call;
    call.peer = session->peer;
    if (wire::is_remembered(request.verb)) call.outcome = session->outcomes.at(request.request);
    return call;
}

void Shard::reply(const Call& call, std::uint64_t argument) {
    wire::ReplyHeader header = reply_header(call.header);
    header.argument = argument;
    remember(call, header);
    send_reply(call.peer, header);
}

void Shard::refuse(const Call& call, Errc code) {
    if (call.body_token != 0) transport_.discard_body(call.body_token);
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(code);
    if (names_manager(call.header.verb)) header.argument2 = pool_.identity().manager;
    remember(call, header);
    send_reply(call.peer, header);
}

void Shard::refuse(const Call& call, const Error& error) {
    if (call.body_token != 0) transport_.discard_body(call.body_token);
    if (error.code == Errc::no_space || error.code == Errc::too_large) ++counters_.refused_puts;
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(error.code);
    header.argument = error.need_bytes;
    header.argument2 = error.have_bytes;
    remember(call, header);
    send_reply(call.peer, header);
}

/// Says which type it is that will not do: the stored one, or that of the request itself.
void Shard::refuse_type(const Call& call, std::uint16_t type, std::uint64_t bytes) {
    refuse(call, Error(Errc::wrong_type).set_bytes(type, bytes));
}

/// The value of a pair, from where it lies. False if it was refused instead: too many bodies are on their
/// way.
bool Shard::reply_pair(const Call& call, const shm::Block& block) {
    if (block.value_bytes() > limits::inline_value_bytes_max && !has_room_for_body()) {
        refuse(call, Errc::busy);
        return false;
    }
    send_pair(call, block);
    return true;
}

void Shard::send_pair(const Call& call, const shm::Block& block) {
    wire::ReplyHeader header = reply_header(call.header);
    header.value_type = block.value_type();
    header.value_bytes = block.value_bytes();
    header.argument = block.checkpoint();
    if (header.value_bytes <= limits::inline_value_bytes_max)
        return send_reply(call.peer, header, block.value());
    send_large_pair(call, header, block);
}

/// From where it lies, which it does until the transport lets it go.
void Shard::send_large_pair(const Call& call, const wire::ReplyHeader& header, const shm::Block& block) {
    pool_.pin(&block);
    const std::uint64_t tag =
        start_transfer({.request = call.header, .reserved = nullptr, .pinned = &block, .buffer = {}});
    transport_.send(call.peer, std::as_bytes(std::span(&header, 1)), block.value(), tag);
}

void Shard::reply_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument) {
    if (bytes > limits::inline_value_bytes_max && !has_room_for_body()) return refuse(call, Errc::busy);
    send_page(call, std::move(buffer), bytes, argument);
}

/// `buffer` has the page behind room for a header.
void Shard::send_page(const Call& call, Buffer buffer, std::size_t bytes, std::uint64_t argument) {
    wire::ReplyHeader header = reply_header(call.header);
    header.value_bytes = bytes;
    header.argument = argument;
    if (bytes <= limits::inline_value_bytes_max) {
        std::memcpy(buffer.bytes().data(), &header, sizeof header);
        return transport_.send(call.peer, buffer.bytes().first(sizeof header + bytes));
    }
    const Bytes page = buffer.bytes().subspan(sizeof header, bytes);
    const std::uint64_t tag = start_transfer(
        {.request = call.header, .reserved = nullptr, .pinned = nullptr, .buffer = std::move(buffer)});
    transport_.send(call.peer, std::as_bytes(std::span(&header, 1)), page, tag);
}

void Shard::reply_copy(const Call& call, Bytes value, std::uint64_t argument) {
    Buffer buffer = memory_.take(sizeof(wire::ReplyHeader) + value.size());
    if (!buffer) return refuse(call, Errc::busy);
    if (!value.empty())
        std::memcpy(buffer.bytes().data() + sizeof(wire::ReplyHeader), value.data(), value.size());
    reply_page(call, std::move(buffer), value.size(), argument);
}

void Shard::send_reply(PeerId peer, const wire::ReplyHeader& header, Bytes inline_value) {
    if (peer == no_peer) return;  // the client has gone meanwhile
    std::memcpy(head_.data(), &header, sizeof header);
    if (!inline_value.empty())
        std::memcpy(head_.data() + sizeof header, inline_value.data(), inline_value.size());
    transport_.send(peer, Bytes(head_).first(sizeof header + inline_value.size()));
}

void Shard::receive_into(shm::Block& block, const Call& call) {
    const std::uint64_t tag =
        start_transfer({.request = call.header, .reserved = &block, .pinned = nullptr, .buffer = {}});
    transport_.receive_body(call.peer, call.body_token, block.value(), tag);
}

/// Has the operand of a request received behind a copy of its key. The request is executed when it is there.
void Shard::receive_operand(const Call& call) {
    if (!has_room_for_body()) return refuse(call, Errc::busy);
    const std::size_t bytes = call.key.size() + call.header.value_bytes;
    const bool is_page = bytes <= PrivateMemory::page_buffer_bytes;
    Buffer buffer = is_page ? memory_.take_page() : memory_.take(bytes);
    if (!buffer) return refuse(call, Errc::busy);
    if (!call.key.empty()) std::memcpy(buffer.bytes().data(), call.key.data(), call.key.size());
    const MutableBytes into = buffer.bytes().subspan(call.key.size(), call.header.value_bytes);
    const std::uint64_t tag = start_transfer(
        {.request = call.header, .reserved = nullptr, .pinned = nullptr, .buffer = std::move(buffer)});
    transport_.receive_body(call.peer, call.body_token, into, tag);
}

/// A client that has gone meanwhile, or whose connection broke, has not put anything: it may be about to send
/// the same again.
void Shard::on_body_received(std::uint64_t tag, bool ok) {
    const Transfer transfer = end_transfer(tag);
    shm::Block* block = transfer.reserved;
    Call call = call_of(transfer.request);
    if (!ok || call.peer == no_peer || !is_still_new(call)) {
        if (block != nullptr) pool_.abandon(block);
        return;
    }
    if (block != nullptr && call.header.verb == wire::Verb::put) return finish_put(call, block);
    if (block != nullptr) return finish_broadcast_put(call, block);
    call.key = transfer.buffer.bytes().first(transfer.request.key_bytes);
    call.value = transfer.buffer.bytes().subspan(call.key.size(), transfer.request.value_bytes);
    execute(call);
}

void Shard::on_body_sent(std::uint64_t tag, bool) {
    const Transfer transfer = end_transfer(tag);
    if (transfer.pinned != nullptr) pool_.unpin(transfer.pinned);
}

std::uint64_t Shard::start_transfer(Transfer transfer) {
    if (free_transfers_.empty()) {
        free_transfers_.push_back(static_cast<std::uint32_t>(transfers_.size()));
        transfers_.emplace_back();
    }
    const std::uint32_t slot = free_transfers_.back();
    free_transfers_.pop_back();
    transfers_[slot] = std::move(transfer);
    return slot | transfer_tag;
}

Shard::Transfer Shard::end_transfer(std::uint64_t tag) {
    const auto slot = static_cast<std::uint32_t>(tag);
    DDICT_ASSERT(owns(tag) && slot < transfers_.size(),
                 "the transport reports a transfer that was never started");
    free_transfers_.push_back(slot);
    return std::exchange(transfers_[slot], {});
}

}  // namespace ddict::manager
