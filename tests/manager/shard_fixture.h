// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A shard on a small pool, with a transport that records; the test speaks the protocol by hand.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/secret.h"
#include "manager/shard.h"
#include "tests/rpc/recording_transport.h"
#include "wire/stats.h"

namespace ddict::manager {

using wire::ReplyHeader;
using wire::RequestHeader;
using wire::Verb;

/// Of more than twice Pool::bytes_at_first only that is there at first.
inline std::unique_ptr<shm::Pool> new_pool(const WorkingSetSettings& working_set, std::uint64_t bytes) {
    static std::uint64_t count = 0;
    const shm::PoolIdentity identity{
        .dictionary_id = (static_cast<std::uint64_t>(::getpid()) << 32) + ++count,
        .secret = {},
        .manager = 3,
        .node = "n1"};
    const std::string name = shm::pool_segment_name(identity.dictionary_id, identity.manager);
    Result<shm::Segment> segment = shm::Pool::create_sparse_segment(name, bytes);
    shm::Segment::remove(name);
    shm::Pool::format(segment.value(), identity, working_set).value();
    return shm::Pool::attach(std::move(segment).value()).value();
}

/// What a test asks for.
struct Ask {
    Verb verb = Verb::ping;
    std::string_view key{};
    Bytes value{};
    std::uint16_t value_type = 0;
    std::uint16_t flags = 0;
    std::uint64_t argument = 0;
    std::uint64_t payload_token = 0;  // with a value above the inline limit: it waits at the client
    std::uint16_t key_type = type_text;
    PlacedBy placed_by{};
    std::optional<std::uint64_t> placement{};  // as the message has it, whatever placed_by says
    bool is_shared = false;                    // the value, which may change meanwhile
    std::uint32_t checkpoint = 0;
    std::uint64_t ttl = 0;  // microseconds
};

class ShardTest : public testing::Test {
  protected:
    /// `now`: of times to live.
    explicit ShardTest(const WorkingSetSettings& working_set = {}, Nanoclock now = steady_nanoseconds,
                       std::uint64_t pool_bytes = limits::pool_bytes_min)
        : shard_store(new_pool(working_set, pool_bytes)),
          shard(shard_store, transport, {.ucx_version = 1, .session_seed = 1, .pid = 5, .now = now}) {}

    /// `session`: one that the client has already, and goes on with.
    void say_hello(std::uint64_t number, const char* address = "client", std::uint64_t session = 0) {
        introduce(Verb::hello, number, address, pool->identity().secret, session);
    }
    /// Says goodbye without a session.
    void goodbye(std::uint64_t number) {
        introduce(Verb::goodbye, number, "client", pool->identity().secret);
    }
    void introduce(Verb verb, std::uint64_t number, const char* address, const Secret& secret,
                   std::uint64_t session = 0) {
        RequestHeader header;
        header.verb = verb;
        header.session = session;
        header.request = number;
        const std::vector<std::byte> hello = wire::pack_proven(secret, header, hello_from(address));
        shard.on_message(message_of(header, hello), {});
    }
    wire::Hello hello_from(const char* address) const {
        return {.dictionary_id = pool->identity().dictionary_id,
                .proof = {},
                .ucx_version = 1,
                .process = {.host_key = 1, .pid = 9, .pid_namespace = 0, .start_time = 1},
                .address = bytes_of(address)};
    }
    std::uint64_t session() {
        say_hello(++hellos_);
        return last().argument;
    }
    std::uint64_t other_session() {
        say_hello(1, "another");
        return last().argument;
    }
    ReplyHeader last() const { return transport.header<ReplyHeader>(); }
    Errc last_code() const { return static_cast<Errc>(last().status); }
    /// The value of the last reply, inline or as a payload.
    Bytes last_value() const {
        const RecordingTransport::Sent& sent = transport.sent.back();
        return sent.payload.empty() ? Bytes(sent.header).subspan(sizeof(ReplyHeader)) : sent.payload;
    }

    /// Sends a request as a client would. Returns its number.
    std::uint64_t send(std::uint64_t session, const Ask& ask) {
        RequestHeader header;
        header.verb = ask.verb;
        header.session = session;
        header.request = ++requests_;
        header.key_bytes = static_cast<std::uint16_t>(ask.key.size());
        header.value_bytes = ask.value.size();
        header.value_type = ask.value_type;
        header.flags = ask.flags;
        header.argument = ask.argument;
        header.key_type = ask.key_type;
        header.placed_by = ask.placed_by;
        header.checkpoint = ask.checkpoint;
        std::string key;
        if (ask.placement) key.append(reinterpret_cast<const char*>(&*ask.placement), sizeof *ask.placement);
        header.has_ttl = ask.ttl != 0 ? 1 : 0;
        if (ask.ttl != 0) key.append(reinterpret_cast<const char*>(&ask.ttl), sizeof ask.ttl);
        key += ask.key;
        if (ask.value.size() <= limits::inline_value_bytes_max) {
            shard.on_message(message_of(header, bytes_of(key), ask.value), {});
        } else if (ask.payload_token == 0) {
            shard.on_message(
                message_of(header, bytes_of(key)),
                {.in_memory = ask.value, .token = 0, .bytes = ask.value.size(), .is_shared = ask.is_shared});
        } else {
            shard.on_message(message_of(header, bytes_of(key)),
                             {.in_memory = {}, .token = ask.payload_token, .bytes = ask.value.size()});
        }
        return header.request;
    }
    /// The next request is in the place of the last one: its client has the last one's reply.
    void next_in_slot() { requests_ += (1u << wire::slot_bits) - 1; }
    /// The next request is the last one once more.
    void same_again() { --requests_; }
    /// The same, with a session of its own, and expects exactly one reply to it: returns its code. Others may
    /// get replies as well.
    Errc ask(const Ask& ask) {
        if (session_ == 0) {
            say_hello(1, "a third");
            session_ = last().argument;
        }
        const std::size_t sent = transport.sent.size();
        const std::uint64_t request = send(session_, ask);
        std::vector<Errc> codes;
        for (std::size_t i = sent; i < transport.sent.size(); ++i) {
            const auto header = transport.header<ReplyHeader>(static_cast<int>(i));
            if (header.request == request) codes.push_back(static_cast<Errc>(header.status));
        }
        EXPECT_EQ(codes.size(), 1u);
        return codes.empty() ? Errc::system : codes.front();
    }
    void ask(Verb verb, std::uint64_t session, std::string_view key = {}, Bytes value = {},
             const IncomingPayload& payload = {}, std::uint64_t argument = 0) {
        RequestHeader header;
        header.verb = verb;
        header.session = session;
        header.request = ++requests_;
        header.key_bytes = static_cast<std::uint16_t>(key.size());
        header.value_bytes = payload.present() ? payload.bytes : value.size();
        header.argument = argument;
        shard.on_message(message_of(header, bytes_of(key), value), payload);
    }
    /// The payload that the shard has asked for last arrives.
    void deliver(Bytes payload) {
        const RecordingTransport::Received received = transport.received.back();
        ASSERT_EQ(received.into.size(), payload.size());
        std::copy(payload.begin(), payload.end(), received.into.begin());
        shard.on_payload_received(received.tag, true);
    }

    ManagerStats statistics() {
        if (stats_session_ == 0) {
            say_hello(1, "who asks for statistics");
            stats_session_ = last().argument;
        }
        ask(Verb::stats, stats_session_);
        ManagerStats stats;
        EXPECT_TRUE(unpack(last_value(), stats));
        return stats;
    }
    std::uint64_t rejected() { return statistics().rejected_messages; }

    bool put_in_store(std::string_view key, std::uint16_t type, Bytes value) {
        const Bytes bytes = bytes_of(key);
        return shard_store.apply({.pair = {bytes, hash_of(bytes), type, 0, value}}).succeeded();
    }
    void clear_store() { shard_store.apply({.kind = store::ChangeKind::clear}); }
    void store(std::string_view key, std::string_view value, std::uint16_t type = 0) {
        EXPECT_TRUE(put_in_store(key, type, bytes_of(value)));
    }
    const shm::Block* find(std::string_view key) const {
        return pool->find(bytes_of(key), hash_of(bytes_of(key)));
    }
    bool has(std::string_view key) const { return find(key) != nullptr; }
    std::string stored(std::string_view key) const {
        const shm::Block* block = find(key);
        return block == nullptr ? "(none)" : std::string(text_of(block->value()));
    }
    /// Of requests under way.
    std::size_t private_bytes() const {
        return shard.statistics().private_bytes - shard_store.replies().status_bytes();
    }
    /// Nothing is on its way, and nothing is kept that the pool does not show.
    void expect_at_rest() const {
        const ManagerStats stats = shard.statistics();
        EXPECT_EQ(stats.payloads_in_flight, 0u);
        EXPECT_EQ(stats.waiting, 0u);
        EXPECT_EQ(private_bytes(), 0u);
        EXPECT_EQ(shard.inconsistency(), "");
    }

    store::Store shard_store;
    const shm::Pool* pool = &shard_store.pool();
    RecordingTransport transport;
    Shard shard;
    std::vector<std::byte> large = std::vector<std::byte>(6000, std::byte{4});

  private:
    std::uint64_t hellos_ = 0;
    std::uint64_t requests_ = 100;
    std::uint64_t session_ = 0;
    std::uint64_t stats_session_ = 0;
};

}  // namespace ddict::manager
