// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What travels, unharmed and in the right form, and what an idle worker costs.
#include "transport/worker.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include "base/limits.h"
#include "tests/base/seed.h"
#include "tests/own_host/run_tests.h"
#include "tests/transport/allocations.h"
#include "tests/transport/peers.h"

namespace ddict::transport::testing {
namespace {

class WorkerTest : public ::testing::TestWithParam<Way> {
  protected:
    void start() {
        worker = make_worker(GetParam());
        partner = std::make_unique<Partner>(GetParam(), *worker);
        const auto connected = partner->connect(*worker);
        ASSERT_TRUE(connected) << connected.error().message();
        peer = *connected;
    }
    void TearDown() override {
        if (worker == nullptr) return;
        EXPECT_EQ(malformed(*worker), 0U);
        EXPECT_TRUE(observer.lost.empty());
    }

    std::unique_ptr<Worker> worker;
    std::unique_ptr<Partner> partner;
    PeerId peer = no_peer;
    Observer observer;
};

INSTANTIATE_TEST_SUITE_P(Ways, WorkerTest, ::testing::Values(same_host, tcp_between_hosts),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(WorkerTest, HeadsOfAllSizesComeBack) {
    start();
    std::mt19937_64 random(test_seed());
    std::vector<std::size_t> sizes{
        0, 1, 7, 8, 64, 92, 93, 100, 255, 256, 511, 512, 513, 4096, limits::header_bytes_max};
    for (int i = 0; i < 100; ++i)
        sizes.push_back(random() % (limits::header_bytes_max + 1));
    for (const std::size_t size : sizes) {
        auto header = pattern(size, size);
        if (size != 0) header[0] = static_cast<std::byte>(Order::echo);
        observer.messages.clear();
        worker->send(peer, header);
        ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }))
            << size << " bytes";
        EXPECT_EQ(observer.messages[0].header, header) << size << " bytes";
        EXPECT_EQ(observer.messages[0].bytes, 0U);
    }
}

TEST_P(WorkerTest, PayloadsOfAllSizesComeBack) {
    start();
    const std::vector<std::size_t> sizes{limits::inline_value_bytes_max + 1,
                                         8192,
                                         8193,
                                         20'000,
                                         65'536,
                                         262'145,
                                         1 << 20,
                                         (8 << 20) + 3,
                                         std::size_t{64} << 20};
    bool in_memory = false;
    bool announced = false;
    for (const std::size_t size : sizes) {
        const auto payload = pattern(size, size);
        const auto header = order(Order::echo, 64 + limits::key_bytes_max);
        observer = Observer();
        worker->send(peer, header, payload, size);
        ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }))
            << size << " bytes";
        const Observer::Message& message = observer.messages[0];
        EXPECT_EQ(message.header, header);
        ASSERT_EQ(message.bytes, size);
        std::vector<std::byte> back = message.payload;
        (message.token != 0 ? announced : in_memory) = true;
        if (message.token != 0) {
            back.resize(size);
            worker->receive_payload(peer, message.token, back, 77);
            ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.received.empty(); }));
            EXPECT_EQ(observer.received[0], std::make_pair(std::uint64_t{77}, true));
        }
        EXPECT_EQ(back, payload) << size << " bytes";
        ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.sent.empty(); }));
        EXPECT_EQ(observer.sent[0], std::make_pair(std::uint64_t{size}, true));
    }
    EXPECT_TRUE(in_memory) << "the eager path was not taken";
    EXPECT_TRUE(announced) << "the rendezvous path was not taken";
}

TEST_P(WorkerTest, PayloadsOfPartsComeBackInTwoPieces) {
    start();
    for (const std::size_t size :
         {std::size_t{4100}, std::size_t{20'000}, std::size_t{300'001}, std::size_t{24} << 20}) {
        const auto payload = pattern(size, size);
        std::vector<Bytes> parts{Bytes(payload).first(80)};
        const std::size_t step = (size - 80) / (limits::value_parts_max - 1);
        for (std::size_t i = 1; i < limits::value_parts_max; ++i) {
            const std::size_t at = 80 + (i - 1) * step;
            const bool is_last = i + 1 == limits::value_parts_max;
            parts.push_back(Bytes(payload).subspan(at, is_last ? size - at : step));
        }
        const auto header = order(Order::echo, 64 + limits::key_bytes_max);
        observer = Observer();
        worker->send(peer, header, Parts(parts), size);
        ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); })) << size;
        const Observer::Message& message = observer.messages[0];
        EXPECT_EQ(message.header, header);
        ASSERT_EQ(message.bytes, size);
        std::vector<std::byte> back = message.payload;
        if (message.token != 0) {
            back.resize(size);
            const MutableBytes into(back);
            worker->receive_payload(peer, message.token, into.first(80), into.subspan(80), 77);
            ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.received.empty(); }));
            EXPECT_EQ(observer.received[0], std::make_pair(std::uint64_t{77}, true));
        }
        EXPECT_EQ(back, payload) << size << " bytes";
        ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.sent.empty(); }));
        EXPECT_EQ(observer.sent[0], std::make_pair(std::uint64_t{size}, true));
    }
}

TEST_P(WorkerTest, ManyMessagesAtOnce) {
    start();
    constexpr std::size_t count = 1000;
    std::mt19937_64 random(test_seed());
    std::vector<std::vector<std::byte>> payloads(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        auto header = order(Order::echo, 9 + random() % 500);
        std::memcpy(header.data() + 1, &i, sizeof i);
        if (i % 50 != 0) {
            worker->send(peer, header);
        } else {
            payloads[i] = pattern(5000 + random() % 200'000, i);
            worker->send(peer, header, payloads[i], i);
        }
    }
    ASSERT_TRUE(run_until(*worker, observer, [&] {
        for (const auto& message : observer.messages) {
            if (message.token != 0) worker->discard_payload(message.token);
        }
        for (auto& message : observer.messages)
            message.token = 0;
        return observer.messages.size() == count && observer.sent.size() == count / 50;
    })) << observer.messages.size();
    std::vector<bool> seen(count);
    for (const auto& message : observer.messages) {
        std::uint64_t number = 0;
        std::memcpy(&number, message.header.data() + 1, sizeof number);
        ASSERT_LT(number, count);
        EXPECT_FALSE(seen[number]);
        seen[number] = true;
        EXPECT_EQ(message.bytes, payloads[number].size());
    }
    for (const auto& [tag, ok] : observer.sent)
        EXPECT_TRUE(ok) << tag;
}

TEST_P(WorkerTest, ADiscardedPayloadCompletesAtItsSender) {
    start();
    const auto payload = pattern(10 << 20, 1);
    worker->send(peer, order(Order::drop), payload, 5);
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.sent.empty(); }));
    EXPECT_EQ(observer.sent[0].first, 5U);
}

TEST_P(WorkerTest, ATokenIsGoodForOnce) {
    start();
    auto ask = order(Order::announce, 9);
    const std::uint64_t size = 8 << 20;
    std::memcpy(ask.data() + 1, &size, sizeof size);
    worker->send(peer, ask);
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }));
    const std::uint64_t token = observer.messages[0].token;
    ASSERT_NE(token, 0U);
    std::vector<std::byte> buffer(size);
    worker->receive_payload(peer, token, buffer, 1);
    worker->discard_payload(token);
    worker->receive_payload(peer, token, buffer, 2);
    ASSERT_TRUE(run_until(*worker, observer, [&] { return observer.received.size() == 2; }));
    EXPECT_EQ(observer.received[0], std::make_pair(std::uint64_t{2}, false));
    EXPECT_EQ(observer.received[1], std::make_pair(std::uint64_t{1}, true));
    EXPECT_EQ(buffer, pattern(size, size));
}

TEST_P(WorkerTest, TellsWhichTransportsItUses) {
    start();
    worker->send(peer, order(Order::echo));
    ASSERT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }));
    const std::string text = worker->describe(peer);
    std::printf("%s: %s\n", GetParam().name, text.c_str());
    if (GetParam().other_host) {
        EXPECT_EQ(text.find("tcp/"), 0U) << text;
    } else {
        EXPECT_EQ(text, "same host");
        EXPECT_FALSE(worker->has_started_ucx());
    }
    EXPECT_EQ(worker->describe(peer + 1), "closed");
}

TEST_P(WorkerTest, AnIdleWorkerSleepsAndWakes) {
    start();
    const auto ask_usage = [&] {
        observer.messages.clear();
        worker->send(peer, order(Order::usage));
        EXPECT_TRUE(run_until(*worker, observer, [&] { return !observer.messages.empty(); }));
        std::uint64_t us = 0;
        std::memcpy(&us, observer.messages.at(0).header.data() + 1, sizeof us);
        return us;
    };
    ask_usage();
    const std::uint64_t before_us = ask_usage();
    constexpr std::chrono::seconds idle{2};
    observer.messages.clear();
    const auto idle_until = Clock::now() + idle;
    EXPECT_EQ(worker->progress(observer, idle_until), 0U);
    EXPECT_GE(Clock::now(), idle_until);
    const auto begin = Clock::now();
    const std::uint64_t used_us = ask_usage() - before_us;
    const auto round_trip = std::chrono::duration<double, std::micro>(Clock::now() - begin);
    std::printf("%s: %llu us of processor time in 2 s idle; first answer after %.0f us\n", GetParam().name,
                static_cast<unsigned long long>(used_us), round_trip.count());
    EXPECT_LT(used_us, 20'000U) << "more than 1 % of a core";
    EXPECT_LT(round_trip, std::chrono::milliseconds(500));
}

TEST_P(WorkerTest, StopIsBounded) {
    start();
    worker->send(peer, order(Order::freeze));
    const auto payload = pattern(16 << 20, 1);
    for (std::uint64_t i = 0; i < 500; ++i)
        worker->send(peer, order(Order::echo, 3000));
    worker->send(peer, order(Order::echo), payload, 1);
    const auto begin = Clock::now();
    worker->stop(begin + std::chrono::milliseconds(300));
    worker.reset();
    EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(300) + test_timeout() / 20);
}

TEST_P(WorkerTest, StopSendsWhatIsOutstanding) {
    start();
    worker->send(peer, order(Order::quit));
    worker->stop(Clock::now() + test_timeout());
    EXPECT_EQ(partner->finish(), 0);
}

TEST_P(WorkerTest, CloseEndsPayloadsOnTheirWay) {
    start();
    const auto payload = pattern(16 << 20, 1);
    worker->send(peer, order(Order::ignore), payload, 9);
    worker->close(peer);
    worker->close(peer);
    worker->send(peer, order(Order::echo), payload, 10);
    ASSERT_TRUE(run_until(*worker, observer, [&] { return observer.sent.size() == 2; }));
    EXPECT_FALSE(observer.sent[0].second);
    EXPECT_FALSE(observer.sent[1].second);
    // The same partner can be connected again.
    const auto again = partner->connect(*worker);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_NE(*again, peer);
}

TEST_P(WorkerTest, WatchesDescriptorsBusyAndAsleep) {
    start();
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    unsigned calls = 0;
    ASSERT_TRUE(worker->watch_fd(ends[0], [&] {
        char byte = 0;
        EXPECT_EQ(::read(ends[0], &byte, 1), 1);
        if (++calls == 2) worker->unwatch_fd(ends[0]);
    }));
    const int no_such_fd = ::dup(ends[1]);
    ::close(no_such_fd);
    const Result<void> unwatchable = worker->watch_fd(no_such_fd, [] { FAIL(); });
    ASSERT_FALSE(unwatchable);
    EXPECT_EQ(unwatchable.error().code, Errc::system);
    ASSERT_EQ(::write(ends[1], "x", 1), 1);
    const auto begin = Clock::now();
    EXPECT_EQ(worker->progress(observer, begin + test_timeout()), 0U);
    EXPECT_LT(Clock::now() - begin, test_timeout());
    EXPECT_EQ(calls, 1U);
    // Busy: messages keep coming, progress() always has something to deliver.
    worker->send(peer, order(Order::echo));
    ASSERT_EQ(::write(ends[1], "xy", 2), 2);
    EXPECT_TRUE(run_until(*worker, observer, [&] {
        worker->send(peer, order(Order::echo));
        return calls == 2;
    }));
    worker->poll(observer);
    EXPECT_EQ(calls, 2U);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_P(WorkerTest, RefusesGarbageForAnAddress) {
    worker = make_worker(GetParam());
    std::mt19937_64 random(test_seed());
    const Card card = card_of(*worker, GetParam().other_host ? 1 : 0);
    for (int i = 0; i < 200; ++i) {
        auto address = card.address;
        if (i % 2 == 0) {
            address.resize(random() % address.size());
        } else {
            address[random() % address.size()] ^= static_cast<std::byte>(1 + random() % 255);
        }
        const auto connected = worker->connect(address, card.identity);
        ASSERT_FALSE(connected);
        EXPECT_TRUE(connected.error().code == Errc::bad_handle ||
                    connected.error().code == Errc::incompatible);
    }
    EXPECT_FALSE(worker->connect({}, card.identity));
    EXPECT_FALSE(worker->connect(pattern(5000, 1), card.identity));
}

/// Passes the events on to what a test says.
struct Answering : TransportEvents {
    void on_message(Bytes header, const IncomingPayload&) override {
        ++messages;
        if (answer) worker->send(peer, header);
    }
    void on_payload_received(std::uint64_t, bool) override {}
    void on_payload_sent(std::uint64_t, bool) override {}
    void on_peer_lost(PeerId, const Error&) override { lost = true; }

    Worker* worker = nullptr;
    PeerId peer = no_peer;
    bool answer = false;
    bool lost = false;
    std::uint64_t messages = 0;
};

TEST_P(WorkerTest, TwoInOneProcessAllocateNothingPerMessage) {
    const auto one = make_worker(GetParam());
    const auto two = make_worker(GetParam());
    const std::uint64_t salt = GetParam().other_host ? 1 : 0;
    Answering asker;
    Answering answerer;
    const Card card_one = card_of(*one, salt);
    const Card card_two = card_of(*two, salt);
    asker.worker = one.get();
    asker.peer = one->connect(card_two.address, card_two.identity).value();
    answerer.worker = two.get();
    answerer.peer = two->connect(card_one.address, card_one.identity).value();
    answerer.answer = true;
    std::vector<std::byte> header(5000);
    const auto rounds = [&](std::uint64_t count) {
        const std::uint64_t until = asker.messages + count;
        const auto deadline = Clock::now() + test_timeout();
        std::uint64_t asked = asker.messages;
        while (asker.messages < until && Clock::now() < deadline) {
            for (; asked < asker.messages + 16 && asked < until; ++asked) {
                one->send(asker.peer, Bytes(header).first(asked % 7 == 0 ? 5000 : asked % 300));
            }
            two->poll(answerer);
            one->poll(asker);
        }
        return asker.messages == until;
    };
    ASSERT_TRUE(rounds(5000));
    const std::uint64_t before = allocations();
    ASSERT_TRUE(rounds(10000));
    EXPECT_EQ(allocations() - before, 0U);
    // While one stops, nobody reads the other's messages: that must not hold it up until its deadline.
    const auto began = Clock::now();
    one->stop(began + test_timeout());
    two->stop(began + test_timeout());
    EXPECT_LT(Clock::now() - began, test_timeout() / 2);
    EXPECT_FALSE(asker.lost);
}

/// A path elsewhere could be one that keeps whoever connects waiting.
TEST(WorkerAddress, NamesASocketOfAManagerOrNone) {
    const ProcessIdentity identity = Worker::create().value()->identity();
    const auto connecting = Worker::create().value();
    for (const char* path :
         {"/tmp/socket", "/dev/shm/ddict-x/y-socket", "/dev/shm/other-socket", "relative"}) {
        const auto connected = connecting->connect(pack({.name = {}, .path = path, .ucx = {}}), identity);
        ASSERT_FALSE(connected) << path;
        EXPECT_EQ(connected.error().code, Errc::bad_handle) << path;
    }
}

/// In a child of a process that has UCX up, UCX may hang: its own thread is not there, and locks may be held
/// for ever. Within the host nothing of the parent is in the way.
TEST(WorkerInAChildOfFork, SpeaksWithinTheHostAndRefusesUcx) {
    const auto listening = make_worker(same_host);
    const auto in_child = [](const std::function<bool()>& good) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(10);
            ::_exit(good() ? 0 : 1);
        }
        int status = -1;
        ::waitpid(child, &status, 0);
        return status;
    };
    const Card card = card_of(*listening);
    const auto connects = [&] {
        const auto own = Worker::create();
        return own && (*own)->connect(card.address, card.identity).has_value();
    };
    EXPECT_EQ(in_child(connects), 0);
    const auto on_network = make_worker(tcp_between_hosts);
    EXPECT_EQ(in_child(connects), 0);
    EXPECT_EQ(in_child([] {
                  const auto refused = Worker::create({.start_network = over_ucx(), .on_network = true});
                  return !refused && refused.error().code == Errc::system &&
                         refused.error().message().find("fork") != std::string::npos;
              }),
              0);
}

}  // namespace
}  // namespace ddict::transport::testing

int main(int argc, char** argv) {
    ddict::transport::testing::run_as_partner(argc, argv);
    return ddict::testing::run_all_tests(argc, argv);
}
