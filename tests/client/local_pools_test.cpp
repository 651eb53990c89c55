// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The pools of a node as a client's process reads them: which are there to be read, and until when.
#include "libclient/local_pools.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "cluster/handle.h"
#include "os/process_stat.h"
#include "tests/shm/child.h"
#include "tests/shm/string_sink.h"
#include "tests/shm/test_pool.h"

namespace ddict::client {
namespace {

using Read = LocalPools::Read;
using std::chrono::steady_clock;

constexpr std::uint32_t managers = 5;  // of which 2 and 3 are of this node
constexpr std::uint32_t first_local = 2;
constexpr std::uint32_t locals = 2;

class LocalPoolsTest : public testing::Test {
  protected:
    LocalPoolsTest() {
        std::random_device device;
        handle_.dictionary_id = (std::uint64_t{device()} << 32) | device();
        handle_.secret.fill(std::byte{9});
        handle_.managers = managers;
        directory_segment_.emplace(shm::create_directory_segment(handle_.dictionary_id).value());
        std::vector<DirectoryEntry> entries(managers);
        for (std::uint32_t i = 0; i < managers; ++i) {
            entries[i].shard = ShardId{i};
            entries[i].node = "n";
            entries[i].process.pid = 1;
            if (i - first_local >= locals) continue;
            start_manager(i);
            entries[i].process.pid = processes_.back()->pid();
            entries[i].process.start_time = os::process_stat(processes_.back()->pid()).value().start_time;
        }
        shm::write_directory(*directory_segment_,
                             {.dictionary_id = handle_.dictionary_id,
                              .secret = handle_.secret,
                              .ucx_version = 0,
                              .first_local_manager = first_local,
                              .local_managers = locals},
                             entries)
            .value();
        directory_.emplace(shm::DirectorySegment::open(handle_.dictionary_id).value());
    }
    ~LocalPoolsTest() override {
        for (std::uint32_t i = 0; i < locals; ++i)
            shm::Segment::remove(shm::pool_segment_name(handle_.dictionary_id, first_local + i));
        shm::Segment::remove(shm::directory_segment_name(handle_.dictionary_id));
    }

    /// Puts one pair and freezes its pool; then it is there until it is killed.
    void start_manager(std::uint32_t manager) {
        const std::string name = shm::pool_segment_name(handle_.dictionary_id, manager);
        shm::Segment segment = shm::Segment::create(name, 1 << 20).value();
        shm::Pool::format(segment, {.dictionary_id = handle_.dictionary_id,
                                    .secret = handle_.secret,
                                    .manager = manager,
                                    .node = "n"})
            .value();
        processes_.push_back(std::make_unique<shm::Child>([&](int progress) -> int {
            const std::unique_ptr<shm::Pool> pool = shm::Pool::attach(std::move(segment)).value();
            shm::put(*pool, "key", std::to_string(manager)).value();
            pool->set_frozen(true);
            shm::Child::report(progress);
            for (;;)
                ::pause();
        }));
        ASSERT_TRUE(processes_.back()->hear(1));
    }

    static Read get(LocalPools& pools, std::uint32_t manager, shm::StringSink& sink,
                    std::string_view key = "key") {
        Result<void> outcome;
        const Read read =
            pools.get(ShardId{manager}, bytes_of(key), hash_of(bytes_of(key)), 0, sink, outcome);
        EXPECT_TRUE(outcome);
        return read;
    }
    static Read contains(LocalPools& pools, std::uint32_t manager) {
        return pools.contains(ShardId{manager}, bytes_of("key"), hash_of(bytes_of("key")), 0);
    }
    static auto view(LocalPools& pools, std::uint32_t manager) {
        return pools.view(ShardId{manager}, bytes_of("key"), hash_of(bytes_of("key")), 0,
                          std::chrono::steady_clock::now());
    }

    Handle handle_;
    std::optional<shm::Segment> directory_segment_;
    std::optional<shm::DirectorySegment> directory_;
    std::vector<std::unique_ptr<shm::Child>> processes_;
};

/// No descriptor can be opened while this lives.
class NoDescriptors {
  public:
    NoDescriptors() {
        getrlimit(RLIMIT_NOFILE, &before_);
        rlimit none = before_;
        none.rlim_cur = 0;
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    }
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

  private:
    rlimit before_{};
};

TEST_F(LocalPoolsTest, WhatTheProcessLackedAtFirstIsTriedAgain) {
    LocalPools pools(&*directory_, handle_);
    shm::StringSink sink;
    {
        const NoDescriptors none;
        EXPECT_EQ(get(pools, 2, sink), Read::ask);
        EXPECT_EQ(view(pools, 2).error().code, Errc::system);
    }
    const auto deadline = steady_clock::now() + std::chrono::seconds(30);
    while (get(pools, 2, sink) != Read::value)
        ASSERT_LT(steady_clock::now(), deadline);
    EXPECT_EQ(sink.value(), "2");
    EXPECT_EQ(get(pools, 3, sink), Read::value);
}

TEST_F(LocalPoolsTest, ReadsThePoolsOfThisNodeAndNoOthers) {
    LocalPools pools(&*directory_, handle_);
    shm::StringSink sink;
    for (std::uint32_t manager = 0; manager <= managers; ++manager) {
        const bool local = manager == 2 || manager == 3;
        EXPECT_EQ(pools.is_local(ShardId{manager}), local);
        ASSERT_EQ(get(pools, manager, sink), local ? Read::value : Read::ask) << manager;
        if (local) {
            EXPECT_EQ(sink.value(), std::to_string(manager));
        }
        EXPECT_EQ(get(pools, manager, sink, "nobody"), local ? Read::absent : Read::ask);
        EXPECT_EQ(contains(pools, manager), local ? Read::value : Read::ask);
        pools.prefetch(ShardId{manager}, 0);
        const auto seen = view(pools, manager);
        EXPECT_EQ(seen.has_value(), local);
        if (local) {
            EXPECT_EQ(text_of(*seen->bytes()), std::to_string(manager));
        }
        if (!local) {
            EXPECT_EQ(seen.error().code, Errc::invalid_argument);
        }
    }
    LocalPools none(nullptr, handle_);
    EXPECT_EQ(get(none, 2, sink), Read::ask);
    EXPECT_EQ(contains(none, 0), Read::ask);
}

TEST_F(LocalPoolsTest, LeavesAWrongSecretToTheManager) {
    handle_.secret[0] ^= std::byte{1};
    LocalPools pools(&*directory_, handle_);
    EXPECT_EQ(contains(pools, 2), Read::ask);
    EXPECT_EQ(contains(pools, 2), Read::ask);
    EXPECT_EQ(view(pools, 2).error().code, Errc::access_denied) << "the reason, and not a death";
}

TEST_F(LocalPoolsTest, APoolThatIsMarkedAsGoneIsNotReadAnyMore) {
    LocalPools pools(&*directory_, handle_);
    EXPECT_EQ(contains(pools, 2), Read::value);
    shm::Pool::mark_gone(shm::pool_segment_name(handle_.dictionary_id, 2));
    EXPECT_EQ(contains(pools, 2), Read::ask);
    EXPECT_EQ(contains(pools, 3), Read::value);
}

TEST_F(LocalPoolsTest, AMissingNameIsNoEnd) {
    handle_.managers = locals;  // all are of this node
    LocalPools pools(&*directory_, handle_);
    shm::Segment::remove(shm::pool_segment_name(handle_.dictionary_id, 2));
    const auto seen = view(pools, 2);
    ASSERT_FALSE(seen);
    EXPECT_EQ(seen.error().code, Errc::system) << "the manager lives, and answers messages";
    EXPECT_FALSE(pools.ended_with_dictionary(ShardId{2}));
    EXPECT_EQ(contains(pools, 3), Read::value);
    processes_[0]->kill();
    EXPECT_FALSE(pools.ended_with_dictionary(ShardId{2})) << "it has ended alone";
    processes_[1]->kill();       // which has inherited the lock
    directory_segment_.reset();  // as when the node launcher has ended
    EXPECT_TRUE(pools.ended_with_dictionary(ShardId{2}));
}

// Nobody is left to mark the pool.
TEST_F(LocalPoolsTest, ADeadManagerIsNoticed) {
    LocalPools pools(&*directory_, handle_);
    EXPECT_EQ(contains(pools, 2), Read::value);
    EXPECT_EQ(contains(pools, 3), Read::value);
    processes_[0]->kill();
    const auto deadline = steady_clock::now() + std::chrono::seconds(10);
    while (contains(pools, 2) == Read::value)
        ASSERT_LT(steady_clock::now(), deadline);
    EXPECT_EQ(contains(pools, 2), Read::ask);
    EXPECT_EQ(contains(pools, 3), Read::value);
}

/// The first process was read, and has ended; the directory names another one, on its pool.
TEST_F(LocalPoolsTest, APoolIsMappedAgainWhenAnotherProcessServesIt) {
    LocalPools pools(&*directory_, handle_);
    EXPECT_EQ(contains(pools, 2), Read::value);
    processes_[0]->kill();
    const auto deadline = steady_clock::now() + std::chrono::seconds(10);
    while (contains(pools, 2) == Read::value)
        ASSERT_LT(steady_clock::now(), deadline);
    DirectoryEntry entry = directory_->entry(ShardId{2}).value();
    entry.epoch = next(entry.epoch);
    entry.state = ServingState::restarting;
    ASSERT_TRUE(shm::update_entry(*directory_segment_, entry).value());
    EXPECT_EQ(contains(pools, 2), Read::ask);
    shm::Segment::remove(shm::pool_segment_name(handle_.dictionary_id, 2));
    start_manager(2);
    entry.epoch = next(entry.epoch);
    entry.state = ServingState::serving;
    entry.process.pid = processes_.back()->pid();
    entry.process.start_time = os::process_stat(processes_.back()->pid()).value().start_time;
    ASSERT_TRUE(shm::update_entry(*directory_segment_, entry).value());
    while (contains(pools, 2) != Read::value)
        ASSERT_LT(steady_clock::now(), deadline);
    processes_.back()->kill();
    while (contains(pools, 2) == Read::value)
        ASSERT_LT(steady_clock::now(), deadline) << "the watch is of the process that serves now";
}

TEST_F(LocalPoolsTest, AManagerThatDiedBeforeTheFirstReadIsNotBelieved) {
    processes_[1]->kill();
    LocalPools pools(&*directory_, handle_);
    EXPECT_EQ(contains(pools, 3), Read::ask);
    EXPECT_EQ(contains(pools, 2), Read::value);
}

TEST_F(LocalPoolsTest, ManyThreadsMapAPoolTogether) {
    LocalPools pools(&*directory_, handle_);
    std::vector<std::thread> threads;
    std::atomic<int> values{0};
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            shm::StringSink sink;
            for (std::uint32_t read = 0; read < 2000; ++read)
                if (get(pools, 2 + read % 2, sink) == Read::value) ++values;
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    // Whoever comes between two steps of the first reader may be told to ask.
    EXPECT_GT(values.load(), 8 * 2000 - 100);
}

}  // namespace
}  // namespace ddict::client
