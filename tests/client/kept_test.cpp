// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionaries that end and leave their pools, and others that go on with them.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

using namespace std::chrono_literals;

class KeptTest : public ::testing::Test {
  protected:
    void SetUp() override { before_ = segments(); }
    void TearDown() override { EXPECT_EQ(segments(), before_); }

    CreateOptions options() const { return {.managers_per_node = 3, .total_mem = 24 << 20, .name = name_}; }
    CreateOptions resuming() const {
        CreateOptions options = this->options();
        options.resume = true;
        return options;
    }
    /// Those of this test that lie in shared memory.
    std::vector<std::string> left(const std::string& suffix) const {
        std::vector<std::string> names;
        for (const std::string& segment : segments())
            if (!before_.contains(segment) && segment.ends_with(suffix)) names.push_back(segment);
        return names;
    }
    /// Of manager `number`.
    std::string pool(std::uint32_t number) const {
        const auto names = left("-m" + std::to_string(number));
        EXPECT_EQ(names.size(), 1U);
        return "/dev/shm/" + names.at(0);
    }
    static void fill(const Dictionary& dict) {
        for (int i = 0; i < 2000; ++i)
            dict.put("key-" + std::to_string(i), i);
        dict.put("large", std::string(500'000, 'l'));
        for (int i = 0; i < 42; ++i)
            dict.fetch_add("counter", 1);
        dict.bput("weights", 1);
        dict.bput("weights", 2);
        for (std::uint32_t manager = 0; manager < 3; ++manager)
            dict.placed_at([manager](KeyBytes) { return manager; })
                .put("placed-" + std::to_string(manager), 7);
    }
    static void expect_all(const Dictionary& dict) {
        for (int i = 0; i < 2000; ++i)
            ASSERT_EQ(dict.get<int>("key-" + std::to_string(i)), i);
        EXPECT_EQ(dict.get("large"), std::string(500'000, 'l'));
        EXPECT_EQ(dict.fetch_add("counter", 1), 42);
        EXPECT_EQ(dict.fetch_add("counter", -1), 43);
        EXPECT_EQ(dict.bget<int>("weights"), 2);
        for (std::uint32_t manager = 0; manager < 3; ++manager)
            EXPECT_EQ(dict.placed_at([manager](KeyBytes) { return manager; })
                          .get<int>("placed-" + std::to_string(manager)),
                      7);
        EXPECT_EQ(dict.size(), 2000U + 1 + 1 + 1 + 3);
    }
    /// Gives back what a test leaves.
    void discard() const { EXPECT_EQ(run("discard --name " + name_), 0); }
    static int run(const std::string& arguments) {
        const char* launch = std::getenv("DDICT_LAUNCH");
        return std::system(((launch != nullptr ? launch : "ddict-launch") + (" " + arguments)).c_str());
    }

    inline static int tests_ = 0;
    const std::string name_ = "kept-" + std::to_string(::getpid()) + "-" + std::to_string(++tests_);
    std::set<std::string> before_;
};

TEST_F(KeptTest, GoesOnWithEverythingThatWasThere) {
    std::string handle;
    {
        Dictionary dict = Dictionary::create(options());
        fill(dict);
        handle = dict.serialize();
        dict.destroy({.keep_pools = true});
    }
    EXPECT_EQ(left("-directory").size(), 0U);
    EXPECT_EQ(left("-socket").size(), 0U);
    EXPECT_EQ(left("-kept").size(), 1U);
    EXPECT_EQ(code_of(Dictionary::try_attach(handle)), Errc::dictionary_gone);
    {
        Dictionary dict = Dictionary::create(resuming());
        EXPECT_EQ(left("-kept").size(), 0U) << "it is this dictionary's own now";
        EXPECT_EQ(left("-m0").size(), 1U);
        expect_all(dict);
        EXPECT_EQ(dict.empty_managers(), std::vector<std::uint32_t>{});
        for (const ManagerStats& stats : dict.stats())
            EXPECT_EQ(stats.restarts, 0U) << "nobody has died";
        // Versions go on: what is broadcast now is newer than what was broadcast before.
        dict.bput("weights", 3);
        EXPECT_EQ(dict.bget<int>("weights"), 3);
        dict.bput("weights", 2);
        EXPECT_EQ(code_of(Dictionary::try_attach(handle)), Errc::dictionary_gone) << "of the life before";
        // Again, and by somebody who has not created it.
        Dictionary other = Dictionary::attach(dict.serialize());
        other.destroy({.keep_pools = true});
    }
    Dictionary dict = Dictionary::create(resuming());
    expect_all(dict);
    // As any other: a manager that is killed comes back.
    kill(dict.stats()[1].pid, SIGKILL);
    ASSERT_TRUE(eventually(10s, [&] { return dict.stats()[1].restarts == 1; }));
    expect_all(dict);
    dict.destroy();
}

TEST_F(KeptTest, ComesBackFrozenIfItWas) {
    Dictionary dict = Dictionary::create(options());
    dict.put("key", 1);
    dict.freeze();
    dict.destroy({.keep_pools = true});
    Dictionary next = Dictionary::create(resuming());
    EXPECT_TRUE(next.is_frozen());
    EXPECT_EQ(code_of(next.try_put("key", 2)), Errc::frozen);
    next.unfreeze();
    next.put("key", 2);
    next.destroy();
}

/// It has pools of the life before mapped, and does not notice the change by itself.
TEST_F(KeptTest, AClientOfTheLifeBeforeReadsNothingOfTheNext) {
    Dictionary dict = Dictionary::create(options());
    dict.put("key", 1);
    Dictionary other = Dictionary::attach(dict.serialize());
    for (int i = 0; i < 30; ++i)
        EXPECT_FALSE(other.contains("nothing-" + std::to_string(i)));
    EXPECT_EQ(other.get<int>("key"), 1);
    dict.destroy({.keep_pools = true});
    Dictionary next = Dictionary::create(resuming());
    next.put("key", 2);
    EXPECT_EQ(code_of(other.try_get<int>("key")), Errc::dictionary_gone);
    EXPECT_EQ(next.get<int>("key"), 2);
    next.destroy();
}

TEST_F(KeptTest, OtherSettingsAreRefusedAndNothingChanges) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    dict.destroy({.keep_pools = true});
    const auto kept = segments();
    CreateOptions other = resuming();
    other.managers_per_node = 2;
    const auto fewer = Dictionary::try_create(other);
    ASSERT_FALSE(fewer);
    EXPECT_EQ(fewer.error().code, Errc::invalid_argument);
    EXPECT_NE(fewer.error().message().find("1 node of 3 managers with 24M"), std::string::npos)
        << fewer.error().message();
    EXPECT_NE(fewer.error().message().find("1 node of 2 managers with 24M"), std::string::npos)
        << fewer.error().message();
    other = resuming();
    other.total_mem = 48 << 20;
    EXPECT_EQ(code_of(Dictionary::try_create(other)), Errc::invalid_argument);
    other = resuming();
    other.name = name_ + "-other";
    EXPECT_EQ(code_of(Dictionary::try_create(other)), Errc::not_found);
    EXPECT_EQ(segments(), kept);
    Dictionary next = Dictionary::create(resuming());
    expect_all(next);
    next.destroy();
}

TEST_F(KeptTest, WhatIsMissingIsNamedOrBeginsEmpty) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    const std::uint64_t of_manager_1 = dict.manager(1).size();
    const std::uint64_t all = dict.size();
    ASSERT_GT(of_manager_1, 0U);
    dict.destroy({.keep_pools = true});
    ASSERT_EQ(::unlink(pool(1).c_str()), 0);
    const auto refused = Dictionary::try_create(resuming());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::not_found);
    EXPECT_NE(refused.error().message().find("manager 1"), std::string::npos) << refused.error().message();
    CreateOptions lenient = resuming();
    lenient.allow_empty = true;
    Dictionary next = Dictionary::create(lenient);
    EXPECT_EQ(next.empty_managers(), std::vector<std::uint32_t>{1});
    EXPECT_EQ(next.size(), all - of_manager_1);
    next.put("new", 1);
    // Still so when another process has taken its place; and not in the next life.
    next.restart(1);
    EXPECT_EQ(next.empty_managers(), std::vector<std::uint32_t>{1});
    next.destroy({.keep_pools = true});
    Dictionary last = Dictionary::create(resuming());
    EXPECT_EQ(last.empty_managers(), std::vector<std::uint32_t>{});
    EXPECT_EQ(last.get<int>("new"), 1);
    last.destroy();
}

/// So that nothing leads to its pairs any more.
TEST_F(KeptTest, APoolThatIsDamagedIsNamedOrBeginsEmpty) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    dict.destroy({.keep_pools = true});
    {
        std::fstream file(pool(2), std::ios::in | std::ios::out | std::ios::binary);
        const std::string rubbish(200'000, '\x5a');
        file.seekp(4096);  // behind the header: the index and the first blocks
        file.write(rubbish.data(), static_cast<std::streamsize>(rubbish.size()));
    }
    CreateOptions lenient = resuming();
    lenient.allow_empty = true;
    Dictionary next = Dictionary::create(lenient);
    const auto empty = next.empty_managers();
    EXPECT_TRUE(empty.empty() || empty == std::vector<std::uint32_t>{2});
    for (int i = 0; i < 2000; ++i) {
        const std::string key = "key-" + std::to_string(i);
        if (next.which_manager(key) != 2) {
            ASSERT_EQ(next.get<int>(key), i);
        }
    }
    next.destroy();
}

TEST_F(KeptTest, NothingWasKept) {
    const auto refused = Dictionary::try_create(resuming());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::not_found);
    EXPECT_NE(refused.error().message().find(name_), std::string::npos) << refused.error().message();
    CreateOptions lenient = resuming();
    lenient.allow_empty = true;
    Dictionary first = Dictionary::create(lenient);
    EXPECT_EQ(first.empty_managers(), (std::vector<std::uint32_t>{0, 1, 2}));
    first.destroy();
    CreateOptions wrong = options();
    wrong.allow_empty = true;
    EXPECT_EQ(code_of(Dictionary::try_create(wrong)), Errc::invalid_argument) << "it belongs to resume";
}

TEST_F(KeptTest, ABringUpThatFailsLeavesWhatWasKept) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    dict.destroy({.keep_pools = true});
    const auto kept = segments();
    ::setenv("DDICT_MANAGER_PROGRAM", "/bin/false", 1);
    EXPECT_EQ(code_of(Dictionary::try_create(resuming())), Errc::system);
    ::unsetenv("DDICT_MANAGER_PROGRAM");
    EXPECT_EQ(segments(), kept);
    Dictionary next = Dictionary::create(resuming());
    expect_all(next);
    next.destroy();
}

/// What a manager has acknowledged before it was killed is kept with the rest.
TEST_F(KeptTest, ManagersThatWereKilledAreKeptToo) {
    CreateOptions without_restarts = options();
    without_restarts.restart = false;
    Dictionary dict = Dictionary::create(without_restarts);
    fill(dict);
    kill(dict.stats()[1].pid, SIGKILL);
    ASSERT_TRUE(eventually(10s, [&] { return dict.manager(1).try_size().has_value() == false; }));
    dict.destroy({.keep_pools = true});
    Dictionary next = Dictionary::create(resuming());
    expect_all(next);
    next.destroy();
}

TEST_F(KeptTest, SeveralOfOneNameAreNotGuessedAt) {
    for (int i = 0; i < 2; ++i) {
        Dictionary dict = Dictionary::create(options());
        dict.put("key", i);
        dict.destroy({.keep_pools = true});
    }
    const auto refused = Dictionary::try_create(resuming());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    EXPECT_NE(refused.error().message().find("several"), std::string::npos) << refused.error().message();
    discard();
    EXPECT_EQ(left("").size(), 0U);
    EXPECT_NE(run("discard --name " + name_), 0) << "there is none any more";
}

/// Whoever resumes it, one does.
TEST_F(KeptTest, OneOfManyResumesIt) {
    Dictionary dict = Dictionary::create(options());
    fill(dict);
    dict.destroy({.keep_pools = true});
    std::vector<Result<Dictionary>> all;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        all.emplace_back(Error(Errc::system));
    for (Result<Dictionary>& one : all)
        threads.emplace_back([&] { one = Dictionary::try_create(resuming()); });
    for (std::thread& thread : threads)
        thread.join();
    int resumed = 0;
    for (Result<Dictionary>& one : all) {
        if (!one) {
            EXPECT_TRUE(one.error().code == Errc::busy || one.error().code == Errc::not_found)
                << one.error().message();
            continue;
        }
        ++resumed;
        expect_all(*one);
        one->destroy();
    }
    EXPECT_EQ(resumed, 1);
}

}  // namespace
}  // namespace ddict
