// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The simulated network itself: it keeps the contract of the port, repeats itself, and sees who breaks it.
#include "tests/sim/sim_network.h"

#include <gtest/gtest.h>

#include "tests/sim/seeds.h"

namespace ddict::sim {
namespace {

using namespace std::chrono_literals;

/// Writes down what happens; does with payloads what it is told to.
class Witness final : public TransportEvents {
  public:
    explicit Witness(Process& process) : process_(process) { process.listen(*this); }

    void on_message(Bytes header, const IncomingPayload& payload) override {
        log += "message " + std::string(text_of(header)) + (payload.present() ? " with payload\n" : "\n");
        if (payload.token == 0) {
            received.assign(payload.in_memory.begin(), payload.in_memory.end());
            return;
        }
        tokens.push_back(payload.token);
        if (from == no_peer) return;
        received.assign(payload.bytes, std::byte{0});
        process_.receive_payload(from, payload.token, received, 7);
    }
    void on_payload_received(std::uint64_t tag, bool ok) override {
        log += "received " + std::to_string(tag) + (ok ? " ok\n" : " not\n");
    }
    void on_payload_sent(std::uint64_t tag, bool ok) override {
        log += "sent " + std::to_string(tag) + (ok ? " ok\n" : " not\n");
    }
    void on_peer_lost(PeerId peer, const Error&) override { log += "lost " + std::to_string(peer) + "\n"; }

    std::string log;
    std::vector<std::uint64_t> tokens;
    std::vector<std::byte> received;
    PeerId from = no_peer;  // payloads are received as of this peer; none: they are left alone

  private:
    Process& process_;
};

struct Pair {
    explicit Pair(std::uint64_t seed, std::uint32_t host_of_b = 1)
        : network(seed, {.eager_payload_bytes_max = 0}),
          a(network.start(0)),
          b(network.start(host_of_b)),
          at_a(a),
          at_b(b) {
        a_to_b = a.connect(b.address(), b.identity()).value();
        b_to_a = b.connect(a.address(), a.identity()).value();
        at_b.from = b_to_a;
    }
    void run_for(Duration time) {
        const Time until = network.now() + time;
        network.at(until, [] {});
        network.run_until([&] { return network.now() >= until; });
    }

    Network network;
    Process& a;
    Process& b;
    Witness at_a;
    Witness at_b;
    PeerId a_to_b = no_peer;
    PeerId b_to_a = no_peer;
};

std::string log_of_twenty_messages(std::uint64_t seed) {
    Pair pair(seed);
    for (int i = 0; i < 20; ++i)
        pair.a.send(pair.a_to_b, bytes_of(std::to_string(i)));
    pair.network.run();
    return pair.at_b.log;
}

TEST(SimulatedNetwork, RepeatsItselfAndOvertakes) {
    const std::string first = log_of_twenty_messages(1);
    EXPECT_EQ(first, log_of_twenty_messages(1));
    EXPECT_NE(first, log_of_twenty_messages(2));
    std::string in_order;
    for (int i = 0; i < 20; ++i)
        in_order += "message " + std::to_string(i) + "\n";
    EXPECT_NE(first, in_order);
    EXPECT_EQ(first.size(), in_order.size());
}

TEST(SimulatedNetwork, ABodyIsReadLateAndReportedOnce) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Pair pair(seed);
        std::vector<std::byte> payload(1000, std::byte{1});
        pair.a.send(pair.a_to_b, bytes_of("header"), payload, 5);
        std::fill(payload.begin(), payload.end(), std::byte{2});  // before the transfer: this is what arrives
        ASSERT_TRUE(pair.network.run());
        EXPECT_EQ(pair.at_b.log, "message header with payload\nreceived 7 ok\n");
        EXPECT_EQ(pair.at_a.log, "sent 5 ok\n");
        EXPECT_TRUE(pair.at_b.received == payload);
        EXPECT_EQ(pair.network.unsettled(), "");
        EXPECT_TRUE(pair.network.breaches().empty());
        tally.events += pair.network.counters().events;
    });
}

/// Whenever the one dies, the other hears first of its payloads and then of the loss, each once.
TEST(SimulatedNetwork, ADeathIsToldInOrder) {
    unsigned failed_out = 0;
    unsigned failed_in = 0;
    for_each_seed(300, [&](std::uint64_t seed, Tally& tally) {
        Pair pair(seed, static_cast<std::uint32_t>(seed % 2));
        const std::vector<std::byte> payload(1000, std::byte{1});
        const bool sender_dies = seed % 3 == 0;
        pair.a.send(pair.a_to_b, bytes_of("header"), payload, 5);
        pair.run_for(std::chrono::microseconds(pair.network.random().below(400)));
        pair.network.kill(sender_dies ? pair.a : pair.b);
        ASSERT_TRUE(pair.network.run());
        const std::string lost = "lost " + std::to_string(sender_dies ? pair.b_to_a : pair.a_to_b) + "\n";
        if (sender_dies) {
            const std::string& log = pair.at_b.log;
            EXPECT_TRUE(log == lost || log == "message header with payload\nreceived 7 ok\n" + lost ||
                        log == "message header with payload\nreceived 7 not\n" + lost ||
                        log == lost + "message header with payload\nreceived 7 not\n")
                << log;
            failed_in += log.find("7 not") != std::string::npos ? 1u : 0u;
        } else {
            const std::string& log = pair.at_a.log;
            EXPECT_TRUE(log == "sent 5 ok\n" + lost || log == "sent 5 not\n" + lost) << log;
            failed_out += log.find("5 not") != std::string::npos ? 1u : 0u;
        }
        EXPECT_EQ(pair.network.unsettled(), "");
        tally.events += pair.network.counters().events;
    });
    EXPECT_TRUE((failed_in > 0 && failed_out > 0) || repeats_one_seed());
}

TEST(SimulatedNetwork, ACutTellsNobodyAndKeepsWhatIsOnItsWay) {
    Pair pair(1);
    pair.network.cut(1, 0);
    pair.a.send(pair.a_to_b, bytes_of("late"));
    pair.network.kill(pair.a);
    pair.run_for(1h);
    EXPECT_EQ(pair.at_b.log, "");
    pair.network.join(0, 1);
    ASSERT_TRUE(pair.network.run());
    EXPECT_NE(pair.at_b.log.find("lost"), std::string::npos);
}

TEST(SimulatedNetwork, ClosingEndsTransfersButNotMessages) {
    for_each_seed(100, [](std::uint64_t seed, Tally& tally) {
        Pair pair(seed);
        const std::vector<std::byte> payload(1000, std::byte{1});
        pair.a.send(pair.a_to_b, bytes_of("payload"), payload, 5);
        pair.a.send(pair.a_to_b, bytes_of("goodbye"));
        pair.a.close(pair.a_to_b);
        pair.a.send(pair.a_to_b, bytes_of("ignored"), payload, 6);
        ASSERT_TRUE(pair.network.run());
        EXPECT_NE(pair.at_b.log.find("message goodbye\n"), std::string::npos);
        EXPECT_EQ(pair.at_b.log.find("ignored"), std::string::npos);
        EXPECT_NE(pair.at_a.log.find("sent 5"), std::string::npos);
        EXPECT_NE(pair.at_a.log.find("sent 6 not"), std::string::npos);
        EXPECT_EQ(pair.at_a.log.find("lost"), std::string::npos);
        EXPECT_EQ(pair.network.unsettled(), "");
        tally.events += pair.network.counters().events;
    });
}

TEST(SimulatedNetwork, SeesBreachesOfTheContract) {
    const std::vector<std::byte> payload(1000, std::byte{1});
    const std::vector<std::byte> long_header(limits::header_bytes_max + 1);
    Pair pair(1);
    pair.a.send(pair.a_to_b, long_header);
    EXPECT_EQ(pair.network.breaches().size(), 1u);
    pair.a.send(pair.a_to_b, Bytes(long_header).first(65 + limits::key_bytes_max), payload, 5);
    EXPECT_EQ(pair.network.breaches().size(), 2u);
    pair.a.send(pair.a_to_b + 100, bytes_of("header"));
    EXPECT_EQ(pair.network.breaches().size(), 3u);
    pair.b.discard_payload(99);
    EXPECT_EQ(pair.network.breaches().size(), 4u);
    ASSERT_TRUE(pair.network.run());
    ASSERT_EQ(pair.at_b.tokens.size(), 1u);
    pair.b.discard_payload(pair.at_b.tokens[0]);
    EXPECT_EQ(pair.network.breaches().size(), 5u) << "received and discarded";
}

TEST(SimulatedNetwork, SeesAForgottenPayload) {
    const std::vector<std::byte> payload(1000, std::byte{1});
    Pair pair(1);
    pair.at_b.from = no_peer;
    pair.a.send(pair.a_to_b, bytes_of("header"), payload, 5);
    ASSERT_TRUE(pair.network.run());
    EXPECT_NE(pair.network.unsettled().find("neither received nor discarded"), std::string::npos);
}

TEST(SimulatedNetwork, RefusesAddressesThatAreNone) {
    Pair pair(1);
    const std::vector<std::byte> garbage = pair.network.random().bytes(64);
    EXPECT_FALSE(pair.a.connect(garbage, pair.b.identity()).has_value());
    EXPECT_FALSE(pair.a.connect(pair.b.address().first(20), pair.b.identity()).has_value());
}

}  // namespace
}  // namespace ddict::sim
