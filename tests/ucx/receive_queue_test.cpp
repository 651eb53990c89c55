// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A sender that is killed in the middle of a write must not silence the receiver. The kill itself is left to
// chance in worker_loss_test; here the traces that it leaves in a real receive queue are made by hand.
#include "ucx/receive_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "tests/ucx/peers.h"
#include "ucx/worker.h"

namespace ddict::ucx::testing {
namespace {

/// The receive queues among this process's mappings; they must be fresh.
std::vector<std::byte*> fresh_queues() {
    std::vector<std::byte*> queues;
    std::FILE* file = std::fopen("/proc/self/maps", "re");
    char line[512];
    while (std::fgets(line, sizeof line, file) != nullptr) {
        unsigned long begin = 0;
        unsigned long end = 0;
        char rights[5] = "";
        if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, rights) != 3 || std::strcmp(rights, "rw-s") != 0)
            continue;
        auto* memory = reinterpret_cast<std::byte*>(begin);
        if (ReceiveQueue::recognize(memory, end - begin)) queues.push_back(memory);
    }
    std::fclose(file);
    return queues;
}

/// Claims the next element as a sender does, and leaves it at that.
void claim(std::byte* queue) {
    auto* head = reinterpret_cast<std::uint64_t*>(queue);
    __atomic_fetch_add(head, 1, __ATOMIC_SEQ_CST);
}

class ReceiveQueueTest : public ::testing::Test {
  protected:
    void SetUp() override {
        victim = make_worker(shared_memory);
        queues = fresh_queues();
        ASSERT_FALSE(queues.empty()) << "this version of UCX lays out its queues in another way";
        other = make_worker(shared_memory);
        const Card card = card_of(*victim);
        peer = other->connect(card.address, card.identity).value();
    }
    /// Sends and waits until everything has arrived; false after patience.
    bool exchange(std::size_t count) {
        const std::size_t until = observer.messages.size() + count;
        std::size_t sent = observer.messages.size();
        const auto deadline = Clock::now() + patience();
        while (observer.messages.size() < until && Clock::now() < deadline) {
            for (; sent < until && sent < observer.messages.size() + 32; ++sent) {
                other->send(peer, pattern(sent % 3 == 0 ? 1000 : 40, sent));
            }
            other->poll(ignored);
            victim->poll(observer);
        }
        if (observer.messages.size() != until) return false;
        for (std::size_t i = until - count; i < until; ++i) {
            if (observer.messages[i].head != pattern(i % 3 == 0 ? 1000 : 40, i)) return false;
        }
        return true;
    }
    std::vector<std::byte*> queues;
    std::unique_ptr<Worker> victim;
    std::unique_ptr<Worker> other;
    PeerId peer = no_peer;
    Observer observer;
    Observer ignored;
};

/// While one thread makes a worker, the connections of others map queues of other workers, and unmap them.
TEST(ReceiveQueues, AreFoundWhileOtherThreadsConnectAndEnd) {
    const auto target = make_worker(shared_memory);
    const Card card = card_of(*target);
    constexpr int threads = 4;
    constexpr int rounds = 25;
    std::atomic<int> running = threads;
    std::atomic<int> alone = 0;
    std::vector<std::thread> others;
    for (int thread = 0; thread < threads; ++thread) {
        others.emplace_back([&] {
            for (int round = 0; round < rounds; ++round) {
                const auto worker = make_worker(shared_memory);
                // Without its queues it would do without shared memory, as if it were on another host.
                if (worker->identity().host_key != card.identity.host_key) ++alone;
                const PeerId peer = worker->connect(card.address, card.identity).value();
                worker->send(peer, pattern(40, 1));
                Observer ignored;
                for (int i = 0; i < 100; ++i)
                    worker->poll(ignored);
            }
            --running;
        });
    }
    Observer observer;
    while (running != 0)
        target->poll(observer);
    for (std::thread& other : others)
        other.join();
    EXPECT_EQ(alone, 0);
}

TEST_F(ReceiveQueueTest, AHalfWrittenMessageIsSkipped) {
    ASSERT_TRUE(exchange(100));
    for (std::byte* queue : queues)
        claim(queue);
    ASSERT_TRUE(exchange(1000));
    EXPECT_EQ(victim->counters().queue_repairs, queues.size());
    EXPECT_EQ(victim->counters().malformed, 0U);
    // In every round, at every place.
    for (int round = 0; round < 2; ++round) {
        for (std::byte* queue : queues)
            claim(queue);
        ASSERT_TRUE(exchange(67));
    }
    EXPECT_EQ(victim->counters().queue_repairs, 3 * queues.size());
}

TEST_F(ReceiveQueueTest, AWorkerWithAHoleStillSleeps) {
    ASSERT_TRUE(exchange(10));
    for (std::byte* queue : queues)
        claim(queue);
    const auto deadline = Clock::now() + std::chrono::milliseconds(500);
    EXPECT_EQ(victim->progress(observer, deadline), 0U);
    EXPECT_LT(victim->counters().sleeps, 200U);
    EXPECT_TRUE(exchange(10));
}

TEST(ReceiveQueue, FindsTheFirstHole) {
    alignas(64) std::byte memory[192 + 64 * 128 + 64] = {};
    auto* head = reinterpret_cast<std::uint64_t*>(memory);
    auto* tail = reinterpret_cast<std::uint64_t*>(memory + 128);
    for (int i = 0; i < 64; ++i)
        memory[192 + i * 128] = std::byte{1};
    ReceiveQueue queue(memory);
    EXPECT_EQ(queue.first_hole(), ReceiveQueue::no_hole);
    // Round 0 writes flag 0.
    *head = 3;
    memory[192] = std::byte{0};
    memory[192 + 2 * 128] = std::byte{2};
    EXPECT_EQ(queue.first_hole(), 1U);
    queue.fill(1);
    EXPECT_EQ(queue.first_hole(), ReceiveQueue::no_hole);
    EXPECT_EQ(memory[192 + 128], std::byte{2});
    // Round 1 writes flag 1; the highest bit of the head is no part of the number.
    *tail = 64;
    *head = 65 | (std::uint64_t{1} << 63);
    EXPECT_EQ(queue.first_hole(), 64U);
    memory[192] = std::byte{1};
    EXPECT_EQ(queue.first_hole(), ReceiveQueue::no_hole);
    // What makes no sense is left alone.
    *head = 1000;
    EXPECT_EQ(queue.first_hole(), ReceiveQueue::no_hole);
    EXPECT_FALSE(ReceiveQueue::recognize(memory, sizeof memory));
}

}  // namespace
}  // namespace ddict::ucx::testing
