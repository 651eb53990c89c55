// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Random bytes, and valid messages that were changed, thrown at shards and requesters. A message is either
// answered or counted as rejected, and a rejected one has changed nothing.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>

#include "base/hash.h"
#include "tests/sim/seeds.h"
#include "tests/sim/sim_cluster.h"
#include "wire/items.h"
#include "wire/stats.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;
using wire::Verb;

std::vector<std::byte> request_bytes(const wire::RequestHeader& header, Bytes key, Bytes inline_value) {
    std::vector<std::byte> message;
    Packer(message).put(header);
    message.insert(message.end(), key.begin(), key.end());
    message.insert(message.end(), inline_value.begin(), inline_value.end());
    return message;
}

/// A request as a client might make it, with any verb; the key may be there or not.
struct Sample {
    wire::RequestHeader header;
    std::string key;
    std::vector<std::byte> value;
};

std::vector<std::byte> packed_items(Verb verb, Random& random, std::uint64_t& count) {
    std::vector<std::byte> packed(limits::batch_bytes_max);
    wire::ItemWriter items(packed);
    count = random.below(random.chance(20) ? 400 : 5);
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::string key = "k" + std::to_string(random.below(8));
        if (verb == Verb::batch_put) {
            items.pair(bytes_of(key), 3, random.bytes(random.below(60)));
        } else {
            items.key(bytes_of(key));
        }
    }
    packed.resize(items.written().size());
    return packed;
}

Sample sample_of(Verb verb, Random& random) {
    Sample out;
    out.header.verb = verb;
    out.header.value_type = std::array<std::uint16_t, 3>{0, 1, 0x0113}[random.below(3)];
    const auto key = [&] { out.key = "k" + std::to_string(random.below(8)); };
    switch (verb) {
        case Verb::put:
            key();
            out.value = random.bytes(random.below(8000));
            out.header.flags = static_cast<std::uint16_t>(random.below(3));
            break;
        case Verb::touch:
            key();
            out.header.argument = random.number();
            break;
        case Verb::get:
        case Verb::contains:
        case Verb::erase:
        case Verb::pop:
            key();
            break;
        case Verb::compare_and_swap:
            key();
            out.value = random.bytes(random.below(6000));
            out.header.flags = static_cast<std::uint16_t>(random.below(3));
            if (out.header.flags != wire::swap_if_absent)
                out.header.argument = random.below(out.value.size() + 1);
            if (out.header.flags == wire::swap_erases) out.header.argument = out.value.size();
            break;
        case Verb::fetch_add:
            key();
            out.header.argument = random.number();
            if (random.chance(50)) out.value = random.bytes(8);
            break;
        case Verb::append:
            key();
            out.value = random.bytes(random.below(5000));
            break;
        case Verb::wait_for:
            key();
            out.header.argument = random.below(2000);
            if (random.chance(50)) {
                out.header.flags = wire::wait_for_value;
                out.value = random.bytes(random.below(6000));
            }
            break;
        case Verb::erase_prefix:
            out.key = "k";
            if (random.chance(30)) out.header.argument = random.number();
            break;
        case Verb::count_prefix:
            if (random.chance(50)) out.key = "k";
            if (random.chance(30)) out.header.argument = random.number();
            break;
        case Verb::scan:
            if (random.chance(50)) out.key = "k";
            out.header.flags = static_cast<std::uint16_t>(random.below(2));
            if (random.chance(30)) out.header.argument = random.number();
            break;
        case Verb::batch_get:
        case Verb::batch_put:
        case Verb::batch_erase:
            out.value = packed_items(verb, random, out.header.argument);
            break;
        case Verb::broadcast_put:
            out.value = random.bytes(random.below(6000));
            [[fallthrough]];
        case Verb::broadcast_erase:
            out.key = "all" + std::to_string(random.below(3));
            out.header.flags = static_cast<std::uint16_t>(random.below(2));
            if (out.header.flags == wire::relayed) out.header.argument = random.below(50);
            break;
        case Verb::cancel_wait:
            out.header.argument = random.chance(50) ? random.number() : 1 + random.below(4000);
            break;
        case Verb::freeze:
            out.header.argument = random.below(3);
            break;
        case Verb::hello:
        case Verb::goodbye:
        case Verb::ping:
        case Verb::size:
        case Verb::clear:
        case Verb::stats:
        case Verb::directory:
        case Verb::shutdown:
        case Verb::restart:
        case Verb::checkpoints:
            break;
    }
    out.header.key_bytes = static_cast<std::uint16_t>(out.key.size());
    out.header.value_bytes = out.value.size();
    return out;
}

/// Changes a few bytes, cuts, or lengthens.
void mutate(std::vector<std::byte>& bytes, Random& random) {
    switch (random.below(6)) {
        case 0:
            bytes.resize(random.below(bytes.size() + 1));
            return;
        case 1: {
            const std::vector<std::byte> more = random.bytes(1 + random.below(300));
            bytes.insert(bytes.end(), more.begin(), more.end());
            return;
        }
        case 2:
            bytes = random.bytes(random.below(limits::header_bytes_max + 1));
            return;
        default:
            for (std::uint64_t n = 1 + random.below(4); n > 0 && !bytes.empty(); --n) {
                const std::size_t at =
                    random.below(random.chance(70) ? std::min<std::size_t>(bytes.size(), 48) : bytes.size());
                bytes[at] = random.chance(50) ? static_cast<std::byte>(random.below(256))
                                              : bytes[at] ^ static_cast<std::byte>(1u << random.below(8));
            }
    }
}

/// Changes bytes of a payload, whose length stays.
void mutate_value(std::vector<std::byte>& bytes, Random& random) {
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n)
        bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
}

/// Someone with a process of his own, who speaks the protocol by hand and counts what comes back.
class Stranger final : public TransportEvents {
  public:
    Stranger(Network& network, std::uint32_t host) : process_(network.start(host)) { process_.listen(*this); }

    void on_message(Bytes message, const IncomingPayload& payload) override {
        ++replies;
        if (payload.token != 0) process_.discard_payload(payload.token);
        if (message.size() < sizeof last) return;
        std::memcpy(&last, message.data(), sizeof last);
        if (session_ == 0) session_ = last.argument;
    }
    void on_payload_received(std::uint64_t, bool) override {}
    void on_payload_sent(std::uint64_t, bool) override {}
    void on_peer_lost(PeerId, const Error&) override {}

    std::vector<std::byte> hello(const Credentials& credentials, std::uint64_t number) const {
        wire::RequestHeader header;
        header.verb = Verb::hello;
        header.request = number;
        const std::vector<std::byte> packed = wire::pack_proven(credentials.secret, header,
                                                                {.dictionary_id = credentials.dictionary_id,
                                                                 .proof = {},
                                                                 .ucx_version = credentials.ucx_version,
                                                                 .process = process_.identity(),
                                                                 .address = process_.address()});
        return request_bytes(header, {}, packed);
    }

    wire::ReplyHeader last;
    std::uint64_t replies = 0;

    /// Of its first hello.
    std::uint64_t session() const { return session_; }

  private:
    Process& process_;
    std::uint64_t session_ = 0;
};

std::uint64_t digest(const shm::Pool& pool) {
    std::map<std::string, std::uint64_t> pairs;
    std::uint64_t cursor = 0;
    do {
        cursor = pool.scan(cursor, [&](const shm::Block& block) {
            pairs[std::string(text_of(block.key()))] = content_of(block.value(), block.value_type());
            return true;
        });
    } while (cursor != 0);
    std::vector<std::byte> packed;
    for (const auto& [key, content] : pairs)
        Packer(packed).put_text(key).put(content);
    return hash_of(packed);
}

std::uint64_t rejected(SimClient& client) {
    const Outcome outcome = client.call({.verb = Verb::stats});
    ManagerStats stats;
    EXPECT_TRUE(outcome.ok() && unpack(outcome.value, stats));
    return stats.rejected_messages;
}

TEST(Garbage, ForAShard) {
    std::uint64_t rejected_in_all = 0;
    std::uint64_t answered = 0;
    for_each_seed(150, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1, .pool_bytes = limits::pool_bytes_min});
        Network& network = cluster.network();
        Random& random = cluster.random();
        SimManager& manager = cluster.manager(0);
        SimClient& client = cluster.add_client(0);
        std::deque<Stranger> strangers;
        std::size_t sessions = 0;
        for (unsigned i = 0; i < 5; ++i) {
            const std::string key = "k" + std::to_string(i);
            ASSERT_TRUE(client.call({.verb = Verb::put, .key = key, .value = random.bytes(i * 2000)}).ok());
        }
        std::uint64_t seen = rejected(client);
        for (int i = 0; i < 100; ++i, ++tally.operations) {
            Sample sample = sample_of(static_cast<Verb>(1 + random.below(wire::verb_last)), random);
            wire::RequestHeader& header = sample.header;
            header.request = random.number() >> 1;
            std::vector<std::byte> message;
            std::vector<std::byte> payload;
            if (i % 10 == 0 ||
                manager.shard().sessions().connected() != sessions) {  // a session that surely lives
                strangers.emplace_back(network, 0);
                network.inject(manager.process(), strangers.back().hello(cluster.credentials(), 1), {});
                ASSERT_TRUE(network.run());
                ASSERT_EQ(strangers.back().last.status, 0);
                sessions = manager.shard().sessions().connected();
            }
            Stranger& stranger = strangers.back();
            header.session = stranger.session();
            if (header.verb == Verb::hello) {
                message = stranger.hello(cluster.credentials(), 2);
            } else {
                const bool with_payload = sample.value.size() > limits::inline_value_bytes_max;
                message =
                    request_bytes(header, bytes_of(sample.key), with_payload ? Bytes() : Bytes(sample.value));
                if (with_payload) payload = std::move(sample.value);
                if (random.chance(10)) payload = random.bytes(random.below(10'000));
                if (!payload.empty() && random.chance(20)) mutate_value(payload, random);
            }
            if (random.chance(85)) mutate(message, random);
            const std::uint64_t before = digest(manager.pool());
            const std::uint64_t replies = stranger.replies;
            sessions = manager.shard().sessions().connected();
            network.inject(manager.process(), message, payload);
            ASSERT_TRUE(network.run());
            const std::uint64_t now_rejected = rejected(client) - seen;
            seen += now_rejected;
            ASSERT_LE(now_rejected, 1u);
            if (now_rejected == 1) {
                EXPECT_EQ(digest(manager.pool()), before);
                EXPECT_EQ(manager.shard().sessions().connected(), sessions);
                ++rejected_in_all;
            } else if (stranger.replies > replies) {
                ++answered;
            }
            const ManagerStats stats = manager.statistics();
            EXPECT_EQ(stats.payloads_in_flight, 0u);
            EXPECT_EQ(stats.waiting, 0u);
            EXPECT_EQ(stats.broadcasts, 0u);
            EXPECT_EQ(manager.private_bytes(), 0u);
            ASSERT_EQ(manager.shard().inconsistency(), "");
        }
        EXPECT_EQ(network.unsettled(), "");
        EXPECT_TRUE(network.breaches().empty()) << network.breaches().front();
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((rejected_in_all > 1000 && answered > 100) || repeats_one_seed())
        << rejected_in_all << " rejected, " << answered << " answered";
}

TEST(Garbage, ForARequester) {
    std::uint64_t rejected_in_all = 0;
    std::uint64_t ended = 0;
    for_each_seed(40, [&](std::uint64_t seed, Tally& tally) {
        Cluster cluster(seed, {.managers = 1, .hosts = 1, .pool_bytes = limits::pool_bytes_min});
        Network& network = cluster.network();
        Random& random = cluster.random();
        SimClient& client = cluster.add_client(1);
        ASSERT_TRUE(client.call({.verb = Verb::put, .key = "k", .value = random.bytes(5000)}).ok());
        network.cut(0, 1);  // the true answers do not come any more
        for (int i = 0; i < 100; ++i, ++tally.operations) {
            constexpr Verb verbs[] = {Verb::get, Verb::put, Verb::contains, Verb::scan};
            const Verb verb = verbs[random.below(4)];
            bool done = false;
            Ask ask{.verb = verb, .timeout = 1ms};
            if (verb != Verb::scan) ask.key = "k";
            if (verb == Verb::put) ask.value = random.bytes(100);
            client.start(std::move(ask), [&](const Outcome&) { done = true; });
            // Operations are numbered from the first one on, so any of these may be the right one.
            wire::ReplyHeader header;
            header.verb_and_reply_bit = static_cast<std::uint8_t>(verb) | wire::reply_bit;
            header.status = static_cast<std::uint16_t>(random.chance(20) ? random.below(20) : 0);
            header.request = random.below(300) << 10;
            if (random.chance(10)) header.request |= std::uint64_t{1} << 63;
            const std::size_t bytes = random.below(8000);
            header.value_bytes = bytes;
            const bool with_payload = bytes > limits::inline_value_bytes_max;
            std::vector<std::byte> message;
            Packer(message).put(header);
            if (!with_payload) message.resize(message.size() + bytes);
            if (random.chance(60)) mutate(message, random);
            std::vector<std::byte> payload;
            if (with_payload || random.chance(10)) payload = random.bytes(1 + random.below(9000));
            const std::uint64_t before = client.requester().rejected_messages();
            network.inject(client.process(), message, payload);
            ASSERT_TRUE(network.run_until([&] { return done; }, 100'000));
            rejected_in_all += client.requester().rejected_messages() - before;
            ++ended;
        }
        network.join(0, 1);
        ASSERT_TRUE(network.run());
        EXPECT_EQ(network.unsettled(), "");
        EXPECT_TRUE(network.breaches().empty()) << network.breaches().front();
        EXPECT_TRUE(client.call({.verb = Verb::ping}).ok()) << "it does not recover";
        tally.events += network.counters().events;
    });
    EXPECT_TRUE((rejected_in_all > 500 && ended > 500) || repeats_one_seed()) << rejected_in_all;
}

}  // namespace
}  // namespace ddict::sim
