// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Connecting back to a peer while its hello is being delivered, as a manager does: with more of the peer
// unread behind it, and to a peer that has given up that connection.
#include <gtest/gtest.h>

#include "manager/connection_guard.h"
#include "tests/own_host/run_tests.h"
#include "tests/transport/peers.h"
#include "transport/worker.h"

namespace ddict::manager {
namespace {

using namespace transport::testing;
using transport::Worker;

enum class Word : char {
    nothing = 'n',
    hello = 'h',    // is answered through a connection of its own
    refused = 'r',  // the same, and that connection is closed at once
    more = 'm',
};

std::vector<std::byte> say(Word word, std::size_t size = 40) {
    std::vector<std::byte> header(size);
    header[0] = static_cast<std::byte>(word);
    return header;
}

/// Connects back to whoever says hello, as a manager does, inside the event.
class Host : public Observer {
  public:
    Host(Worker& worker, Card caller) : worker_(worker), caller_(std::move(caller)) {}

    void on_message(Bytes header, const IncomingPayload& payload) override {
        Observer::on_message(header, payload);
        const auto word = static_cast<Word>(header[0]);
        if (word != Word::hello && word != Word::refused) return;
        const Result<PeerId> connected = worker_.connect(caller_.address, caller_.identity);
        ASSERT_TRUE(connected) << connected.error().message();
        back = *connected;
        worker_.send(back, header);
        if (word == Word::refused) return worker_.close(back);
        worker_.send(back, payload_header, payload_of_answer, ++tag_);
    }

    PeerId back = no_peer;  // the last connection of this kind
    const std::vector<std::byte> payload_header = say(Word::more, 24);
    const std::vector<std::byte> payload_of_answer = pattern(300, 7);

  private:
    Worker& worker_;
    const Card caller_;
    std::uint64_t tag_ = 0;
};

class ConnectBackTest : public ::testing::TestWithParam<Way> {
  protected:
    void SetUp() override {
        host_worker = make_worker(GetParam());
        caller_worker = make_worker(GetParam());
        const std::uint64_t salt = GetParam().other_host ? 1 : 0;
        host_card = card_of(*host_worker, salt);
        host = std::make_unique<Host>(*host_worker, card_of(*caller_worker, salt));
    }
    /// A connection that stands, although the host has not connected back.
    void call() {
        const Result<PeerId> connected = caller_worker->connect(host_card.address, host_card.identity);
        ASSERT_TRUE(connected) << connected.error().message();
        to_host = *connected;
        caller_worker->send(to_host, say(Word::nothing));
        const std::size_t before = host->messages.size();
        ASSERT_TRUE(both_until([&] { return host->messages.size() > before; }));
    }
    bool both_until(const std::function<bool()>& done) {
        const auto deadline = Clock::now() + test_timeout();
        while (!done() && Clock::now() < deadline) {
            caller_worker->poll(caller);
            host_worker->poll(*host);
        }
        return done();
    }
    void expect_to_work() {
        call();
        caller.messages.clear();
        caller_worker->send(to_host, say(Word::hello));
        EXPECT_TRUE(both_until([&] { return caller.messages.size() >= 2; }));
    }
    /// All that the caller has to send lies in the kernel or in shared memory, and the host has seen nothing.
    void caller_runs_alone() {
        for (int i = 0; i < 100; ++i)
            caller_worker->poll(caller);
    }

    std::unique_ptr<Worker> host_worker;
    std::unique_ptr<Worker> caller_worker;
    Card host_card;
    std::unique_ptr<Host> host;
    Observer caller;
    PeerId to_host = no_peer;
};

INSTANTIATE_TEST_SUITE_P(Ways, ConnectBackTest, ::testing::Values(same_host, tcp_between_hosts),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(ConnectBackTest, MoreMessagesLieBehindTheHello) {
    for (int round = 0; round < 20; ++round) {
        SCOPED_TRACE(round);
        call();
        caller.messages.clear();
        host->messages.clear();
        caller_worker->send(to_host, say(Word::hello));
        for (std::size_t i = 0; i < 5; ++i)
            caller_worker->send(to_host, say(Word::more, 30 + i * 1000));
        caller_runs_alone();
        ASSERT_TRUE(both_until([&] { return host->messages.size() == 6 && caller.messages.size() == 2; }));
        EXPECT_EQ(host->messages[5].header, say(Word::more, 4030));
        EXPECT_EQ(caller.messages[0].header, say(Word::hello));
        EXPECT_EQ(caller.messages[1].header, host->payload_header);
        EXPECT_EQ(caller.messages[1].payload, host->payload_of_answer);
    }
    EXPECT_TRUE(host->lost.empty());
    EXPECT_TRUE(caller.lost.empty());
}

TEST_P(ConnectBackTest, TheClientGivesUpAtOnce) {
    for (int round = 0; round < 20; ++round) {
        SCOPED_TRACE(round);
        call();
        host->messages.clear();
        caller_worker->send(to_host, say(Word::hello));
        caller_worker->close(to_host);
        caller_runs_alone();
        ASSERT_TRUE(both_until([&] { return !host->messages.empty(); }));
        host_worker->close(host->back);
    }
    expect_to_work();
}

/// It waits for the host as long as it does, and then closes its socket.
TEST_P(ConnectBackTest, TheClientHasGivenUpLongAgo) {
    for (int round = 0; round < 3; ++round) {
        SCOPED_TRACE(round);
        call();
        host->messages.clear();
        caller_worker->send(to_host, say(Word::hello));
        caller_worker->close(to_host);
        const auto deadline = Clock::now() + test_timeout();
        while (caller_worker->describe(to_host) != "closed" && Clock::now() < deadline)
            caller_worker->progress(caller, Clock::now() + std::chrono::milliseconds(10));
        ASSERT_EQ(caller_worker->describe(to_host), "closed");
        caller_runs_alone();  // UCX closes the socket a little later
        ASSERT_TRUE(both_until([&] { return !host->messages.empty(); }));
        const PeerId back_to_nobody = host->back;
        expect_to_work();
        host_worker->close(back_to_nobody);
        expect_to_work();
    }
}

TEST_P(ConnectBackTest, TheAnswerArrivesThoughTheConnectionBackIsClosedAtOnce) {
    for (int round = 0; round < 20; ++round) {
        SCOPED_TRACE(round);
        call();
        caller.messages.clear();
        caller_worker->send(to_host, say(Word::refused));
        caller_worker->send(to_host, say(Word::more));
        caller_runs_alone();
        ASSERT_TRUE(both_until([&] { return !caller.messages.empty(); }));
        EXPECT_EQ(caller.messages[0].header, say(Word::refused));
    }
}

}  // namespace
}  // namespace ddict::manager

int main(int argc, char** argv) {
    ddict::transport::testing::run_as_partner(argc, argv);
    // Its accept(), connect() and send() are in use as soon as it is part of the program.
    if (ddict::manager::ConnectionGuard::instance().event_fd() < 0) return 1;
    return ddict::testing::run_all_tests(argc, argv);
}
