// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Two workers over loopback in a process whose memory is used up for a moment. UCX's own memory does not come
// from operator new, so that each allocation that fails is one of ours.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/limits.h"
#include "os/poller.h"
#include "os/wait_policy.h"
#include "tests/rpc/failing_memory.h"
#include "ucx/worker.h"

namespace ddict::ucx {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t tags_max = 64;
constexpr std::size_t large = 200'000;

/// A logic that needs no memory of its own.
class Frugal final : public TransportEvents {
  public:
    Frugal() : poller(os::Poller::create().value()), worker(Worker::create({}, poller, waiting).value()) {}

    void on_message(Bytes, const IncomingPayload& incoming) override {
        ++messages;
        if (incoming.bytes == 0) return;
        if (incoming.token == 0) {
            (incoming.in_memory.empty() ? refused : in_memory) += 1;
            return;
        }
        if (received_begun % 3 == 2 || received_begun == tags_max)
            return worker->discard_payload(incoming.token);
        try {
            worker->receive_payload(peer, incoming.token, std::span(buffer).first(incoming.bytes),
                                    received_begun);
            ++received_begun;
        } catch (const std::bad_alloc&) {
            worker->discard_payload(incoming.token);
        }
    }
    void on_payload_received(std::uint64_t tag, bool) override { ++received.at(tag); }
    void on_payload_sent(std::uint64_t tag, bool) override { ++sent.at(tag); }
    void on_peer_lost(PeerId, const Error&) override { ++lost; }

    void send(std::size_t payload_bytes) {
        try {
            if (payload_bytes == 0) return worker->send(peer, Bytes(payload).first(1000));
            worker->send(peer, Bytes(payload).first(100), Bytes(payload).first(payload_bytes), sent_begun);
            ++sent_begun;
        } catch (const std::bad_alloc&) {  // nothing was sent, and no event comes
        }
    }
    void turn() {
        poller.wait(0ns);
        worker->poll(*this);
    }
    bool all_reported() const {
        const auto once = [](const auto& counts, std::uint64_t begun) {
            return std::all_of(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(begun),
                               [](int count) { return count == 1; });
        };
        return once(sent, sent_begun) && once(received, received_begun);
    }

    os::Poller poller;
    os::WaitPolicy waiting{50us};
    std::unique_ptr<Worker> worker;
    PeerId peer = no_peer;
    std::vector<std::byte> payload = std::vector<std::byte>(large);
    std::vector<std::byte> buffer = std::vector<std::byte>(large);
    std::uint64_t sent_begun = 0;
    std::uint64_t received_begun = 0;
    std::array<int, tags_max> sent{};
    std::array<int, tags_max> received{};
    int messages = 0;
    int in_memory = 0;
    int refused = 0;
    int lost = 0;
};

/// Both take turns until it is done, or for too long.
template <class Done>
bool run(Frugal& one, Frugal& other, Done done) {
    const auto deadline = Clock::now() + 10s;
    while (!done() && Clock::now() < deadline) {
        one.turn();
        other.turn();
    }
    return done();
}

/// A conversation of two, of which the n-th allocation fails. What went wrong; empty if nothing.
std::string talk_with_a_failing_allocation(long n, bool& has_failed, int& refused) {
    Frugal client;
    Frugal server;
    allocations_left = n;
    const Result<PeerId> to = client.worker->connect(server.worker->address());
    const Result<PeerId> from = server.worker->connect(client.worker->address());
    client.peer = to ? *to : no_peer;
    server.peer = from ? *from : no_peer;
    for (int i = 0; i < 40; ++i) {
        client.send(i % 8 == 3 ? 6'000 : i % 8 == 5 ? large : 0);
        server.send(i % 8 == 3 ? 6'000 : i % 8 == 5 ? large : 0);
        if (i % 8 == 7) client.turn();
        if (i % 8 == 7) server.turn();
    }
    const auto is_done = [&] { return client.all_reported() && server.all_reported(); };
    const bool done = run(client, server, is_done);
    const bool both = client.peer != no_peer && server.peer != no_peer;
    server.worker.reset();
    const bool told = !both || run(client, client, [&] { return client.lost == 1; });
    has_failed = allocations_left < 0;
    allocations_left = -1;
    refused += client.refused + server.refused;
    if (!done) return "a payload is not reported, or twice";
    if (!told) return "the loss of the peer is not told";
    if (!has_failed && (client.messages != 40 || server.messages != 40)) return "a message is missing";
    return {};
}

TEST(UcxOutOfMemory, AnAllocationThatFailsLosesNoEventAndDoesNotEndTheProcess) {
    int refused = 0;
    for (long n = 0;; ++n) {
        bool has_failed = false;
        const std::string wrong = talk_with_a_failing_allocation(n, has_failed, refused);
        ASSERT_TRUE(wrong.empty()) << "allocation " << n << " fails: " << wrong;
        if (has_failed) continue;
        EXPECT_GT(n, 10);
        EXPECT_GT(refused, 0) << "a payload that could not be kept is told with its message";
        return;
    }
}

TEST(UcxOutOfMemory, AWorkerThatCannotBeMadeLeavesNothing) {
    auto poller = os::Poller::create();
    ASSERT_TRUE(poller);
    os::WaitPolicy waiting{50us};
    for (long n = 0;; ++n) {
        allocations_left = n;
        bool made = false;
        try {
            made = Worker::create({}, *poller, waiting).has_value();
        } catch (const std::bad_alloc&) {
        }
        const bool has_failed = allocations_left < 0;
        allocations_left = -1;
        if (has_failed) continue;
        EXPECT_TRUE(made);
        EXPECT_GT(n, 3);
        return;
    }
}

TEST(UcxOutOfMemory, WhatTheListenerThrowsComesOutOfPoll) {
    class Throws final : public TransportEvents {
      public:
        void on_message(Bytes, const IncomingPayload&) override {
            if (++messages == 1) throw std::bad_alloc();
        }
        void on_payload_received(std::uint64_t, bool) override {}
        void on_payload_sent(std::uint64_t, bool) override {}
        void on_peer_lost(PeerId, const Error&) override {}
        int messages = 0;
    };
    Frugal client;
    Frugal server;
    client.peer = client.worker->connect(server.worker->address()).value();
    client.send(0);
    client.send(0);
    Throws throws;
    int thrown = 0;
    const auto deadline = Clock::now() + 10s;
    while (throws.messages < 2 && Clock::now() < deadline) {
        client.turn();
        try {
            server.poller.wait(0ns);
            server.worker->poll(throws);
        } catch (const std::bad_alloc&) {
            ++thrown;
        }
    }
    EXPECT_EQ(throws.messages, 2);
    EXPECT_EQ(thrown, 1);
}

}  // namespace
}  // namespace ddict::ucx
