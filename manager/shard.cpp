// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/shard.h"

#include "core/hash.h"
#include "core/stats.h"

namespace ddict::manager {
namespace {

using wire::Verb;

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

constexpr std::uint64_t freeze_ask = 2;

}  // namespace

Shard::Shard(shm::Pool& pool, Transport& transport, const ShardOptions& options)
    : pool_(pool),
      transport_(transport),
      options_(options),
      sessions_(options.session_seed),
      times_(options.clock),
      frozen_(pool.frozen()) {
    head_.resize(limits::head_bytes_max);
}

void Shard::reject(std::uint64_t body_token) {
    ++counters_.rejected_messages;
    if (body_token != 0) transport_.discard_body(body_token);
}

void Shard::on_message(Bytes head, const IncomingBody& body) {
    Call call;
    const Form form = read_call(head, body, call);
    if (form == Form::malformed) return reject(body.token);
    if (call.header.verb == Verb::hello) return on_hello(call);
    const Session* session = sessions_.find(call.header.session);
    if (session == nullptr) return reject(body.token);
    call.peer = session->peer;
    if (form == Form::too_large) {
        return refuse(
            call,
            Error(Errc::too_large).set_bytes(call.header.value_bytes, value_bytes_max(call.header.verb)));
    }
    if (!times_.count(call.header.verb)) return execute(call);
    const std::uint64_t started = times_.start();
    execute(call);
    times_.stop(call.header.verb, started);
}

/// What is common to a request that has come whole, and to one whose operand has now arrived.
void Shard::execute(Call& call) {
    if (!call.key.empty()) {
        call.hash = hash_of(call.key);
        pool_.prefetch(call.hash);  // what comes before the index is needed takes as long as the fetching
    }
    if ((frozen_ || broadcast_keys_.any()) && changes_pairs(call.header.verb)) {
        const Errc refusal = refusal_of_change(call.header.verb, call.key);
        if (refusal != Errc{}) return refuse(call, refusal);
    }
    dispatch(call);
}

void Shard::dispatch(const Call& call) {
    switch (call.header.verb) {
        case Verb::hello:
            return;  // before there is a session
        case Verb::goodbye:
            return end_session(*sessions_.find(call.header.session));
        case Verb::ping:
            return reply(call);
        case Verb::put:
            return on_put(call);
        case Verb::get:
            return on_get(call);
        case Verb::contains:
            return on_contains(call);
        case Verb::erase:
            return on_erase(call);
        case Verb::size:
            return reply(call, pool_.size() - broadcast_keys_.copies());
        case Verb::clear:
            return on_clear(call);
        case Verb::scan:
            return on_scan(call);
        case Verb::stats:
            return on_stats(call);
        case Verb::directory:
            return on_directory(call);
        case Verb::shutdown:
            shutdown_requested_ = true;
            return reply(call);
        case Verb::pop:
            return on_pop(call);
        case Verb::compare_and_swap:
            return on_compare_and_swap(call);
        case Verb::fetch_add:
            return on_fetch_add(call);
        case Verb::append:
            return on_append(call);
        case Verb::freeze:
            return on_freeze(call);
        case Verb::batch_get:
        case Verb::batch_put:
        case Verb::batch_erase:
            return on_batch(call);
        case Verb::wait_for:
            return on_wait_for(call);
        case Verb::broadcast_put:
            return on_broadcast_put(call);
        case Verb::broadcast_erase:
            return on_broadcast_erase(call);
    }
}

void Shard::on_hello(const Call& call) {
    wire::Hello hello;
    if (!wire::unpack(call.value, hello)) return reject(call.body_token);
    const Errc refusal = refusal_of(hello);
    const std::uint64_t greeter = greeter_of(hello);
    if (refusal == Errc{} && !replaces_session(greeter, call.header.request)) return;
    const Result<PeerId> peer = transport_.connect(hello.address, hello.process);
    if (!peer) return reject(call.body_token);  // it has died, or gave an address that is none
    wire::ReplyHeader header = reply_header(call.header);
    if (refusal != Errc{}) {
        ++counters_.rejected_messages;
        header.status = static_cast<std::uint16_t>(refusal);
        send_reply(*peer, header);
        transport_.close(*peer);
        return;
    }
    header.argument = sessions_.open(*peer, greeter, call.header.request);
    send_reply(*peer, header);
}

Errc Shard::refusal_of(const wire::Hello& hello) const {
    if (hello.dictionary_id != pool_.identity().dictionary_id) return Errc::dictionary_gone;
    if (!equal_in_constant_time(hello.secret, pool_.identity().secret)) return Errc::access_denied;
    if (hello.ucx_version != options_.ucx_version) return Errc::incompatible;
    if (sessions_.full()) return Errc::busy;
    return {};
}

/// A client that greets again has given its older session up, and the session ends. But an older greeting may
/// have been overtaken by a newer one: the client does not wait for the answer any more; false then.
bool Shard::replaces_session(std::uint64_t greeter, std::uint64_t greeting) {
    const Session* session = sessions_.of_greeter(greeter);
    if (session == nullptr) return true;
    if (session->greeting >= greeting) return false;
    end_session(*session);
    return true;
}

void Shard::end_session(const Session& session) {
    const PeerId peer = session.peer;
    waiting_.drop_session(session.id);
    sessions_.close(session.id);
    transport_.close(peer);
}

void Shard::on_peer_lost(PeerId peer, const Error&) {
    if (const Session* session = sessions_.of_peer(peer); session != nullptr) end_session(*session);
}

void Shard::on_stats(const Call& call) {
    std::vector<std::byte> packed;
    pack(statistics(call.peer), packed);
    reply_copy(call, packed, 0);
}

void Shard::on_directory(const Call& call) {
    if (directory_ == nullptr) return refuse(call, Errc::system);
    std::vector<std::byte> page;
    std::uint64_t manager = call.header.argument;
    for (; manager < directory_->manager_count() && page.size() < limits::page_bytes_max; ++manager) {
        const Result<DirectoryEntry> entry = directory_->entry(static_cast<std::uint32_t>(manager));
        if (!entry) return refuse(call, entry.error());
        pack(*entry, page);
    }
    reply_copy(call, page, manager);
}

void Shard::on_freeze(const Call& call) {
    if (call.header.argument != freeze_ask) {
        frozen_ = call.header.argument == 1;
        pool_.set_frozen(frozen_);
    }
    reply(call, frozen_ ? 1 : 0);
}

ManagerStats Shard::statistics(PeerId asking) const {
    ManagerStats stats = counters_;
    const shm::PoolUsage usage = pool_.usage();
    stats.manager = pool_.identity().manager;
    stats.node = pool_.identity().node;
    stats.pid = options_.pid;
    stats.keys = usage.keys - broadcast_keys_.copies();
    stats.pool_bytes = usage.pool_bytes;
    stats.used_bytes = usage.used_bytes;
    stats.free_bytes = usage.free_bytes;
    stats.largest_free_bytes = usage.largest_free_bytes;
    stats.index_bytes = usage.index_bytes;
    stats.sessions = sessions_.size();
    stats.waiting = waiting_.size();
    stats.broadcasts = broadcasts_under_way();
    stats.broadcast_keys = broadcast_keys_.stored();
    stats.bodies_in_flight = bodies_in_flight();
    stats.private_bytes = memory_.used_bytes();
    stats.frozen = frozen_;
    stats.operations = times_.statistics();
    stats.transport = transport_.describe(asking);
    return stats;
}

}  // namespace ddict::manager
