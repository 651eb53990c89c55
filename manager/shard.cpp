// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/shard.h"

#include <utility>

#include "core/assert.h"
#include "core/hash.h"
#include "core/stats.h"

namespace ddict::manager {
namespace {

using wire::Verb;

wire::ReplyHeader reply_header(const wire::RequestHeader& request) {
    wire::ReplyHeader header;
    header.verb_and_reply_bit = static_cast<std::uint8_t>(request.verb) | wire::reply_bit;
    header.request = request.request;
    return header;
}

bool equal_in_constant_time(const wire::Secret& a, const wire::Secret& b) {
    std::byte difference{0};
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= a[i] ^ b[i];
    return difference == std::byte{0};
}

/// Tells one client's greetings from those of others.
std::uint64_t greeter_of(const wire::Hello& hello) {
    const std::uint64_t parts[] = {hello.process.host_key, static_cast<std::uint64_t>(hello.process.pid),
                                   hello.process.start_time, hash_of(hello.address)};
    return hash_of(std::as_bytes(std::span(parts)));
}

bool needs_key(Verb verb) {
    return verb == Verb::put || verb == Verb::get || verb == Verb::contains || verb == Verb::erase;
}

bool may_have_value(Verb verb) {
    return verb == Verb::put || verb == Verb::hello;
}

}  // namespace

Shard::Shard(shm::Pool& pool, Transport& transport, const ShardOptions& options)
    : pool_(pool), transport_(transport), options_(options), random_(options.session_seed) {
    head_.reserve(limits::head_bytes_max);
}

/// Checks everything about the form of a message; afterwards lengths and verb can be relied upon.
std::optional<Shard::Call> Shard::parse(Bytes head, const IncomingBody& body) {
    Call call{.header = {}, .key = {}, .value = {}, .body = body, .peer = no_peer};
    wire::RequestHeader& header = call.header;
    if (head.size() < sizeof header) return std::nullopt;
    std::memcpy(&header, head.data(), sizeof header);
    const auto verb = static_cast<std::uint8_t>(header.verb);
    if (header.version != wire::protocol_version || verb == 0 || verb > wire::verb_last ||
        header.flags != 0) {
        return std::nullopt;
    }
    const Bytes rest = head.subspan(sizeof header);
    if (header.key_bytes > limits::key_bytes_max || header.key_bytes > rest.size()) return std::nullopt;
    if ((header.key_bytes != 0) != needs_key(header.verb)) return std::nullopt;
    call.key = rest.first(header.key_bytes);
    const Bytes inline_value = rest.subspan(header.key_bytes);
    if (header.value_bytes > 0 && !may_have_value(header.verb)) return std::nullopt;
    if (header.value_bytes <= limits::inline_value_bytes_max) {
        if (inline_value.size() != header.value_bytes || body.present()) return std::nullopt;
        call.value = inline_value;
    } else {
        if (!inline_value.empty() || body.bytes != header.value_bytes || header.verb != Verb::put)
            return std::nullopt;
        call.value = body.in_memory;
    }
    return call;
}

void Shard::reject(const IncomingBody& body) {
    ++counters_.rejected_messages;
    if (body.token != 0) transport_.discard_body(body.token);
}

Shard::Session* Shard::find_session(std::uint64_t id) {
    const auto slot = static_cast<std::uint32_t>(id);
    return id != 0 && slot < sessions_.size() && sessions_[slot].id == id ? &sessions_[slot] : nullptr;
}

void Shard::on_message(Bytes head, const IncomingBody& body) {
    std::optional<Call> call = parse(head, body);
    if (!call) return reject(body);
    if (call->header.verb == Verb::hello) return on_hello(*call);
    const Session* session = find_session(call->header.session);
    if (session == nullptr) return reject(body);
    call->peer = session->peer;
    dispatch(*call);
}

void Shard::dispatch(const Call& call) {
    const auto hash = [&] { return hash_of(call.key); };
    switch (call.header.verb) {
        case Verb::hello:
            break;
        case Verb::goodbye:
            return end_session(call.header.session);
        case Verb::ping:
            return reply(call);
        case Verb::put:
            return on_put(call);
        case Verb::get:
            return on_get(call);
        case Verb::contains:
            ++counters_.contains;
            return reply(call, pool_.find(call.key, hash()) != nullptr ? 1 : 0);
        case Verb::erase:
            return on_erase(call);
        case Verb::size:
            return reply(call, pool_.size());
        case Verb::clear:
            ++counters_.clears;
            pool_.clear();
            return reply(call);
        case Verb::scan:
            return on_keys(call);
        case Verb::stats:
            return on_stats(call);
        case Verb::directory:
            return on_directory(call);
        case Verb::shutdown:
            shutdown_requested_ = true;
            return reply(call);
        default:
            return reject(call.body);
    }
}

void Shard::on_hello(const Call& call) {
    wire::Hello hello;
    if (!wire::unpack(call.value, hello)) return reject(call.body);
    const Errc refusal = refusal_of(hello);
    const std::uint64_t greeter = greeter_of(hello);
    if (refusal == Errc{} && !replaces_session(greeter, call.header.request)) return;
    const Result<PeerId> peer = transport_.connect(hello.address, hello.process);
    if (!peer) return reject(call.body);  // it has died, or gave an address that is none
    wire::ReplyHeader header = reply_header(call.header);
    if (refusal != Errc{}) {
        ++counters_.rejected_messages;
        header.status = static_cast<std::uint16_t>(refusal);
        send_reply(*peer, header, {});
        transport_.close(*peer);
        return;
    }
    if (free_sessions_.empty()) {
        free_sessions_.push_back(static_cast<std::uint32_t>(sessions_.size()));
        sessions_.emplace_back();
    }
    const std::uint32_t slot = free_sessions_.back();
    free_sessions_.pop_back();
    const std::uint64_t tag = (random_() >> 32) | 1;  // never 0, so that no id is
    const std::uint64_t id = (tag << 32) | slot;
    sessions_[slot] = {.id = id, .peer = *peer, .greeter = greeter, .greeting = call.header.request};
    sessions_by_peer_[*peer] = id;
    sessions_by_greeter_[greeter] = id;
    header.argument = id;
    send_reply(*peer, header, {});
}

Errc Shard::refusal_of(const wire::Hello& hello) const {
    if (hello.dictionary_id != pool_.identity().dictionary_id) return Errc::dictionary_gone;
    if (!equal_in_constant_time(hello.secret, pool_.identity().secret)) return Errc::access_denied;
    if (hello.ucx_version != options_.ucx_version) return Errc::incompatible;
    if (free_sessions_.empty() && sessions_.size() >= limits::sessions_max) return Errc::system;
    return {};
}

/// A client that greets again has given its older session up, and the session ends. But an older greeting may
/// have been overtaken by a newer one: the client does not wait for the answer any more; false then.
bool Shard::replaces_session(std::uint64_t greeter, std::uint64_t greeting) {
    const auto found = sessions_by_greeter_.find(greeter);
    if (found == sessions_by_greeter_.end()) return true;
    if (find_session(found->second)->greeting >= greeting) return false;
    end_session(found->second);
    return true;
}

void Shard::on_put(const Call& call) {
    const wire::RequestHeader& header = call.header;
    const std::uint64_t hash = hash_of(call.key);
    if (call.body.token == 0) {
        const Result<void> stored =
            pool_.put(call.key, hash, header.value_type, header.checkpoint, call.value);
        if (!stored) return reply_error(call, stored.error());
        ++counters_.puts;
        return reply(call);
    }
    if (!has_room_for_body()) {
        transport_.discard_body(call.body.token);
        return reply_error(call, Error(Errc::system));
    }
    const Result<shm::Block*> block =
        pool_.reserve(call.key, hash, header.value_type, header.checkpoint, header.value_bytes);
    if (!block) {
        transport_.discard_body(call.body.token);
        return reply_error(call, block.error());
    }
    const std::uint64_t tag = start_transfer({.reserved = *block,
                                              .pinned = nullptr,
                                              .page = {},
                                              .session = header.session,
                                              .request = header.request});
    transport_.receive_body(call.peer, call.body.token, (*block)->value(), tag);
}

void Shard::on_body_received(std::uint64_t tag, bool ok) {
    const Transfer transfer = end_transfer(tag);
    if (!ok) return pool_.abandon(transfer.reserved);
    const Result<void> stored = pool_.publish(transfer.reserved);
    if (stored) ++counters_.puts;
    const Session* session = find_session(transfer.session);
    if (session == nullptr) return;  // the client has gone meanwhile; its value is whole, and stays
    wire::RequestHeader request;
    request.verb = Verb::put;
    request.request = transfer.request;
    const IncomingBody no_body;
    const Call call{.header = request, .key = {}, .value = {}, .body = no_body, .peer = session->peer};
    stored ? reply(call) : reply_error(call, stored.error());
}

void Shard::on_get(const Call& call) {
    ++counters_.gets;
    const shm::Block* block = pool_.find(call.key, hash_of(call.key));
    if (block == nullptr) return reply_error(call, Error(Errc::not_found));
    ++counters_.hits;
    wire::ReplyHeader header = reply_header(call.header);
    header.value_type = block->value_type();
    header.value_bytes = block->value_bytes();
    header.argument = block->checkpoint();
    if (header.value_bytes <= limits::inline_value_bytes_max)
        return send_reply(call.peer, header, block->value());
    if (!has_room_for_body()) return reply_error(call, Error(Errc::system));
    pool_.pin(block);
    const std::uint64_t tag = start_transfer({.reserved = nullptr,
                                              .pinned = block,
                                              .page = {},
                                              .session = call.header.session,
                                              .request = call.header.request});
    transport_.send(call.peer, std::as_bytes(std::span(&header, 1)), block->value(), tag);
}

void Shard::on_body_sent(std::uint64_t tag, bool) {
    const Transfer transfer = end_transfer(tag);
    if (transfer.pinned != nullptr) pool_.unpin(transfer.pinned);
}

void Shard::on_erase(const Call& call) {
    ++counters_.erases;
    if (!pool_.erase(call.key, hash_of(call.key))) return reply_error(call, Error(Errc::not_found));
    reply(call);
}

void Shard::on_keys(const Call& call) {
    ++counters_.scans;
    std::vector<std::byte> page;
    page.reserve(limits::page_bytes_max);
    const std::uint64_t next = pool_.scan(call.header.argument, [&](const shm::Block& block) {
        Packer(page).put(static_cast<std::uint16_t>(block.key().size()));
        page.insert(page.end(), block.key().begin(), block.key().end());
        return page.size() < limits::page_bytes_max;
    });
    reply_page(call, std::move(page), next);
}

void Shard::on_stats(const Call& call) {
    std::vector<std::byte> page;
    pack(statistics(call.peer), page);
    reply_page(call, std::move(page), 0);
}

void Shard::on_directory(const Call& call) {
    if (directory_ == nullptr) return reply_error(call, Error(Errc::system));
    std::vector<std::byte> page;
    std::uint64_t manager = call.header.argument;
    for (; manager < directory_->manager_count() && page.size() < limits::page_bytes_max; ++manager) {
        const Result<DirectoryEntry> entry = directory_->entry(static_cast<std::uint32_t>(manager));
        if (!entry) return reply_error(call, entry.error());
        pack(*entry, page);
    }
    reply_page(call, std::move(page), manager);
}

ManagerStats Shard::statistics(PeerId asking) const {
    ManagerStats stats = counters_;
    const shm::PoolUsage usage = pool_.usage();
    stats.manager = pool_.identity().manager;
    stats.node = pool_.identity().node;
    stats.pid = options_.pid;
    stats.keys = usage.keys;
    stats.pool_bytes = usage.pool_bytes;
    stats.used_bytes = usage.used_bytes;
    stats.free_bytes = usage.free_bytes;
    stats.largest_free_bytes = usage.largest_free_bytes;
    stats.index_bytes = usage.index_bytes;
    stats.sessions = sessions_by_peer_.size();
    stats.transport = transport_.describe(asking);
    return stats;
}

void Shard::reply(const Call& call, std::uint64_t argument) {
    wire::ReplyHeader header = reply_header(call.header);
    header.argument = argument;
    send_reply(call.peer, header, {});
}

void Shard::reply_error(const Call& call, const Error& error) {
    if (error.code == Errc::no_space || error.code == Errc::too_large) ++counters_.refused_puts;
    wire::ReplyHeader header = reply_header(call.header);
    header.status = static_cast<std::uint16_t>(error.code);
    header.argument = error.need_bytes;
    header.argument2 = error.have_bytes;
    send_reply(call.peer, header, {});
}

void Shard::reply_page(const Call& call, std::vector<std::byte> page, std::uint64_t argument) {
    wire::ReplyHeader header = reply_header(call.header);
    header.value_bytes = page.size();
    header.argument = argument;
    if (page.size() <= limits::inline_value_bytes_max) return send_reply(call.peer, header, page);
    if (!has_room_for_body()) return reply_error(call, Error(Errc::system));
    const std::uint64_t tag = start_transfer({.reserved = nullptr,
                                              .pinned = nullptr,
                                              .page = std::move(page),
                                              .session = call.header.session,
                                              .request = call.header.request});
    transport_.send(call.peer, std::as_bytes(std::span(&header, 1)), transfers_[tag].page, tag);
}

void Shard::send_reply(PeerId peer, const wire::ReplyHeader& header, Bytes inline_value) {
    head_.resize(sizeof header + inline_value.size());
    std::memcpy(head_.data(), &header, sizeof header);
    if (!inline_value.empty())
        std::memcpy(head_.data() + sizeof header, inline_value.data(), inline_value.size());
    transport_.send(peer, head_);
}

void Shard::end_session(std::uint64_t id) {
    Session* session = find_session(id);
    const PeerId peer = session->peer;
    sessions_by_peer_.erase(peer);
    sessions_by_greeter_.erase(session->greeter);
    *session = {};
    free_sessions_.push_back(static_cast<std::uint32_t>(id));
    transport_.close(peer);
}

void Shard::on_peer_lost(PeerId peer, const Error&) {
    if (const auto found = sessions_by_peer_.find(peer); found != sessions_by_peer_.end())
        end_session(found->second);
}

std::uint64_t Shard::start_transfer(Transfer transfer) {
    if (free_transfers_.empty()) {
        free_transfers_.push_back(static_cast<std::uint32_t>(transfers_.size()));
        transfers_.emplace_back();
    }
    const std::uint32_t slot = free_transfers_.back();
    free_transfers_.pop_back();
    transfers_[slot] = std::move(transfer);
    return slot;
}

Shard::Transfer Shard::end_transfer(std::uint64_t tag) {
    DDICT_ASSERT(tag < transfers_.size(), "the transport reports a transfer that was never started");
    free_transfers_.push_back(static_cast<std::uint32_t>(tag));
    return std::exchange(transfers_[tag], {});
}

}  // namespace ddict::manager
