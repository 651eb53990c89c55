// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Operations on many keys, and operations that run while the caller goes on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <ranges>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

using ManyKeysTest = SharedDictionaryTest;

std::map<std::string, std::string> some_pairs(std::size_t count, std::size_t bytes) {
    std::map<std::string, std::string> pairs;
    for (std::size_t i = 0; i < count; ++i)
        pairs.emplace("key " + std::to_string(i), std::to_string(i) + std::string(bytes, 'v'));
    return pairs;
}

TEST_F(ManyKeysTest, PutGetEraseOfManySizes) {
    for (const std::size_t count : {0ul, 1ul, 64ul, 5000ul}) {
        for (const std::size_t bytes : {0ul, 30ul, 3000ul}) {
            if (count * bytes > 10'000'000) continue;
            const auto pairs = some_pairs(count, bytes);
            dict_->multi_put(pairs);
            EXPECT_EQ(dict_->size(), count);
            for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
                const auto values = dict->multi_get(pairs | std::views::keys);
                ASSERT_EQ(values.size(), count);
                EXPECT_TRUE(std::ranges::equal(values, pairs | std::views::values));
            }
            EXPECT_EQ(dict_->multi_erase(pairs | std::views::keys), count);
            EXPECT_EQ(dict_->size(), 0u);
        }
    }
}

TEST_F(ManyKeysTest, ItemsOfAllSizesTogether) {
    std::map<std::string, std::vector<std::uint8_t>> pairs;
    for (const std::size_t bytes :
         {0ul, 8ul, 4000ul, 4080ul, 4096ul, 4097ul, 8192ul, 70'000ul, 3'000'000ul}) {
        for (int i = 0; i < 20; ++i)
            pairs.emplace(std::to_string(bytes) + "/" + std::to_string(i),
                          std::vector<std::uint8_t>(bytes, static_cast<std::uint8_t>(i)));
    }
    pairs.emplace(std::string(1024, 'k'), std::vector<std::uint8_t>(4090, 1));
    dict_->multi_put(pairs);
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        const auto values = dict->try_multi_get<std::vector<std::uint8_t>>(pairs | std::views::keys);
        ASSERT_EQ(values.size(), pairs.size());
        std::size_t i = 0;
        for (const auto& [key, value] : pairs) {
            ASSERT_TRUE(values[i]) << key;
            EXPECT_EQ(*values[i++], value) << key;
        }
    }
    EXPECT_EQ(dict_->multi_erase(pairs | std::views::keys), pairs.size());
}

TEST_F(ManyKeysTest, EveryItemHasAStatusOfItsOwn) {
    dict_->put("text", "here");
    dict_->put("number", 7);
    const std::vector<std::string> keys{"text", "nobody", "number", "", std::string(1025, 'k')};
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        const auto results = dict->try_multi_get(keys);
        EXPECT_EQ(*results[0], "here");
        EXPECT_EQ(results[1].code(), Errc::not_found);
        EXPECT_EQ(results[1].status.manager, dict->which_manager("nobody"));
        EXPECT_EQ(results[2].code(), Errc::wrong_type);
        EXPECT_EQ(results[3].code(), Errc::invalid_argument);
        EXPECT_EQ(results[4].code(), Errc::too_large);
        try {
            dict->multi_get(std::vector<std::string>{"nobody", "number"});
            FAIL() << "the number was read as text";
        } catch (const Exception& error) {
            EXPECT_EQ(error.code(), Errc::wrong_type);
            EXPECT_NE(std::string(error.what()).find("'number' on manager"), std::string::npos)
                << error.what();
        }
        EXPECT_FALSE(dict->multi_get(std::vector<std::string>{"nobody"})[0]);
    }
    const auto erased = dict_->try_multi_erase(std::vector<std::string>{"text", "nobody"});
    EXPECT_TRUE(erased[0]);
    EXPECT_EQ(erased[1].code, Errc::not_found);
    EXPECT_THROW(dict_->multi_put(std::vector<std::pair<std::string, int>>{{"good", 1}, {"", 2}}), Exception);
    EXPECT_EQ(dict_->get<int>("good"), 1) << "one bad item is no reason not to store the others";
}

TEST_F(ManyKeysTest, RangesOfTemporariesAndCodecsThatEncode) {
    const auto numbers = std::views::iota(0, 1000);
    dict_->multi_put(numbers | std::views::transform([](int i) { return std::pair(i, std::to_string(i)); }));
    const auto values = dict_->multi_get(numbers);
    for (int i = 0; i < 1000; ++i)
        EXPECT_EQ(values[static_cast<std::size_t>(i)], std::to_string(i));
    const std::map<std::string, std::vector<std::string>> lists{{"a", {"x", "yz"}}, {"b", {}}};
    dict_->multi_put(lists);
    const auto read = dict_->multi_get<std::vector<std::string>>(lists | std::views::keys);
    EXPECT_EQ(read[0], lists.at("a"));
    EXPECT_EQ(read[1], lists.at("b"));
    EXPECT_TRUE(dict_->multi_get(std::vector<std::string>{}).empty());
}

TEST_F(ManyKeysTest, AFullPoolRefusesSomeItemsAndSaysWhich) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (int i = 0; i < 80'000; ++i)
        pairs.emplace_back("key " + std::to_string(i), std::string(3000, 'x'));
    const auto statuses = dict_->try_multi_put(pairs);
    std::size_t stored = 0, refused = 0;
    for (const ItemStatus& status : statuses) {
        status ? ++stored : ++refused;
        EXPECT_TRUE(status || status.code == Errc::no_space);
    }
    EXPECT_GT(stored, 50'000u);
    EXPECT_GT(refused, 10'000u);
    EXPECT_EQ(dict_->size(), stored);
    for (std::size_t i = 0; i < pairs.size(); i += 997)
        EXPECT_EQ(dict_->contains(pairs[i].first), statuses[i].ok());
}

TEST_F(ManyKeysTest, UpdateTakesAnyRange) {
    dict_->update(some_pairs(10'000, 20));
    EXPECT_EQ(dict_->size(), 10'000u);
    dict_->update(std::views::iota(0, 1000) |
                  std::views::transform([](int i) { return std::pair(i, std::vector<int>(2000, i)); }));
    EXPECT_EQ(dict_->size(), 11'000u);
    EXPECT_EQ(dict_->get<std::vector<int>>(999), std::vector<int>(2000, 999));
    EXPECT_EQ(code_of(dict_->try_update(std::vector<std::pair<std::string, int>>{{"", 1}, {"x", 2}})),
              Errc::invalid_argument);
    EXPECT_EQ(dict_->get<int>("x"), 2);
}

// ---- batches that are collected ----

TEST_F(ManyKeysTest, CollectedPutsAreThereAtTheEnd) {
    View view = *dict_;
    view.start_batch_put();
    for (const auto& [key, value] : some_pairs(3000, 40))
        view.put(key, value);
    view.put("large", std::vector<int>(100'000, 5));
    view.end_batch_put();
    EXPECT_EQ(dict_->size(), 3001u);
    EXPECT_EQ(dict_->get<std::vector<int>>("large").size(), 100'000u);
    view.start_batch_put();
    view.put("key", 1);
    const BatchReport report = view.try_end_batch_put().value();
    EXPECT_EQ(report.stored, 1u);
    EXPECT_EQ(report.failed, 0u);
}

TEST_F(ManyKeysTest, EndWithoutStartAndStartTwiceAreErrors) {
    View view = *dict_;
    EXPECT_EQ(code_of(view.try_end_batch_put()), Errc::invalid_argument);
    EXPECT_THROW(view.end_batch_put(), Exception);
    view.start_batch_put();
    EXPECT_EQ(code_of(view.try_start_batch_put()), Errc::invalid_argument);
    view.end_batch_put();
    EXPECT_EQ(code_of(view.try_end_batch_put()), Errc::invalid_argument);
}

TEST_F(ManyKeysTest, ABatchIsForTheThreadThatStartedIt) {
    View view = *dict_;
    view.start_batch_put();
    std::thread([&] {
        EXPECT_EQ(code_of(view.try_put("key", 1)), Errc::invalid_argument);
        EXPECT_EQ(code_of(view.try_end_batch_put()), Errc::invalid_argument);
    }).join();
    view.put("key", 2);
    view.end_batch_put();
    EXPECT_EQ(dict_->get<int>("key"), 2);
}

TEST_F(ManyKeysTest, TheEndNamesTheKeysThatFailed) {
    dict_->freeze();
    View view = *dict_;
    view.start_batch_put();
    for (int i = 0; i < 2000; ++i)
        view.put("key " + std::to_string(i), i);
    EXPECT_EQ(code_of(view.try_put("", 1)), Errc::invalid_argument);
    const BatchReport report = view.try_end_batch_put().value();
    dict_->unfreeze();
    EXPECT_EQ(report.stored, 0u);
    EXPECT_EQ(report.failed, 2000u);
    ASSERT_EQ(report.failures.size(), 1000u);
    for (const BatchReport::Failure& failure : report.failures) {
        EXPECT_EQ(failure.error.code, Errc::frozen);
        EXPECT_EQ(failure.error.manager, dict_->which_manager(failure.key));
    }
    EXPECT_EQ(dict_->size(), 0u);
}

/// Copies that were made while the batch was open are not left in it.
TEST_F(ManyKeysTest, AfterTheEndCopiesOfTheViewPutAtOnce) {
    View view = *dict_;
    view.start_batch_put();
    View copy = view.within(10s);
    copy.put("collected", 1);
    view.end_batch_put();
    EXPECT_EQ(dict_->get<int>("collected"), 1);
    copy.put("at once", 2);
    EXPECT_EQ(dict_->find<int>("at once"), 2);
    copy.bput("everywhere", 3);
    EXPECT_EQ(dict_->try_bget<int>("everywhere").value(), 3);
    std::thread([&] { EXPECT_EQ(code_of(copy.try_put("of a thread", 4)), Errc{}); }).join();
    EXPECT_EQ(code_of(copy.try_end_batch_put()), Errc::invalid_argument);
    copy.start_batch_put();
    copy.put("in the next batch", 5);
    view.put("not in it", 6);
    EXPECT_EQ(copy.try_end_batch_put().value().stored, 1u);
    EXPECT_EQ(dict_->size(), 6u);
}

TEST_F(ManyKeysTest, ABatchThatIsNeverEndedDoesNoHarm) {
    {
        View view = *dict_;
        view.start_batch_put();
        for (int i = 0; i < 1000; ++i)
            view.put(i, i);
    }
    dict_->put("after", 1);
    EXPECT_EQ(dict_->get<int>("after"), 1);
}

// ---- operations under way ----

TEST_F(ManyKeysTest, ManyOperationsAtOnce) {
    constexpr int count = 5000;  // more than may be under way
    std::vector<Pending<void>> puts;
    for (int i = 0; i < count; ++i)
        puts.push_back(dict_->put_async(i, "value " + std::to_string(i)));
    for (Pending<void>& put : puts)
        put.wait();
    EXPECT_EQ(dict_->size(), std::uint64_t{count});
    std::vector<Pending<std::string>> gets;
    for (int i = 0; i < count; ++i)
        gets.push_back(dict_->get_async(i));
    for (int i = count; i-- > 0;)
        EXPECT_EQ(gets[static_cast<std::size_t>(i)].wait(), "value " + std::to_string(i));
    std::vector<Pending<bool>> erases;
    for (int i = 0; i < count; ++i)
        erases.push_back(dict_->erase_async(2 * i));
    int erased = 0;
    for (Pending<bool>& erase : erases)
        erased += erase.wait() ? 1 : 0;
    EXPECT_EQ(erased, count / 2);
}

TEST_F(ManyKeysTest, LargeValuesUnderWay) {
    std::vector<std::vector<std::uint8_t>> values;
    for (std::uint8_t i = 0; i < 16; ++i)
        values.emplace_back(500'000, i);
    std::vector<Pending<void>> puts;
    for (std::size_t i = 0; i < values.size(); ++i)
        puts.push_back(dict_->put_async(i, values[i]));
    for (Pending<void>& put : puts)
        put.wait();
    std::vector<Pending<std::vector<std::uint8_t>>> gets;
    for (std::size_t i = 0; i < values.size(); ++i)
        gets.push_back(dict_->get_async<std::vector<std::uint8_t>>(i));
    for (std::size_t i = 0; i < values.size(); ++i)
        EXPECT_EQ(gets[i].wait(), values[i]);
    const std::vector<std::string> encoded(1000, "a list, which has to be encoded");
    EXPECT_EQ(code_of(dict_->put_async("list", encoded).try_wait()), Errc::too_large);
    dict_->put_async("list", std::vector<std::string>{"short"}).wait();
    EXPECT_EQ(dict_->get<std::vector<std::string>>("list").front(), "short");
}

TEST_F(ManyKeysTest, APendingOperationTellsItsErrors) {
    Pending<std::string> get = dict_->get_async("nobody");
    const auto missing = get.try_wait();
    EXPECT_EQ(code_of(missing), Errc::not_found);
    EXPECT_NE(missing.error().message().find("get of key 'nobody' on manager"), std::string::npos);
    EXPECT_FALSE(get.valid());
    EXPECT_EQ(code_of(get.try_wait()), Errc::invalid_argument);
    EXPECT_EQ(code_of(Pending<void>().try_wait()), Errc::invalid_argument);
    dict_->put("text", "x");
    EXPECT_EQ(code_of(dict_->get_async<double>("text").try_wait()), Errc::wrong_type);
    Pending<void> put = dict_->put_async("key", 1);
    std::thread([&] { EXPECT_EQ(code_of(put.try_wait()), Errc::invalid_argument); }).join();
    // Refused, it has lost nothing, also when the operation has ended.
    while (!put.ready())
        std::this_thread::yield();
    std::thread([&] { EXPECT_EQ(code_of(put.try_wait()), Errc::invalid_argument); }).join();
    EXPECT_TRUE(put.valid());
    EXPECT_EQ(code_of(put.try_wait()), Errc{});
    static_cast<void>(dict_->put_async("dropped", 2));  // its end is waited for
    EXPECT_EQ(dict_->get<int>("dropped"), 2);
}

TEST_F(ManyKeysTest, ReadyDoesNotWaitAndWaitKeepsItsDeadline) {
    const ManagerStats stats = dict_->stats()[1];
    const std::string key = key_on(1);
    by_message_->put(key, 1);
    ASSERT_EQ(kill(stats.pid, SIGSTOP), 0);
    auto get = by_message_->get_async<int>(key);
    const auto start = steady_clock::now();
    EXPECT_FALSE(get.ready());
    const auto waited = get.try_wait(steady_clock::now() + 30ms);
    const auto took = steady_clock::now() - start;
    auto hopeless = by_message_->within(50ms).get_async<int>(key);
    const auto lost = hopeless.try_wait();
    kill(stats.pid, SIGCONT);
    EXPECT_EQ(code_of(waited), Errc::timeout);
    EXPECT_GE(took, 30ms);
    EXPECT_LT(took, 2s);
    EXPECT_EQ(code_of(lost), Errc::timeout);
    EXPECT_FALSE(hopeless.valid());
    EXPECT_TRUE(get.valid());
    EXPECT_TRUE(eventually(5s, [&] { return get.ready(); }));
    EXPECT_EQ(get.wait(), 1);
}

TEST_F(ManyKeysTest, DetachEndsWhatIsUnderWay) {
    const std::vector<std::uint8_t> large(4 << 20, 1);
    std::vector<Pending<void>> puts;
    View view;
    {
        Dictionary other = Dictionary::attach(dict_->serialize());
        view = other;
        view.start_batch_put();
        view.put("collected", 1);
        for (int i = 0; i < 20; ++i)
            puts.push_back(other.put_async(i, large));
        puts.push_back(other.put_async("small", 1));
        other.detach();
    }
    for (Pending<void>& put : puts) {
        const auto ended = put.try_wait();
        EXPECT_TRUE(ended || ended.error().code == Errc::not_attached) << ended.error().message();
    }
    const auto report = view.try_end_batch_put();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->failed, 1u);
    EXPECT_EQ(report->failures.at(0).error.code, Errc::not_attached);
    EXPECT_EQ(code_of(view.try_put("key", 1)), Errc::not_attached);
    EXPECT_EQ(dict_->put_if_absent("still works", 1), true);
}

/// The connections are the parent's: the child must neither use them nor wait for them.
TEST_F(ManyKeysTest, AForkedChildLeavesWhatIsUnderWayToItsParent) {
    const ManagerStats stats = dict_->stats()[1];
    const View third = dict_->manager(1);
    View view = third;
    ASSERT_EQ(kill(stats.pid, SIGSTOP), 0);
    view.start_batch_put();
    constexpr int collected = 20;  // a message each, and one more that is not full
    for (int i = 0; i < collected; ++i)
        view.put("collected " + std::to_string(i), std::string(3000, 'x'));
    Pending<void> put = third.put_async("key", 1);
    Pending<void> dropped = third.put_async("dropped", 2);
    const pid_t child = fork();
    if (child == 0) {
        alarm(10);  // a child that waits for the parent's manager is ended
        const auto refused = [](const Error& error) {
            return error.code == Errc::not_attached && error.message().find("fork") != std::string::npos;
        };
        const auto waited = put.try_wait();
        bool good = !waited && refused(waited.error()) && put.valid();
        dropped = Pending<void>();
        bool ready = false;
        try {
            ready = put.ready();
            good = false;
        } catch (const Exception& error) {
            good = good && refused(error.error());
        }
        view.put("in the child", 3);  // its error comes at the end
        const auto report = view.try_end_batch_put();
        good = good && !ready && report && report->stored == 0 && report->failed == collected + 1 &&
               std::ranges::all_of(report->failures, [&](const auto& item) { return refused(item.error); });
        { const Pending<void> left = std::move(put); }
        _exit(good ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    kill(stats.pid, SIGCONT);
    EXPECT_EQ(status, 0);
    put.wait();
    dropped.wait();
    EXPECT_EQ(view.try_end_batch_put().value().stored, std::uint64_t{collected});
    EXPECT_EQ(third.size(), collected + 2u);
}

std::size_t mapped_pools() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);)
        if (line.find("/dev/shm/ddict-") != std::string::npos) ++count;
    return count;
}

/// In a child of fork() not even the lock may be taken: another thread may have held it.
TEST_F(ManyKeysTest, OnlyThoseWhoReadHereMapTheManagersMemory) {
    dict_->put("key", 1);
    const std::vector<std::string> keys{"key", key_on(0), key_on(1), key_on(2)};
    const Dictionary messages = Dictionary::attach(dict_->serialize(), {.local_reads = false});
    const Dictionary reader = Dictionary::attach(dict_->serialize());
    const std::size_t before = mapped_pools();
    EXPECT_EQ(messages.multi_get<int>(keys)[0], 1);
    EXPECT_EQ(mapped_pools(), before);
    const pid_t child = fork();
    if (child == 0) {
        const bool refused = reader.try_multi_get<int>(keys)[0].code() == Errc::not_attached;
        _exit(refused && mapped_pools() == before ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(reader.multi_get<int>(keys)[0], 1);
    EXPECT_GT(mapped_pools(), before);
}

TEST_F(ManyKeysTest, AThreadThatEndsLeavesItsOperationsBehind) {
    Pending<void> left;
    std::thread([&] { left = dict_->put_async("key", 1); }).join();
    EXPECT_EQ(code_of(left.try_wait()), Errc::invalid_argument);
    left = Pending<void>();
    dict_->put("key", 2);
    EXPECT_EQ(dict_->get<int>("key"), 2);
}

TEST_F(ManyKeysTest, ManyThreadsWithBatches) {
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int t = 0; t < 6; ++t) {
        threads.emplace_back([&, t] {
            std::vector<std::pair<std::string, int>> pairs;
            for (int i = 0; i < 500; ++i)
                pairs.emplace_back(std::to_string(t) + "/" + std::to_string(i), i);
            for (int round = 0; round < 5; ++round) {
                by_message_->multi_put(pairs);
                const auto values = by_message_->multi_get<int>(pairs | std::views::keys);
                for (std::size_t i = 0; i < pairs.size(); ++i)
                    wrong += values[i] == pairs[i].second ? 0 : 1;
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(dict_->size(), 3000u);
}

}  // namespace
}  // namespace ddict
