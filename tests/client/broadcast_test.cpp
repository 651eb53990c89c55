// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A copy on every manager.
#include <signal.h>

#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"
#include "tests/client/without_restarts.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

using BroadcastTest = SharedDictionaryTest;

TEST_F(BroadcastTest, EveryManagerHasACopyAndItCountsOnce) {
    for (const std::size_t size : {10ul, 1'000'000ul}) {
        const std::string value(size, 'b');
        dict_->bput("key", value);
        for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
            EXPECT_EQ(dict->bget("key"), value);
            for (std::uint32_t manager = 0; manager < managers; ++manager)
                EXPECT_EQ(dict->manager(manager).get("key"), value) << manager;
        }
        EXPECT_EQ(dict_->size(), 1u);
        EXPECT_EQ(dict_->try_keys().value(), std::vector<std::string>{"key"});
        dict_->bput("key", "new");
        EXPECT_EQ(dict_->bget("key"), "new");
        EXPECT_TRUE(dict_->berase("key"));
        EXPECT_FALSE(dict_->berase("key"));
        EXPECT_EQ(code_of(dict_->try_bget("key")), Errc::not_found);
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            EXPECT_FALSE(dict_->manager(manager).contains("key")) << manager;
    }
}

TEST_F(BroadcastTest, TheViewsPlacementDoesNotMatter) {
    const std::string key = key_on(0);
    dict_->manager(2).bput(key, 1);
    dict_->placed_by([](KeyBytes) { return ~std::uint64_t{0}; }).bput(key, 2);
    EXPECT_EQ(dict_->bget<int>(key), 2);
    EXPECT_EQ(dict_->manager(1).bget<int>(key), 2);
    EXPECT_TRUE(dict_->manager(1).berase(key));
}

TEST_F(BroadcastTest, WhatWasNotBroadcastIsFoundAtItsManager) {
    for (std::uint32_t manager = 0; manager < managers; ++manager) {
        const std::string key = key_on(manager, "plain ");
        dict_->put(key, "x");
        EXPECT_EQ(dict_->bget(key), "x");
    }
    EXPECT_EQ(code_of(dict_->try_bget("nobody")), Errc::not_found);
    EXPECT_EQ(dict_->try_bget("nobody").error().operation, Operation::broadcast_get);
    dict_->bput("text", "x");
    const auto wrong = dict_->try_bget<double>("text");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Errc::wrong_type);
}

TEST_F(BroadcastTest, OtherWritesOfABroadcastKeyAreRefused) {
    dict_->bput("key", 1);
    EXPECT_EQ(code_of(dict_->try_put("key", 2)), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_erase("key")), Errc::invalid_argument);
    EXPECT_EQ(dict_->bget<int>("key"), 1);
    dict_->berase("key");
    dict_->put("key", 2);
    EXPECT_EQ(dict_->get<int>("key"), 2);
    dict_->freeze();
    EXPECT_EQ(code_of(dict_->try_bput("other", 1)), Errc::frozen);
    EXPECT_EQ(code_of(dict_->try_berase("key")), Errc::frozen);
    dict_->unfreeze();
}

TEST_F(BroadcastTest, ReadersSeeWholeValuesThatNeverGoBack) {
    dict_->bput("model", std::vector<int>(2000, 0));
    std::vector<std::thread> readers;
    for (int t = 0; t < 3; ++t) {
        readers.emplace_back([&, t] {
            const Dictionary& dict = t == 0 ? *by_message_ : *dict_;
            for (int last = 0; last < 50;) {
                const auto model = dict.bget<std::vector<int>>("model");
                for (const int n : model)
                    ASSERT_EQ(n, model.front());
                ASSERT_GE(model.front(), last);
                last = model.front();
            }
        });
    }
    for (int version = 1; version <= 50; ++version)
        dict_->bput("model", std::vector<int>(2000, version));
    for (std::thread& reader : readers)
        reader.join();
}

TEST_F(BroadcastTest, ABatchCollectsThemToo) {
    for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
        View view = *dict;
        view.start_batch_put();
        for (int i = 0; i < 500; ++i) {
            // Temporaries: a batch must have copied what it has not sent.
            view.bput("copy " + std::to_string(i), std::vector<int>(static_cast<std::size_t>(i % 7), i));
            view.put("plain " + std::to_string(i), i);
        }
        view.bput("large", std::vector<int>(100'000, 5));
        EXPECT_EQ(code_of(view.try_bput("", 1)), Errc::invalid_argument);
        const BatchReport report = view.try_end_batch_put().value();
        EXPECT_EQ(report.stored, 1001u);
        EXPECT_EQ(report.failed, 0u);
        EXPECT_EQ(dict->size(), 1001u);
        for (std::uint32_t manager = 0; manager < managers; ++manager) {
            const View one = dict->manager(manager);
            for (int i = 0; i < 500; ++i)
                ASSERT_EQ(one.get<std::vector<int>>("copy " + std::to_string(i)),
                          std::vector<int>(static_cast<std::size_t>(i % 7), i));
            EXPECT_EQ(one.get<std::vector<int>>("large").size(), 100'000u);
        }
        dict->clear();
    }
}

TEST_F(BroadcastTest, TheEndOfABatchNamesThoseThatFailed) {
    dict_->put("plain", 1);
    View view = *dict_;
    view.start_batch_put();
    view.bput("plain", 2);
    view.bput("copy", 2);
    const BatchReport report = view.try_end_batch_put().value();
    EXPECT_EQ(report.stored + report.failed, 2u);
    dict_->freeze();
    view.start_batch_put();
    view.bput("copy", 3);
    const BatchReport refused = view.try_end_batch_put().value();
    dict_->unfreeze();
    ASSERT_EQ(refused.failures.size(), 1u);
    EXPECT_EQ(refused.failures[0].key, "copy");
    EXPECT_EQ(refused.failures[0].error.code, Errc::frozen);
    EXPECT_EQ(refused.failures[0].error.operation, Operation::broadcast_put);
    EXPECT_EQ(dict_->bget<int>("copy"), 2);
}

/// The managers of a node are numbered one after the other, and lost together.
TEST(Broadcast, IsReadElsewhereWhenManyNeighboursAreLost) {
    const WithoutRestarts without;
    Dictionary dict = Dictionary::create(
        {.managers_per_node = 12, .total_mem = 48 << 20, .attach = {.local_reads = false}});
    std::string key = "key";
    while (dict.which_manager(key) > 5)
        key += "x";
    dict.bput(key, 1);
    const auto stats = dict.stats();
    for (std::size_t manager = 0; manager < 6; ++manager)
        ASSERT_EQ(kill(stats[manager].pid, SIGKILL), 0);
    for (std::uint32_t nearest = 0; nearest < 12; ++nearest) {
        const auto got = dict.manager(nearest).try_bget<int>(key);
        ASSERT_TRUE(got) << nearest << ": " << got.error().message();
        EXPECT_EQ(*got, 1);
    }
    dict.destroy();
}

TEST(Broadcast, ALostManagerIsNamed) {
    const WithoutRestarts without;
    Dictionary dict = Dictionary::create({.managers_per_node = 4, .total_mem = 32 << 20});
    dict.bput("key", 1);
    const ManagerStats victim = dict.stats()[2];
    ASSERT_EQ(kill(victim.pid, SIGKILL), 0);
    std::string key = "key";
    while (dict.which_manager(key) == 2)
        key += "x";
    Result<void> put;
    EXPECT_TRUE(eventually(10s, [&] {
        put = dict.try_bput(key, 2);
        return !put;
    }));
    EXPECT_EQ(put.error().code, Errc::manager_lost) << put.error().message();
    EXPECT_EQ(put.error().manager, 2u) << put.error().message();
    // Those who read elsewhere still can.
    EXPECT_TRUE(dict.try_bget<int>("key")) << dict.try_bget<int>("key").error().message();
    dict.destroy();
}

}  // namespace
}  // namespace ddict
