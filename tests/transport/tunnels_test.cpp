// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Tunnels: a client that has no network, the entrance on its host, and the exit on another one; over a
// network that delivers what was sent later earlier.
#include "transport/tunnels.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>

#include "base/limits.h"
#include "tests/base/seed.h"
#include "tests/transport/fake_network.h"
#include "tests/transport/peers.h"

namespace ddict::transport::testing {
namespace {

const Secret secret{std::byte{1}, std::byte{2}};
const ProcessIdentity elsewhere{.host_key = 7, .pid = 1, .pid_namespace = 0, .start_time = 1};

/// Answers every message with the same, payload included, as a manager does: to whom its first message names.
class Exit final : public TransportEvents {
  public:
    explicit Exit(Worker& worker) : worker_(worker) {}
    void on_message(Bytes header, const IncomingPayload& payload) override {
        ++messages;
        if (peer == no_peer) {  // a hello
            samehost::LinkName name{};
            std::memcpy(name.data(), header.data() + 1, name.size());
            const Result<PeerId> connected =
                worker_.connect(pack({.name = name, .path = {}, .ucx = {}}), elsewhere);
            if (!connected) return;
            peer = *connected;
        }
        if (is_silent) return;
        if (!payload.present()) return worker_.send(peer, header);
        auto& [kept, buffer] = payloads_[++tag_];
        kept.assign(header.begin(), header.end());
        buffer.assign(payload.in_memory.begin(), payload.in_memory.end());
        if (payload.token == 0) return worker_.send(peer, kept, buffer, tag_);
        buffer.resize(payload.bytes);
        const MutableBytes into(buffer);
        worker_.receive_payload(peer, payload.token, into.first(100), into.subspan(100), tag_);
    }
    void on_payload_received(std::uint64_t tag, bool ok) override {
        received_well = ok;
        if (ok) worker_.send(peer, payloads_[tag].first, payloads_[tag].second, tag);
    }
    void on_payload_sent(std::uint64_t tag, bool) override { payloads_.erase(tag); }
    void on_peer_lost(PeerId which, const Error& why) override {
        if (which == peer) lost = why;
    }

    PeerId peer = no_peer;
    bool is_silent = false;
    bool received_well = false;
    std::uint64_t messages = 0;
    std::optional<Error> lost;

  private:
    Worker& worker_;
    std::uint64_t tag_ = 0;
    std::map<std::uint64_t, std::pair<std::vector<std::byte>, std::vector<std::byte>>> payloads_;
};

class TunnelsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        entrance = start("entrance", path, secret);
        exit = start("exit", {}, secret);
        client = start_client(secret);
        exit_events = std::make_unique<Exit>(*exit);
    }
    std::unique_ptr<Worker> start(const std::string& name, const std::string& listen_at,
                                  const Secret& knows) {
        return Worker::create({.start_network = network.joined_as(name),
                               .listen_at = listen_at,
                               .on_network = true,
                               .secret = knows,
                               .claim_timeout = std::chrono::milliseconds(300)})
            .value();
    }
    std::unique_ptr<Worker> start_client(const Secret& knows) const {
        return Worker::create({.tunnel_entrances = [this]() -> Result<std::vector<std::string>> {
                                   return std::vector{path};
                               },
                               .secret = knows})
            .value();
    }
    /// As a hello begins.
    std::vector<std::byte> hello(std::size_t size = 64) {
        std::vector<std::byte> message = pattern(size, 1);
        message[0] = std::byte{2};
        const auto address = unpack(client->address()).value();
        std::memcpy(message.data() + 1, address.name.data(), address.name.size());
        return message;
    }
    void connect() {
        const auto connected =
            client->connect(pack({.name = {}, .path = {}, .ucx = bytes_of("exit")}), elsewhere);
        ASSERT_TRUE(connected) << connected.error().message();
        peer = *connected;
        client->send(peer, hello());
        ASSERT_TRUE(run_until([&] { return events.messages.size() == 1; }));
        events.messages.clear();
    }
    bool run_until(const std::function<bool()>& done) {
        for (const auto deadline = Clock::now() + test_timeout(); Clock::now() < deadline;) {
            if (done()) return true;
            if (entrance != nullptr) entrance->poll(entrance_events);
            if (exit != nullptr) exit->poll(*exit_events);
            if (client != nullptr && client_reads) client->poll(events);
        }
        return done();
    }
    std::size_t tunnels() const {
        return (entrance != nullptr ? entrance->tunnels() : 0) + (exit != nullptr ? exit->tunnels() : 0);
    }

    const std::string path = "/dev/shm/ddict-test-" + std::to_string(::getpid()) + "-socket";
    FakeNetwork network{test_seed() | 1};
    std::unique_ptr<Worker> entrance;
    std::unique_ptr<Worker> exit;
    std::unique_ptr<Worker> client;
    Observer entrance_events;
    std::unique_ptr<Exit> exit_events;
    Observer events;
    PeerId peer = no_peer;
    bool client_reads = true;
};

TEST_F(TunnelsTest, MessagesOfAllSizesComeBack) {
    connect();
    std::vector<std::vector<std::byte>> sent;
    for (std::size_t size = 1; size <= limits::header_bytes_max; size += 1 + size / 3)
        sent.push_back(pattern(size, size));
    for (const auto& message : sent)
        client->send(peer, message);
    ASSERT_TRUE(run_until([&] { return events.messages.size() == sent.size(); }));
    for (std::size_t i = 0; i < sent.size(); ++i)
        EXPECT_EQ(events.messages[i].header, sent[i]) << "in the order in which they were sent";
    EXPECT_FALSE(client->is_same_host(peer));
    EXPECT_FALSE(exit->is_same_host(exit_events->peer));
    EXPECT_EQ(client->describe(peer), "through a manager of the client's node");
    EXPECT_TRUE(entrance_events.messages.empty());
}

TEST_F(TunnelsTest, PayloadsOfAllSizesComeBack) {
    connect();
    for (const std::size_t size :
         {4097UL, 12UL * 1024, 12UL * 1024 + 1, 16'320UL, 100'000UL, 1UL << 20, (20UL << 20) + 3}) {
        const auto payload = pattern(size, size);
        const Bytes bytes(payload);
        const std::vector<Bytes> parts{bytes.first(80), bytes.subspan(80, 4000), bytes.subspan(4080)};
        for (const bool in_parts : {false, true}) {
            const auto header = pattern(64 + limits::key_bytes_max, 3);
            events = Observer();
            if (in_parts) {
                client->send(peer, header, Parts(parts), 5);
            } else {
                client->send(peer, header, bytes, 5);
            }
            ASSERT_TRUE(run_until([&] { return events.messages.size() == 1 && events.sent.size() == 1; }))
                << size << " bytes";
            EXPECT_EQ(events.sent[0], std::make_pair(std::uint64_t{5}, true));
            EXPECT_EQ(events.messages[0].header, header);
            std::vector<std::byte> back = events.messages[0].payload;
            if (const std::uint64_t token = events.messages[0].token; token != 0) {
                back.resize(size);
                client->receive_payload(peer, token, back, 6);
                ASSERT_TRUE(run_until([&] { return events.received.size() == 1; })) << size << " bytes";
                EXPECT_EQ(events.received[0], std::make_pair(std::uint64_t{6}, true));
            }
            EXPECT_EQ(back, payload) << size << " bytes";
        }
    }
}

/// Whatever the exit sends to a client that does not read: it stays with the exit, which drops such a client.
TEST_F(TunnelsTest, WhoDoesNotReadIsDroppedAndHoldsUpNobody) {
    connect();
    client_reads = false;
    const auto message = pattern(4000, 1);
    const std::uint64_t sent_before = network.sent();
    for (int i = 0; i < 4000; ++i)
        exit->send(exit_events->peer, message);
    for (int i = 0; i < 1000; ++i)
        run_until([] { return true; }), entrance->poll(entrance_events), exit->poll(*exit_events);
    const std::uint64_t frames = network.sent() - sent_before;
    EXPECT_LE(frames * limits::header_bytes_max, 2 * Tunnels::window_bytes + 2 * samehost::ring_bytes);
    EXPECT_GT(frames * limits::header_bytes_max, Tunnels::window_bytes / 2);
    EXPECT_FALSE(exit_events->lost);
    for (int i = 0; i < 1000; ++i)
        exit->send(exit_events->peer, message);
    EXPECT_TRUE(run_until([&] { return exit_events->lost.has_value(); }));
    client_reads = true;
    EXPECT_TRUE(run_until([&] { return events.lost.size() == 1; }));
    EXPECT_TRUE(run_until([&] { return tunnels() == 0; }));
}

/// The other end knows the secret, and keeps to nothing. Memory is not to be had by that.
TEST_F(TunnelsTest, EndWhereMoreComesThanMayBeUnderWay) {
    connect();
    client_reads = false;
    std::vector<std::byte> frame(32);
    frame[0] = std::byte{0xdd};
    frame[1] = std::byte{3};
    std::memcpy(&frame[8], &network.last_message()[8], 8);
    const auto record = pattern(4000, 1);
    Packer(frame).put(static_cast<std::uint32_t>(record.size())).put(std::uint16_t{0});
    frame.push_back(static_cast<std::byte>(samehost::RecordKind::message));
    frame.push_back(std::byte{0});
    frame.insert(frame.end(), record.begin(), record.end());
    const std::uint64_t first = 8 + hello().size();  // after what came back when it connected
    std::uint64_t sent = 0;
    while (entrance->tunnels() != 0 && sent < 100 * Tunnels::in_flight_bytes_max) {
        const std::uint64_t position = first + sent;
        std::memcpy(&frame[16], &position, sizeof position);
        network.find("entrance")->deliver(frame);
        entrance->poll(entrance_events);
        sent += frame.size() - 32;
    }
    EXPECT_EQ(entrance->tunnels(), 0U);
    EXPECT_GT(sent, Tunnels::window_bytes);
    EXPECT_LT(sent, Tunnels::in_flight_bytes_max + 2 * samehost::ring_bytes);
}

TEST_F(TunnelsTest, EndWithTheClient) {
    connect();
    client->send(peer, hello(100));
    client.reset();
    EXPECT_TRUE(run_until([&] { return exit_events->lost.has_value(); }));
    EXPECT_EQ(exit_events->messages, 2U) << "what it had sent before comes";
    EXPECT_TRUE(run_until([&] { return tunnels() == 0; }));
    EXPECT_EQ(network.find("entrance")->peers() + network.find("exit")->peers(), 0U);
}

TEST_F(TunnelsTest, EndWithTheConnectionOfTheClient) {
    connect();
    client->send(peer, hello(100));
    client->close(peer);
    EXPECT_TRUE(run_until([&] { return exit_events->lost.has_value(); }));
    EXPECT_EQ(exit_events->messages, 2U);
    EXPECT_TRUE(run_until([&] { return tunnels() == 0; }));
    EXPECT_TRUE(events.lost.empty());
}

TEST_F(TunnelsTest, EndWithTheConnectionOfTheExit) {
    connect();
    exit->send(exit_events->peer, pattern(50, 9));
    exit->close(exit_events->peer);
    ASSERT_TRUE(run_until([&] { return !events.lost.empty(); }));
    EXPECT_EQ(events.messages.size(), 1U) << "what it had sent before comes";
    EXPECT_EQ(events.lost[0].second.code, Errc::manager_lost);
    EXPECT_NE(events.lost[0].second.message().find("closed"), std::string::npos);
    EXPECT_TRUE(run_until([&] { return tunnels() == 0; }));
}

TEST_F(TunnelsTest, EndWithTheExit) {
    connect();
    exit.reset();
    ASSERT_TRUE(run_until([&] { return !events.lost.empty(); }));
    EXPECT_NE(events.lost[0].second.message().find("the network says so"), std::string::npos)
        << "the reason is that of the entrance";
    EXPECT_TRUE(run_until([&] { return tunnels() == 0; }));
}

TEST_F(TunnelsTest, EndWithTheEntrance) {
    connect();
    const auto payload = pattern(1 << 20, 1);
    exit_events->is_silent = true;
    client->send(peer, hello(100), payload, 4);
    entrance.reset();
    ASSERT_TRUE(run_until([&] { return !events.lost.empty() && exit_events->lost; }));
    EXPECT_EQ(events.sent.size(), 1U);
    EXPECT_EQ(events.lost[0].second.manager_state, ManagerState::unreachable);
    EXPECT_NE(events.lost[0].second.message().find("of this node"), std::string::npos);
    EXPECT_TRUE(run_until([&] { return tunnels() == 0; }));
}

/// With payloads under way in both directions.
TEST_F(TunnelsTest, EndInTheMiddle) {
    for (const int what : {0, 1, 2, 3}) {
        client.reset();
        exit.reset();
        entrance.reset();
        SetUp();
        connect();
        const auto payload = pattern(8 << 20, 1);
        events = Observer();
        client->send(peer, hello(100), payload, 4);
        exit->send(exit_events->peer, hello(100), payload, 1000);
        std::vector<std::byte> into(payload.size());
        ASSERT_TRUE(run_until([&] { return events.messages.size() == 1; }));
        client->receive_payload(peer, events.messages[0].token, into, 5);
        const std::uint64_t sent = network.sent();
        ASSERT_TRUE(run_until([&] { return network.sent() > sent + 100; }));
        if (what == 0) client->close(peer);
        if (what == 1) exit->close(exit_events->peer);
        if (what == 2) exit.reset();
        if (what == 3) entrance.reset();
        ASSERT_TRUE(run_until([&] { return events.sent.size() == 1 && events.received.size() == 1; }))
            << what;
        EXPECT_FALSE(events.received[0].second) << what;
        EXPECT_TRUE(run_until([&] { return tunnels() == 0; })) << what;
    }
}

TEST_F(TunnelsTest, AreForThoseWhoKnowTheSecret) {
    client = start_client(Secret{});
    const auto connected =
        client->connect(pack({.name = {}, .path = {}, .ucx = bytes_of("exit")}), elsewhere);
    ASSERT_TRUE(connected);
    ASSERT_TRUE(run_until([&] { return events.lost.size() == 1; }));
    EXPECT_EQ(entrance->counters_of_samehost().malformed, 1U);
    EXPECT_EQ(network.sent(), 0U);
    // And between managers.
    client = start_client(secret);
    exit = nullptr;
    exit = start("exit", {}, Secret{});
    exit_events = std::make_unique<Exit>(*exit);
    ASSERT_TRUE(client->connect(pack({.name = {}, .path = {}, .ucx = bytes_of("exit")}), elsewhere));
    ASSERT_TRUE(run_until([&] { return network.sent() == 1; }));
    for (int i = 0; i < 100; ++i)
        exit->poll(*exit_events);
    EXPECT_EQ(exit->tunnels(), 0U);
    EXPECT_EQ(network.find("exit")->peers(), 0U) << "a stranger was connected to";
    EXPECT_EQ(network.sent(), 1U) << "a stranger was answered";
}

TEST_F(TunnelsTest, ThatNobodyClaimsEnd) {
    exit_events->peer = 1;  // so it does not look at hellos
    ASSERT_TRUE(client->connect(pack({.name = {}, .path = {}, .ucx = bytes_of("exit")}), elsewhere));
    ASSERT_TRUE(run_until([&] { return tunnels() == 2; }));
    EXPECT_TRUE(run_until([&] { return tunnels() == 0 && events.lost.size() == 1; }));
}

TEST_F(TunnelsTest, ToNowhereSayWhy) {
    ASSERT_TRUE(client->connect(pack({.name = {}, .path = {}, .ucx = bytes_of("nobody")}), elsewhere));
    ASSERT_TRUE(run_until([&] { return events.lost.size() == 1; }));
    const Error& why = events.lost[0].second;
    EXPECT_EQ(why.code, Errc::manager_lost);
    EXPECT_EQ(why.manager_state, ManagerState::unreachable);
    EXPECT_NE(why.message().find("nobody has this address"), std::string::npos) << why.message();
    EXPECT_EQ(tunnels(), 0U);
}

TEST_F(TunnelsTest, ThatCannotBeAskedForSayWhy) {
    entrance.reset();
    const auto connected =
        client->connect(pack({.name = {}, .path = {}, .ucx = bytes_of("exit")}), elsewhere);
    ASSERT_FALSE(connected);
    EXPECT_EQ(connected.error().code, Errc::manager_lost);
    EXPECT_EQ(connected.error().manager_state, ManagerState::unreachable);
    EXPECT_NE(connected.error().message().find(path), std::string::npos) << connected.error().message();
}

/// What anybody on the network may send.
TEST_F(TunnelsTest, NoiseIsIgnored) {
    connect();
    std::mt19937_64 random(test_seed() | 1);
    for (int i = 0; i < 20'000; ++i) {
        auto noise = pattern(1 + random() % 200, random());
        noise[0] = std::byte{0xdd};
        if (noise.size() > 1) noise[1] = static_cast<std::byte>(random() % 6);
        network.find(random() % 2 == 0 ? "entrance" : "exit")->deliver(noise);
        entrance->poll(entrance_events);
        exit->poll(*exit_events);
    }
    EXPECT_EQ(tunnels(), 2U);
    client->send(peer, hello(80));
    EXPECT_TRUE(run_until([&] { return events.messages.size() == 1; }));
    EXPECT_TRUE(entrance_events.messages.empty());
}

}  // namespace
}  // namespace ddict::transport::testing
