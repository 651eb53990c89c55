// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Waiting for the first of several keys.
#include <signal.h>

#include <atomic>
#include <thread>

#include "base/limits.h"
#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class WaitForAnyTest : public SharedDictionaryTest {
  protected:
    /// One key on each manager, by manager.
    static std::vector<std::string> a_key_on_each(const std::string& prefix) {
        std::vector<std::string> keys;
        for (std::uint32_t manager = 0; manager < managers; ++manager)
            keys.push_back(key_on(manager, prefix));
        return keys;
    }
    static std::uint64_t waiting() {
        std::uint64_t sum = 0;
        for (const ManagerStats& stats : dict_->stats())
            sum += stats.waiting;
        return sum;
    }
    void TearDown() override {
        EXPECT_TRUE(eventually(5s, [] { return waiting() == 0; })) << "a wait was left behind";
    }
};

TEST_F(WaitForAnyTest, WhatIsThereIsFound) {
    const std::vector<std::string> keys = a_key_on_each("key");
    for (std::size_t i = 0; i < keys.size(); ++i) {
        dict_->put(keys[i], static_cast<int>(i) + 10);
        for (const Dictionary* dict : {dict_.get(), by_message_.get()}) {
            const auto found = dict->wait_for_any<int>(keys);
            EXPECT_EQ(found.index, i);
            EXPECT_EQ(found.value, static_cast<int>(i) + 10);
            EXPECT_EQ(waiting(), 0u);
        }
        dict_->erase(keys[i]);
    }
    dict_->put(keys[1], "");
    EXPECT_EQ(dict_->wait_for_any(keys).value, "");
}

TEST_F(WaitForAnyTest, WhatComesFirstEndsTheOthers) {
    const std::vector<std::string> keys = a_key_on_each("key");
    for (int round = 0; round < 30; ++round) {
        const auto which = static_cast<std::size_t>(round) % keys.size();
        std::thread writer([&] {
            EXPECT_TRUE(eventually(10s, [] { return waiting() == managers; }));
            dict_->put(keys[which], round);
        });
        const auto found = dict_->within(20s).wait_for_any<int>(keys);
        writer.join();
        EXPECT_EQ(found.index, which);
        EXPECT_EQ(found.value, round);
        EXPECT_EQ(waiting(), 0u);
        dict_->erase(keys[which]);
    }
}

/// All at once, with values that travel as payloads: one of them comes, whole.
TEST_F(WaitForAnyTest, OneOfManyLargeValues) {
    std::vector<std::string> keys;
    std::vector<std::pair<std::string, std::vector<int>>> pairs;
    for (int i = 0; i < 100; ++i) {
        keys.push_back("key" + std::to_string(i));
        pairs.emplace_back(keys.back(), std::vector<int>(100'000, i));
    }
    for (int round = 0; round < 10; ++round) {
        dict_->clear();
        std::atomic<bool> begun = false;
        std::thread writer([&] {
            while (!begun)
                std::this_thread::yield();
            dict_->multi_put(pairs);
        });
        begun = true;
        const auto found = dict_->within(20s).wait_for_any<std::vector<int>>(keys);
        writer.join();
        EXPECT_EQ(found.value, std::vector<int>(100'000, static_cast<int>(found.index)));
    }
    // And the connections are as good as before.
    EXPECT_EQ(by_message_->get<std::vector<int>>(keys[7]).size(), 100'000u);
}

TEST_F(WaitForAnyTest, NoneComesInTime) {
    const std::vector<std::string> keys = a_key_on_each("nobody");
    // On a machine with too much to do, managers do not answer in so short a time.
    Error last;
    for (const auto timeout : {50ms, 500ms, 5000ms}) {
        const auto began = steady_clock::now();
        const auto late = dict_->within(timeout).try_wait_for_any(keys);
        ASSERT_FALSE(late);
        EXPECT_GE(steady_clock::now() - began, timeout);
        last = late.error();
        if (last.manager_state == ManagerState::answered) break;
    }
    EXPECT_EQ(last.code, Errc::timeout);
    EXPECT_EQ(last.operation, Operation::wait_for_any);
    EXPECT_EQ(last.manager_state, ManagerState::answered);
    EXPECT_EQ(last.message(), "wait_for_any: timeout: none of the 3 keys '" + keys[0] + "', '" + keys[1] +
                                  "', '" + keys[2] +
                                  "' appeared in time; their managers answer: wait for longer");
    const auto at_once = dict_->within(0ms).try_wait_for_any(keys);
    ASSERT_FALSE(at_once);
    EXPECT_EQ(at_once.error().code, Errc::timeout);
    EXPECT_EQ(
        at_once.error().message(),
        "wait_for_any: timeout: the deadline had passed before anything was sent; raise the deadline or "
        "try again")
        << "it is of no single key";
}

/// An error's text is too short for all of them; each that is named is named whole.
TEST_F(WaitForAnyTest, OfManyKeysTheFirstAreNamed) {
    std::vector<std::string> keys;
    for (int i = 0; i < 100; ++i)
        keys.push_back("a key of some length " + std::to_string(i));
    const std::string message = dict_->within(50ms).try_wait_for_any(keys).error().message();
    EXPECT_NE(message.find("none of the 100 keys 'a key of some length 0', 'a key of some length 1', "),
              std::string::npos)
        << message;
    EXPECT_NE(message.find(", ... appeared in time; their managers answer: wait for longer"),
              std::string::npos)
        << message;
    const std::string long_one =
        dict_->within(50ms).try_wait_for_any(std::vector{std::string(1000, 'x'), keys[0]}).error().message();
    EXPECT_NE(long_one.find("none of the 2 keys appeared in time; their"), std::string::npos) << long_one;
    const std::string alone = dict_->within(50ms).try_wait_for_any(std::vector{keys[0]}).error().message();
    EXPECT_NE(alone.find("wait_for_any of key 'a key of some length 0' on manager"), std::string::npos)
        << alone;
}

TEST_F(WaitForAnyTest, AnotherTypeIsAnErrorThatNamesTheKey) {
    const std::vector<std::string> keys = a_key_on_each("key");
    dict_->put(keys[2], "text");
    const auto began = steady_clock::now();
    const auto wrong = dict_->try_wait_for_any<int>(keys);
    ASSERT_FALSE(wrong);
    EXPECT_LT(steady_clock::now() - began, 10s);
    EXPECT_EQ(wrong.error().code, Errc::wrong_type);
    EXPECT_EQ(wrong.error().manager, 2u);
    EXPECT_EQ(std::string(wrong.error().key.data(), wrong.error().key_bytes_shown), keys[2]);
    dict_->put(keys[2], "");
    EXPECT_EQ(code_of(dict_->try_wait_for_any<int>(keys)), Errc::wrong_type);
}

TEST_F(WaitForAnyTest, BadKeysAreRefused) {
    EXPECT_EQ(code_of(dict_->try_wait_for_any(std::vector<std::string>())), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_wait_for_any(std::vector<std::string>(257, "key"))), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_wait_for_any(std::vector<std::string>{"key", ""})), Errc::invalid_argument);
    EXPECT_EQ(code_of(dict_->try_wait_for_any(std::vector<std::string>{"key", std::string(1025, 'x')})),
              Errc::too_large);
    EXPECT_EQ(code_of(View().try_wait_for_any(std::vector<std::string>{"key"})), Errc::not_attached);
    dict_->put("key", 7);
    EXPECT_EQ(dict_->wait_for_any<int>(std::vector<std::string>(256, "key")).value, 7);
}

/// The key is there; one of the other managers says nothing.
TEST_F(WaitForAnyTest, AManagerThatHangsHoldsUpForAMomentOnly) {
    const std::vector<std::string> keys = a_key_on_each("key");
    dict_->put(keys[0], 1);
    const std::int32_t hung = dict_->stats()[1].pid;
    ASSERT_EQ(kill(hung, SIGSTOP), 0);
    const auto began = steady_clock::now();
    const auto found = dict_->within(60s).try_wait_for_any<int>(keys);
    const auto took = steady_clock::now() - began;
    const auto without_success =
        dict_->within(100ms).try_wait_for_any(std::vector<std::string>{key_on(1, "no"), key_on(2, "no")});
    kill(hung, SIGCONT);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->index, 0u);
    EXPECT_LT(took, 10s);
    ASSERT_FALSE(without_success);
    EXPECT_EQ(without_success.error().code, Errc::timeout);
    EXPECT_EQ(without_success.error().manager, 1u) << "what is not known counts more";
    EXPECT_EQ(without_success.error().manager_state, ManagerState::silent);
    EXPECT_TRUE(eventually(10s, [] { return waiting() == 0; }));
}

}  // namespace
}  // namespace ddict
