// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads of a node's memory, for which no manager is asked, are in the managers' statistics all the same:
// exactly, whoever has made them, and however it has ended.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

class LocalReadsTest : public SharedDictionaryTest {
  protected:
    void SetUp() override {
        SharedDictionaryTest::SetUp();
        for (std::uint32_t manager = 0; manager < managers; ++manager) {
            keys_[manager] = key_on(manager);
            dict_->put(keys_[manager], manager);
        }
        before_ = reads();
    }
    /// As another client is told.
    static std::vector<std::uint64_t> reads() {
        std::vector<std::uint64_t> of_managers;
        for (const ManagerStats& stats : by_message_->stats())
            of_managers.push_back(stats.local_reads);
        return of_managers;
    }
    /// Since the test began.
    std::uint64_t reads_of(std::uint32_t manager) const { return reads()[manager] - before_[manager]; }
    std::uint64_t all_reads() const {
        std::uint64_t sum = 0;
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            sum += reads_of(manager);
        return sum;
    }
    /// What another process does; its end is as `status` of waitpid().
    static int status_of(const std::function<void()>& work) {
        const pid_t child = ::fork();
        if (child == 0) {
            work();
            ::_exit(0);
        }
        int status = -1;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        return status;
    }
    static void read(const Dictionary& dict, std::uint32_t manager, int times) {
        for (int i = 0; i < times; ++i)
            static_cast<void>(dict.get<std::uint32_t>(keys_[manager]));
    }

    static inline std::array<std::string, managers> keys_;  // on each manager one
    std::vector<std::uint64_t> before_;
};

TEST_F(LocalReadsTest, AreCountedForTheManagerThatHasThem) {
    dict_->profile_reset();
    std::vector<std::uint64_t> gets_before;
    for (const ManagerStats& stats : by_message_->stats())
        gets_before.push_back(stats.gets);
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        read(*dict_, manager, static_cast<int>(10 * (manager + 1)));
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        EXPECT_EQ(reads_of(manager), 10 * (manager + 1));
    // One that finds nothing is one, and so is one without the value; a batch is one for each key.
    EXPECT_FALSE(dict_->try_get<int>(key_on(1, "nothing")));
    EXPECT_TRUE(dict_->contains(keys_[1]));
    EXPECT_TRUE(dict_->type_and_size(keys_[1]));
    EXPECT_EQ(reads_of(1), 23u);
    const std::vector<std::string> keys{keys_[2], key_on(2, "nothing"), keys_[2]};
    EXPECT_EQ(dict_->multi_get<std::uint32_t>(keys).size(), 3u);
    EXPECT_EQ(reads_of(2), 33u);
    EXPECT_EQ(dict_->profile().local_reads, all_reads());
    // None of them is a get of the manager's, and none of its gets is one of them.
    const std::vector<ManagerStats> now = by_message_->stats();
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        EXPECT_EQ(now[manager].gets, gets_before[manager]);
    const std::uint64_t sum = all_reads();
    read(*by_message_, 0, 5);
    EXPECT_EQ(all_reads(), sum);
    EXPECT_EQ(by_message_->stats(0).gets, gets_before[0] + 5);
}

TEST_F(LocalReadsTest, OfAFrozenDictionaryAreCountedWithoutACopyToo) {
    dict_->freeze();
    dict_->profile_reset();
    for (int i = 0; i < 7; ++i)
        EXPECT_TRUE(dict_->view_frozen(keys_[0]).size() > 0);
    EXPECT_EQ(reads_of(0), 7u);
    EXPECT_EQ(dict_->profile().local_reads, 7u);
    dict_->unfreeze();
}

TEST_F(LocalReadsTest, OfThreadsAddUp) {
    constexpr int threads = 16;
    constexpr int times = 500;
    dict_->profile_reset();
    for (int round = 0; round < 3; ++round) {  // and of threads that have ended
        std::vector<std::thread> readers;
        for (int t = 0; t < threads; ++t)
            readers.emplace_back([t] { read(*dict_, static_cast<std::uint32_t>(t) % managers, times); });
        for (std::thread& reader : readers)
            reader.join();
    }
    EXPECT_EQ(all_reads(), 3u * threads * times);
    EXPECT_EQ(dict_->profile().local_reads, 3u * threads * times);
}

TEST_F(LocalReadsTest, ByTurnsThroughTwoHandlesAreEachCountedOnce) {
    const Dictionary second = Dictionary::attach(dict_->serialize());
    dict_->profile_reset();
    for (int i = 0; i < 50; ++i) {
        read(*dict_, 0, 1);
        read(second, 0, 2);
    }
    EXPECT_EQ(reads_of(0), 150u);
    EXPECT_EQ(dict_->profile().local_reads, 50u);
    EXPECT_EQ(second.profile().local_reads, 100u);
}

TEST_F(LocalReadsTest, OfAProcessThatHasEndedStay) {
    const std::string handle = dict_->serialize();
    const int status = status_of([&] {
        const Dictionary own = Dictionary::attach(handle);
        read(own, 1, 300);
    });
    EXPECT_EQ(status, 0);
    EXPECT_EQ(reads_of(1), 300u);
}

TEST_F(LocalReadsTest, OfAProcessThatWasKilledStay) {
    const std::string handle = dict_->serialize();
    for (int round = 1; round <= 3; ++round) {
        const int status = status_of([&] {
            const Dictionary own = Dictionary::attach(handle);
            read(own, 2, 1000);
            ::raise(SIGKILL);
        });
        EXPECT_TRUE(WIFSIGNALED(status));
        EXPECT_EQ(reads_of(2), 1000u * static_cast<std::uint64_t>(round));
    }
}

TEST_F(LocalReadsTest, OfAForkedChildAreItsOwn) {
    const std::string handle = dict_->serialize();
    dict_->profile_reset();
    read(*dict_, 0, 100);
    const int status = status_of([&] {
        // The parent's is of no use here, and what it has counted is not counted again.
        if (dict_->try_get<std::uint32_t>(keys_[0])) ::_exit(1);
        const Dictionary own = Dictionary::attach(handle);
        read(own, 0, 30);
        if (own.profile().local_reads != 30) ::_exit(2);
        std::thread([&] { read(own, 0, 20); }).join();
        if (own.profile().local_reads != 50) ::_exit(3);
    });
    EXPECT_EQ(status, 0);
    EXPECT_EQ(reads_of(0), 150u);
    read(*dict_, 0, 10);
    EXPECT_EQ(reads_of(0), 160u);
    EXPECT_EQ(dict_->profile().local_reads, 110u);
}

/// As in a container whose /dev/shm is not to be written.
TEST_F(LocalReadsTest, AreThereWhereNobodyCanCountThem) {
    const std::string handle = dict_->serialize();
    constexpr int not_permitted = 77;
    const int status = status_of([&] {
        if (::unshare(CLONE_NEWNS) != 0) ::_exit(not_permitted);
        if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(not_permitted);
        if (::mount("/dev/shm", "/dev/shm", nullptr, MS_BIND, nullptr) != 0) ::_exit(2);
        if (::mount("none", "/dev/shm", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) ::_exit(3);
        const Dictionary own = Dictionary::attach(handle);
        read(own, 0, 5);
        std::thread([&] { read(own, 0, 4); }).join();
        if (own.profile().local_reads != 9) ::_exit(4);
    });
    if (status == not_permitted) GTEST_SKIP() << "no mounts of its own here";
    EXPECT_EQ(status, 0);
    EXPECT_EQ(all_reads(), 0u);
}

/// As all other numbers of a manager that has taken another's place.
TEST_F(LocalReadsTest, AreCountedFromARestartOn) {
    read(*dict_, 1, 40);
    EXPECT_EQ(reads_of(1), 40u);
    const ManagerStats killed = by_message_->stats(1);
    ASSERT_EQ(::kill(killed.pid, SIGKILL), 0);
    ASSERT_TRUE(eventually(20s, [&] {
        const Result<ManagerStats> now = by_message_->try_stats(1);
        return now && now->pid != killed.pid;
    }));
    EXPECT_EQ(by_message_->stats(1).local_reads, 0u);
    // It is noticed within a tenth of a second that its memory is to be read again.
    EXPECT_TRUE(eventually(5s, [&] {
        dict_->profile_reset();
        read(*dict_, 1, 1);
        return dict_->profile().local_reads == 1;
    }));
    const std::uint64_t first = by_message_->stats(1).local_reads;
    EXPECT_GE(first, 1u);
    read(*dict_, 1, 25);
    EXPECT_EQ(by_message_->stats(1).local_reads, first + 25);
}

}  // namespace
}  // namespace ddict
