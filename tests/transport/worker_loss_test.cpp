// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Peers that die: every outstanding operation ends, the loss is told once and soon, and nobody else notices.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>

#include "base/limits.h"
#include "tests/own_host/run_tests.h"
#include "tests/transport/peers.h"
#include "transport/worker.h"

namespace ddict::transport::testing {
namespace {

constexpr std::chrono::milliseconds loss_told_within{500};

class WorkerLossTest : public ::testing::TestWithParam<Way> {
  protected:
    void SetUp() override {
        worker = make_worker(GetParam());
        partner = std::make_unique<Partner>(GetParam(), *worker);
        const auto connected = partner->connect(*worker);
        ASSERT_TRUE(connected) << connected.error().message();
        peer = *connected;
        worker->send(peer, order(Order::echo));
        ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }));
        observer = Observer();
    }
    void kill_and_wait_for_loss() {
        partner->kill();
        const auto begin = Clock::now();
        ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.lost.empty(); }));
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
        std::printf("%s: loss told after %d ms: %s\n", GetParam().name, static_cast<int>(took.count()),
                    observer.lost[0].second.message().c_str());
        EXPECT_LT(took, loss_told_within);
        ASSERT_EQ(observer.lost.size(), 1U);
        EXPECT_EQ(observer.lost[0].first, peer);
        EXPECT_EQ(observer.lost[0].second.code, Errc::manager_lost);
    }

    std::unique_ptr<Worker> worker;
    std::unique_ptr<Partner> partner;
    PeerId peer = no_peer;
    Observer observer;
};

INSTANTIATE_TEST_SUITE_P(Ways, WorkerLossTest, ::testing::Values(same_host, tcp_between_hosts),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(WorkerLossTest, AnIdlePeer) {
    kill_and_wait_for_loss();
    // Nothing more comes, and what is sent is dropped.
    worker->send(peer, order(Order::echo));
    EXPECT_EQ(worker->progress(observer, Clock::now() + std::chrono::milliseconds(50)), 0U);
    EXPECT_EQ(observer.lost.size(), 1U);
}

TEST_P(WorkerLossTest, ABodyThatWasNotFetched) {
    const auto payload = pattern(32 << 20, 1);
    worker->send(peer, order(Order::ignore), payload, 11);
    worker->send(peer, order(Order::echo));
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }));
    ASSERT_TRUE(observer.sent.empty());
    kill_and_wait_for_loss();
    ASSERT_EQ(observer.sent.size(), 1U);
    EXPECT_EQ(observer.sent[0], std::make_pair(std::uint64_t{11}, false));
}

TEST_P(WorkerLossTest, MessagesThatWereNotRead) {
    worker->send(peer, order(Order::freeze));
    for (int i = 0; i < 2000; ++i)
        worker->send(peer, order(Order::echo, 4000));
    const auto payload = pattern(1 << 20, 1);
    worker->send(peer, order(Order::echo), payload, 12);
    kill_and_wait_for_loss();
    ASSERT_EQ(observer.sent.size(), 1U);
    EXPECT_EQ(observer.sent[0], std::make_pair(std::uint64_t{12}, false));
}

TEST_P(WorkerLossTest, ABodyThatIsFetchedTooLate) {
    auto ask = order(Order::announce, 9);
    const std::uint64_t size = 32 << 20;
    std::memcpy(ask.data() + 1, &size, sizeof size);
    worker->send(peer, ask);
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }));
    std::vector<std::byte> buffer(size);
    partner->kill();
    worker->receive_payload(peer, observer.messages[0].token, buffer, 13);
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.lost.empty(); }));
    ASSERT_EQ(observer.received.size(), 1U);
    EXPECT_EQ(observer.received[0], std::make_pair(std::uint64_t{13}, false));
}

TEST_P(WorkerLossTest, ABodyInTheMiddle) {
    auto ask = order(Order::announce, 9);
    const std::uint64_t size = 64 << 20;
    std::memcpy(ask.data() + 1, &size, sizeof size);
    worker->send(peer, ask);
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }));
    std::vector<std::byte> buffer(size);
    worker->receive_payload(peer, observer.messages[0].token, buffer, 14);
    for (int i = 0; i < 3; ++i)
        worker->poll(observer);
    kill_and_wait_for_loss();
    ASSERT_EQ(observer.received.size(), 1U);
    EXPECT_EQ(observer.received[0].first, 14U);
    if (observer.received[0].second) {
        EXPECT_EQ(buffer, pattern(size, size));
    }
}

TEST_P(WorkerLossTest, APeerThatIsClosedAlready) {
    const auto payload = pattern(8 << 20, 1);
    worker->send(peer, order(Order::ignore), payload, 15);
    worker->close(peer);
    partner->kill();
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.sent.empty(); }));
    EXPECT_EQ(observer.sent[0], std::make_pair(std::uint64_t{15}, false));
    worker->progress(observer, Clock::now() + std::chrono::milliseconds(50));
    EXPECT_TRUE(observer.lost.empty());
}

TEST_P(WorkerLossTest, ConnectingToAProcessThatHasEnded) {
    partner->kill();
    const auto begin = Clock::now();
    const auto connected = partner->connect(*worker);
    if (connected) {
        const auto told = [&](PeerId id) {
            return std::any_of(observer.lost.begin(), observer.lost.end(),
                               [&](const auto& lost) { return lost.first == id; });
        };
        worker->send(*connected, order(Order::echo));
        EXPECT_TRUE(run_until(*worker, observer, [&] { return told(*connected); }));
    } else {
        EXPECT_EQ(connected.error().code, Errc::manager_lost) << connected.error().message();
    }
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(2));
}

/// Echoes to whom the message names.
struct Server : TransportEvents {
    void on_message(Bytes header, const IncomingPayload& payload) override {
        if (payload.token != 0) worker->discard_payload(payload.token);
        if (payload.present() || header.size() < 5 || header[0] != static_cast<std::byte>(Order::echo))
            return;
        std::int32_t pid = 0;
        std::memcpy(&pid, header.data() + 1, sizeof pid);
        ++messages;
        if (const auto at = peers.find(pid); at != peers.end()) worker->send(at->second, header);
    }
    void on_payload_received(std::uint64_t, bool) override {}
    void on_payload_sent(std::uint64_t, bool) override {}
    void on_peer_lost(PeerId peer, const Error&) override { ++lost[peer]; }

    Worker* worker = nullptr;
    std::uint64_t messages = 0;
    std::map<std::int32_t, PeerId> peers;
    std::map<PeerId, unsigned> lost;
};

class KillSoak : public ::testing::TestWithParam<Way> {};

INSTANTIATE_TEST_SUITE_P(Ways, KillSoak, ::testing::Values(same_host, tcp_between_hosts),
                         [](const auto& instance) { return instance.param.name; });

// DDICT_SOAK_SECONDS makes it longer.
TEST_P(KillSoak, ASteadyPeerDoesNotNotice) {
    const char* given = std::getenv("DDICT_SOAK_SECONDS");
    const std::chrono::seconds duration(given != nullptr ? std::atoi(given) : 5);
    const auto worker = make_worker(GetParam());
    Server server;
    server.worker = worker.get();
    const auto join = [&](Partner& partner) {
        const auto peer = partner.connect(*worker);
        if (peer) server.peers[partner.pid()] = *peer;
    };
    Partner steady(GetParam(), *worker, "steady");
    join(steady);
    std::mt19937_64 random(std::random_device{}());
    unsigned kills = 0;
    const auto until = Clock::now() + duration;
    while (Clock::now() < until || kills < 50) {
        const bool floods = kills % 2 == 0;
        Partner victim(GetParam(), *worker, floods ? "flood" : "pester");
        join(victim);
        const PeerId peer = server.peers[victim.pid()];
        const auto deadline = Clock::now() + test_timeout();
        if (!floods) {
            const auto enough =
                server.messages + (kills % 4 == 1 ? 0 : random() % 1000);  // or while it connects
            while (server.messages < enough && Clock::now() < deadline)
                worker->progress(server, deadline);
            ASSERT_GE(server.messages, enough) << "stalled after " << kills << " kills";
            victim.kill();
        }
        while (peer != no_peer && server.lost[peer] == 0 && Clock::now() < deadline)
            worker->progress(server, deadline);
        ASSERT_EQ(server.lost[peer], peer == no_peer ? 0U : 1U) << "stalled after " << kills << " kills";
        server.peers.erase(victim.pid());
        ++kills;
    }
    const ucx::WorkerCounters* const of_ucx = worker->counters_of_ucx();
    std::printf("%s: %u kills, %llu messages, %llu requests given up\n", GetParam().name, kills,
                static_cast<unsigned long long>(server.messages),
                static_cast<unsigned long long>(of_ucx != nullptr ? of_ucx->requests_given_up : 0));
    EXPECT_EQ(steady.finish([&] { worker->poll(server); }), 0);
}

}  // namespace
}  // namespace ddict::transport::testing

int main(int argc, char** argv) {
    ddict::transport::testing::run_as_partner(argc, argv);
    return ddict::testing::run_all_tests(argc, argv);
}
