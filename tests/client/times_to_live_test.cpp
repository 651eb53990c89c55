// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys that end by themselves, at real managers: also of clients that were killed, and over their managers'
// restarts.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <map>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

using TimesToLiveTest = SharedDictionaryTest;

/// How long a pair may be there at the most after its time, on a machine that is busy with other things.
constexpr auto late = 5s;

TEST_F(TimesToLiveTest, WhatIsStoredWithOneIsErasedThenAndNotBefore) {
    for (std::uint32_t manager = 0; manager < managers; ++manager) {
        const std::string key = key_on(manager);
        const auto begin = steady_clock::now();
        dict_->with_ttl(300ms).put(key, "v");
        while (dict_->contains(key) && steady_clock::now() < begin + 300ms + late)
            std::this_thread::sleep_for(1ms);
        EXPECT_GE(steady_clock::now(), begin + 300ms);
        EXPECT_FALSE(dict_->contains(key));
        EXPECT_EQ(by_message_->find(key), std::nullopt);
    }
    EXPECT_EQ(dict_->size(), 0u);
    std::uint64_t expired = 0;
    for (const ManagerStats& stats : dict_->stats())
        expired += stats.expired;
    EXPECT_GE(expired, 3u);
}

TEST_F(TimesToLiveTest, EveryWayToStoreHasIt) {
    const View brief = dict_->with_ttl(1h);
    const std::vector<std::byte> large(1 << 20);
    brief.put("put", 1);
    brief.put("large", large);
    EXPECT_TRUE(brief.put_if_absent("absent", 1));
    EXPECT_TRUE(brief.put_if_present("absent", 2));
    EXPECT_TRUE(brief.compare_and_swap("swap", std::nullopt, 1));
    brief.fetch_add("add");
    brief.append("append", "a");
    brief.multi_put(std::map<std::string, int>{{"many/1", 1}, {"many/2", 2}});
    brief.update(std::map<std::string, std::vector<std::byte>>{{"update/1", {}}, {"update/2", large}});
    brief.put_async("async", 1).wait();
    Batch batch = brief.batch();
    batch.put("batch", 1);
    batch.commit();
    View collecting = brief;
    collecting.start_batch_put();
    collecting.put("collected", 1);
    collecting.end_batch_put();
    brief.manager(1).put("placed", 1);
    for (const char* key : {"put", "large", "absent", "swap", "add", "append", "many/1", "many/2", "update/1",
                            "update/2", "async", "batch", "collected"}) {
        const auto left = dict_->time_to_live(key);
        ASSERT_TRUE(left.has_value()) << key;
        EXPECT_GT(*left, 50min) << key;
        EXPECT_LE(*left, 1h) << key;
    }
    EXPECT_TRUE(dict_->manager(1).time_to_live("placed").has_value());
    dict_->put("put", 1);
    EXPECT_EQ(dict_->time_to_live("put"), std::nullopt);
}

TEST_F(TimesToLiveTest, AViewOfABatchThatHasOneStoresAtOnce) {
    View collecting = *dict_;
    collecting.start_batch_put();
    collecting.put("collected", 1);
    collecting.with_ttl(1h).put("at once", 1);
    EXPECT_TRUE(dict_->time_to_live("at once").has_value());
    collecting.end_batch_put();
    EXPECT_EQ(dict_->time_to_live("collected"), std::nullopt);
}

TEST_F(TimesToLiveTest, TouchClearAndWhatIsNotThere) {
    EXPECT_FALSE(dict_->touch("none", 1s));
    EXPECT_FALSE(dict_->clear_ttl("none"));
    EXPECT_EQ(code_of(dict_->try_time_to_live("none")), Errc::not_found);
    dict_->put("k", "v");
    EXPECT_TRUE(dict_->touch("k", 1h));
    EXPECT_TRUE(dict_->time_to_live("k").has_value());
    EXPECT_TRUE(dict_->clear_ttl("k"));
    EXPECT_EQ(dict_->time_to_live("k"), std::nullopt);
    EXPECT_EQ(dict_->get("k"), "v");
    dict_->touch("k", 0s);
    EXPECT_TRUE(eventually(late, [] { return !dict_->contains("k"); }));
    dict_->with_ttl(-1s).put("k", "v");
    EXPECT_TRUE(eventually(late, [] { return !dict_->contains("k"); }));
    EXPECT_EQ(code_of(View().try_touch("k", 1s)), Errc::not_attached);
    EXPECT_EQ(code_of(dict_->try_touch("", 1s)), Errc::invalid_argument);
}

TEST_F(TimesToLiveTest, ABroadcastHasNone) {
    const Result<void> stored = dict_->with_ttl(1s).try_bput("k", "v");
    ASSERT_EQ(code_of(stored), Errc::invalid_argument);
    EXPECT_EQ(stored.error().operation, Operation::broadcast_put);
    dict_->bput("k", "v");
    EXPECT_EQ(code_of(dict_->try_touch("k", 1s)), Errc::invalid_argument);
    dict_->berase("k");
}

TEST_F(TimesToLiveTest, WhatIsSavedHasNoneOfThem) {
    const auto folder = std::filesystem::temp_directory_path() / ("ddict-ttl-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    const std::vector<std::byte> large(100'000);
    for (int i = 0; i < 100; ++i) {
        dict_->put("stays/" + std::to_string(i), large);
        dict_->with_ttl(1h).put("ends/" + std::to_string(i), large);
        dict_->with_ttl(1h).put("ends small/" + std::to_string(i), i);
    }
    for (const Dictionary* from : {dict_.get(), by_message_.get()}) {
        const CheckpointInfo saved = from->save(folder.string());
        EXPECT_EQ(saved.pairs, from == dict_.get() ? 100u : 102u);
        dict_->clear_ttl("ends/0");
        dict_->clear_ttl("ends small/0");
    }
    std::filesystem::remove_all(folder);
}

TEST_F(TimesToLiveTest, AWaitEndsWhenWhoeverWasToPutTheValueHasGone) {
    dict_->with_ttl(5s).put("worker", 1);
    std::thread worker([] {
        for (int i = 0; i < 20; ++i) {
            dict_->touch("worker", 5s);
            std::this_thread::sleep_for(50ms);
        }
        dict_->put("result", "done");
    });
    EXPECT_EQ(dict_->wait_for_while("result", "worker"), "done");
    worker.join();
    dict_->erase("worker");
    EXPECT_EQ(dict_->wait_for_while("result", "worker"), "done") << "what is there is found all the same";
    dict_->with_ttl(300ms).put("worker", 1);
    const auto begin = steady_clock::now();
    const Result<std::string> none = dict_->try_wait_for_while("never", "worker");
    ASSERT_EQ(code_of(none), Errc::not_found);
    EXPECT_EQ(none.error().operation, Operation::wait_for);
    EXPECT_NE(none.error().message().find("\"worker\""), std::string::npos) << none.error().message();
    EXPECT_LT(steady_clock::now() - begin, 300ms + late);
    dict_->put("worker", 1);
    EXPECT_EQ(code_of(dict_->within(600ms).try_wait_for_while("never", "worker")), Errc::timeout);
}

/// A client that shows that it lives by touching its key, and is killed.
TEST_F(TimesToLiveTest, TheKeyOfAKilledClientGoes) {
    std::vector<pid_t> clients;
    for (int i = 0; i < 3; ++i) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            const Dictionary own = Dictionary::attach(dict_->serialize());
            const std::string key = "alive/" + std::to_string(i);
            own.with_ttl(3s).put(key, ::getpid());
            for (;;) {
                own.touch(key, 3s);
                std::this_thread::sleep_for(100ms);
            }
        }
        clients.push_back(pid);
    }
    EXPECT_TRUE(eventually(30s, [] { return dict_->count_prefix("alive/") == 3; }));
    std::this_thread::sleep_for(4s);
    EXPECT_EQ(dict_->count_prefix("alive/"), 3u);
    ::kill(clients[1], SIGKILL);
    EXPECT_TRUE(eventually(3s + late, [] { return dict_->count_prefix("alive/") == 2; }));
    EXPECT_FALSE(dict_->contains("alive/1"));
    for (const pid_t pid : clients) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
}

TEST_F(TimesToLiveTest, TimesAreKeptOverTheRestartOfAManager) {
    for (int i = 0; i < 300; ++i) {
        dict_->with_ttl(1h).put("long/" + std::to_string(i), i);
        dict_->with_ttl(2s).put("short/" + std::to_string(i), i);
        dict_->put("stays/" + std::to_string(i), i);
    }
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        dict_->restart(manager);
    EXPECT_TRUE(eventually(2s + late, [] { return dict_->count_prefix("short/") == 0; }));
    EXPECT_EQ(dict_->count_prefix("stays/"), 300u);
    EXPECT_EQ(dict_->count_prefix("long/"), 300u);
    EXPECT_GT(dict_->time_to_live("long/7").value(), 50min);
    EXPECT_LT(dict_->time_to_live("long/7").value(), 1h);
}

/// Pairs that come and end while others read and write the same keys: nobody ever sees one that is torn, and
/// in the end there are none.
TEST_F(TimesToLiveTest, ManyThatComeAndEndUnderReadersAndWriters) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
            const View brief = dict_->with_ttl(std::chrono::milliseconds(1 + 7 * t));
            for (std::uint64_t i = 0; !stop; ++i) {
                const std::string key = "k" + std::to_string(i % 50);
                brief.put(key, std::string(1 + i % 3000, static_cast<char>('a' + i % 26)));
                if (const auto value = dict_->find(key)) {
                    EXPECT_EQ(value->find_first_not_of(value->front()), std::string::npos);
                }
            }
        });
    }
    std::this_thread::sleep_for(1s);
    stop = true;
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_TRUE(eventually(late, [] { return dict_->size() == 0; }));
}

}  // namespace
}  // namespace ddict
