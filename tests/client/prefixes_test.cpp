// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What is done to all keys with a prefix, at the managers.
#include <signal.h>

#include <atomic>
#include <thread>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

using PrefixesTest = SharedDictionaryTest;

TEST_F(PrefixesTest, AreCountedAndErased) {
    for (int i = 0; i < 3000; ++i) {
        dict_->put("user/" + std::to_string(i), i);
        dict_->put("host/" + std::to_string(i), i);
    }
    dict_->put(42, "no text");
    EXPECT_EQ(dict_->count_prefix("user/1"), 1111u);
    EXPECT_EQ(dict_->count_prefix("nobody"), 0u);
    EXPECT_EQ(dict_->count_prefix(""), dict_->size());
    EXPECT_EQ(dict_->count_prefix(std::string(2000, 'x')), 0u);
    std::uint64_t by_manager = 0;
    for (std::uint32_t manager = 0; manager < managers; ++manager) {
        const std::uint64_t here = dict_->manager(manager).count_prefix("user/1");
        EXPECT_GT(here, 0u);
        by_manager += here;
    }
    EXPECT_EQ(by_manager, 1111u);

    const View one = dict_->manager(1);
    const std::uint64_t on_one = one.count_prefix("user/1");
    EXPECT_EQ(one.erase_prefix("user/1"), on_one);
    EXPECT_EQ(dict_->erase_prefix("user/1"), 1111u - on_one);
    EXPECT_EQ(dict_->erase_prefix("user/1"), 0u);
    EXPECT_FALSE(dict_->contains("user/1"));
    EXPECT_TRUE(dict_->contains("user/2") && dict_->contains("host/1"));
    EXPECT_EQ(dict_->size(), 6001u - 1111u);
    EXPECT_EQ(dict_->erase_prefix(std::string(2000, 'x')), 0u);
}

/// More than one request to each manager.
TEST_F(PrefixesTest, AreErasedInParts) {
    constexpr std::uint64_t keys = 60'000;
    std::vector<std::pair<std::string, int>> pairs;
    for (std::uint64_t i = 0; i < keys; ++i)
        pairs.emplace_back("many/" + std::to_string(i), 1);
    dict_->multi_put(pairs);
    dict_->profile_reset();
    EXPECT_EQ(dict_->count_prefix("many/"), keys);
    EXPECT_EQ(dict_->erase_prefix("many/"), keys);
    std::uint64_t requests = 0;
    for (const OperationProfile& operation : dict_->profile().operations) {
        if (operation.operation != Operation::erase_prefix) continue;
        requests = operation.count;
        EXPECT_EQ(operation.bytes_received, 0u);
    }
    EXPECT_GT(requests, std::uint64_t{managers});
    EXPECT_EQ(dict_->size(), 0u);
}

/// Those that stay during the call are counted once each, and go with it.
TEST_F(PrefixesTest, WhatIsThereAllTheTimeGoes) {
    for (int i = 0; i < 20'000; ++i)
        dict_->put("p/stays" + std::to_string(i), i);
    std::atomic<bool> stop = false;
    std::thread other([&] {
        for (int i = 0; !stop; ++i) {
            dict_->put("p/comes" + std::to_string(i % 5000), i);
            dict_->erase("p/comes" + std::to_string((i + 2500) % 5000));
        }
    });
    const std::uint64_t counted = dict_->count_prefix("p/stays");
    const std::uint64_t erased = dict_->erase_prefix("p/");
    stop = true;
    other.join();
    EXPECT_EQ(counted, 20'000u);
    EXPECT_GE(erased, 20'000u);
    EXPECT_EQ(dict_->count_prefix("p/stays"), 0u);
    dict_->erase_prefix("p/");
    EXPECT_EQ(dict_->size(), 0u);
}

TEST_F(PrefixesTest, WhatMayNotChangeStays) {
    dict_->put("p/1", 1);
    dict_->bput("p/2", 2);
    EXPECT_EQ(dict_->count_prefix("p/"), 2u);
    dict_->freeze();
    const auto frozen = dict_->try_erase_prefix("p/");
    ASSERT_FALSE(frozen);
    EXPECT_EQ(frozen.error().code, Errc::frozen);
    EXPECT_EQ(frozen.error().operation, Operation::erase_prefix);
    EXPECT_FALSE(frozen.error().in_doubt);
    EXPECT_NE(frozen.error().message().find("erase_prefix of prefix 'p/'"), std::string::npos)
        << frozen.error().message();
    EXPECT_EQ(dict_->count_prefix("p/"), 2u);
    dict_->unfreeze();
    EXPECT_EQ(dict_->erase_prefix("p/"), 1u);
    for (std::uint32_t manager = 0; manager < managers; ++manager)
        EXPECT_EQ(dict_->manager(manager).bget<int>("p/2"), 2);
    EXPECT_TRUE(dict_->berase("p/2"));
}

TEST_F(PrefixesTest, AnEmptyOneIsNotErased) {
    dict_->put("key", 1);
    const auto refused = dict_->try_erase_prefix("");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    EXPECT_EQ(refused.error().operation, Operation::erase_prefix);
    EXPECT_EQ(dict_->size(), 1u);
    EXPECT_EQ(code_of(View().try_erase_prefix("p")), Errc::not_attached);
    EXPECT_EQ(code_of(View().try_count_prefix(std::string(2000, 'x'))), Errc::not_attached);
}

TEST_F(PrefixesTest, AManagerThatDoesNotAnswerIsNamed) {
    for (int i = 0; i < 100; ++i)
        dict_->put("p/" + std::to_string(i), i);
    const std::int32_t silent = dict_->stats()[1].pid;
    const std::uint64_t there = dict_->manager(1).count_prefix("p/");
    ASSERT_EQ(kill(silent, SIGSTOP), 0);
    const auto counted = dict_->within(100ms).try_count_prefix("p/");
    const auto erased = dict_->within(100ms).try_erase_prefix("p/");
    kill(silent, SIGCONT);
    for (const auto* result : {&counted, &erased}) {
        ASSERT_FALSE(*result);
        EXPECT_EQ(result->error().code, Errc::timeout) << result->error().message();
        EXPECT_EQ(result->error().manager, 1u) << result->error().message();
    }
    EXPECT_FALSE(counted.error().in_doubt);
    EXPECT_TRUE(erased.error().in_doubt) << "the others have erased theirs";
    EXPECT_LE(dict_->count_prefix("p/"), there);
    dict_->erase_prefix("p/");
    EXPECT_EQ(dict_->size(), 0u);
}

}  // namespace
}  // namespace ddict
