// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/waiting_requests.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

namespace ddict::manager {
namespace {

using namespace std::chrono_literals;

const Time start = Time(1h);

class WaitingTest : public testing::Test {
  protected:
    void add(std::string_view key, std::uint64_t request, std::uint64_t session = 1,
             std::uint64_t microseconds = 1000) {
        wire::RequestHeader header;
        header.request = request;
        header.session = session;
        header.argument = microseconds;
        waiting.add(bytes_of(key), {.header = header, .value = {}});
    }
    std::vector<std::uint64_t> of_key(std::string_view key, bool over) {
        std::vector<std::uint64_t> out;
        waiting.for_each_of_key(bytes_of(key), [&](const WaitingRequests::Request& request) {
            out.push_back(request.header.request);
            return over;
        });
        return out;
    }
    std::vector<std::uint64_t> overdue(Time now) {
        std::vector<std::uint64_t> out;
        next = waiting.tick(
            now, [&](const wire::RequestHeader& header, KeyBytes) { out.push_back(header.request); });
        return out;
    }

    WaitingRequests waiting;
    Time next{};
};

using Numbers = std::vector<std::uint64_t>;

TEST_F(WaitingTest, ByKeyInTheOrderOfTheirComing) {
    add("a", 1);
    add("b", 2);
    add("a", 3);
    EXPECT_EQ(of_key("a", false), (Numbers{1, 3}));
    EXPECT_EQ(of_key("a", true), (Numbers{1, 3}));
    EXPECT_EQ(of_key("a", true), Numbers{});
    EXPECT_EQ(waiting.size(), 1u);
    EXPECT_EQ(of_key("b", true), Numbers{2});
    EXPECT_TRUE(waiting.inconsistency().empty() && waiting.empty());
}

TEST_F(WaitingTest, ADeadlineCountsFromTheFirstTick) {
    add("a", 1, 1, 1000);
    EXPECT_EQ(overdue(start), Numbers{});
    EXPECT_EQ(next, start + 1ms);
    add("a", 2, 1, 500);
    EXPECT_EQ(overdue(start + 600us), Numbers{});
    EXPECT_EQ(next, start + 1ms);
    EXPECT_EQ(overdue(start + 1ms), Numbers{1});
    EXPECT_EQ(next, start + 1100us);
    EXPECT_EQ(overdue(start + 1h), Numbers{2});
    EXPECT_EQ(next, Time::max());
    EXPECT_TRUE(waiting.inconsistency().empty() && waiting.empty());
}

TEST_F(WaitingTest, NobodyWaitsForEver) {
    add("a", 1, 1, ~std::uint64_t{0});
    overdue(start);
    EXPECT_EQ(next, start + limits::wait_max);
    EXPECT_EQ(overdue(next), Numbers{1});
}

TEST_F(WaitingTest, ASessionsEndEndsItsWaits) {
    add("a", 1, 1);
    add("a", 2, 2);
    overdue(start);
    add("b", 3, 1);
    waiting.drop_session(1);
    waiting.drop_session(9);
    EXPECT_EQ(waiting.size(), 1u);
    EXPECT_EQ(of_key("a", true), Numbers{2});
    EXPECT_TRUE(waiting.inconsistency().empty() && waiting.empty());
}

/// A slot that is given away again before the first tick has one deadline, its own.
TEST_F(WaitingTest, OneIsTakenByItsNumber) {
    for (const std::uint64_t request : {1u, 2u, 3u})
        add("a", request);
    add("a", 4, 2);
    EXPECT_FALSE(waiting.take(2, 1)) << "it is another session's";
    EXPECT_FALSE(waiting.take(3, 1));
    overdue(start);
    const auto taken = waiting.take(1, 2);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->request, 2u);
    EXPECT_FALSE(waiting.take(1, 2));
    EXPECT_EQ(waiting.inconsistency(), "");
    EXPECT_EQ(of_key("a", false), (Numbers{1, 3, 4}));
    EXPECT_TRUE(waiting.take(1, 3) && waiting.take(1, 1) && waiting.take(2, 4));
    EXPECT_TRUE(waiting.inconsistency().empty() && waiting.empty());
    EXPECT_EQ(overdue(start + 1s), Numbers{});
}

TEST_F(WaitingTest, AnUndatedRequestThatIsOverLeavesNoDeadline) {
    add("a", 1, 1, 1000);
    add("b", 2, 1, 1000);
    of_key("a", true);
    add("c", 3, 1, 2000);
    EXPECT_EQ(overdue(start), Numbers{});
    EXPECT_EQ(overdue(start + 1ms), Numbers{2});
    EXPECT_EQ(overdue(start + 2ms), Numbers{3});
    EXPECT_TRUE(waiting.inconsistency().empty() && waiting.empty());
}

/// Against a plain list.
TEST_F(WaitingTest, RandomOperations) {
    const char* given = std::getenv("DDICT_TEST_SEED");
    const auto seed =
        given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 0)) : std::random_device{}();
    std::cout << "DDICT_TEST_SEED=" << seed << '\n';
    std::mt19937 random(seed);
    struct Line {
        std::string key;
        std::uint64_t session;
        std::uint64_t wait;
        Time deadline = Time::max();
    };
    std::map<std::uint64_t, Line> model;
    Time now = start;
    for (std::uint64_t i = 1; i < 20'000; ++i) {
        const std::string key(1, static_cast<char>('a' + random() % 5));
        const std::uint64_t session = random() % 4;
        switch (random() % 8) {
            case 0: {
                const std::uint64_t wait = random() % 300;
                add(key, i, session, wait);
                model[i] = {key, session, wait};
                break;
            }
            case 1:
                if (random() % 8 != 0) break;
                waiting.drop_session(session);
                std::erase_if(model, [&](const auto& line) { return line.second.session == session; });
                break;
            case 2: {
                Numbers expected;
                for (const auto& [number, line] : model) {
                    if (line.key == key) expected.push_back(number);
                }
                const bool over = random() % 3 == 0;
                EXPECT_EQ(of_key(key, over), expected);
                if (over) std::erase_if(model, [&](const auto& line) { return line.second.key == key; });
                break;
            }
            case 3: {
                now += std::chrono::microseconds(random() % 50);
                Numbers expected;
                for (auto& [number, line] : model) {
                    if (line.deadline == Time::max())
                        line.deadline = now + std::chrono::microseconds(line.wait);
                    if (line.deadline <= now) expected.push_back(number);
                }
                Numbers ended = overdue(now);
                std::sort(ended.begin(), ended.end());
                EXPECT_EQ(ended, expected);
                for (const std::uint64_t number : expected)
                    model.erase(number);
                break;
            }
            default:
                add(key, i, session, random() % 100'000);
                model[i] = {key, session, 0};
                waiting.for_each_of_key(bytes_of(key), [&](const WaitingRequests::Request& request) {
                    return request.header.request == i;
                });
                model.erase(i);
        }
        ASSERT_EQ(waiting.size(), model.size());
        ASSERT_FALSE(testing::Test::HasFailure());
    }
    for (std::uint64_t session = 0; session < 4; ++session)
        waiting.drop_session(session);
    EXPECT_TRUE(waiting.inconsistency().empty() && waiting.empty());
}

}  // namespace
}  // namespace ddict::manager
