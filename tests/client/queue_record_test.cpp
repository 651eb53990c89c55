// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The changes of a queue's record, without a dictionary.
#include "libclient/queue_record.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>

namespace ddict::client {
namespace {

using Holder = QueueRecord::Holder;
constexpr std::array<std::uint32_t, 2> two_managers{0, 1};

QueueRecord record_of(std::uint64_t bytes, std::uint32_t items, std::uint32_t producers) {
    return QueueRecord::make({.bytes = bytes, .items = items, .producers = producers}, 1);
}

std::uint64_t pushed(QueueRecord& record, Holder holder, std::uint64_t bytes) {
    const auto entry = record.reserve(holder, record.join(holder).value(), bytes, type_bytes, two_managers);
    EXPECT_TRUE(entry);
    EXPECT_TRUE(record.publish(entry->number, holder));
    return entry->number;
}

TEST(QueueRecord, WhatOneProducerHasNoOtherCanTake) {
    QueueRecord record = record_of(100, 10, 2);
    const std::uint32_t first = record.join(11).value();
    const std::uint32_t second = record.join(12).value();
    EXPECT_NE(first, second);
    EXPECT_EQ(record.join(11), first) << "it has one already";
    EXPECT_EQ(record.join(13), std::nullopt);
    EXPECT_TRUE(record.reserve(11, first, 50, type_bytes, two_managers));
    EXPECT_FALSE(record.reserve(11, first, 1, type_bytes, two_managers)) << "its share is taken";
    EXPECT_TRUE(record.reserve(12, second, 50, type_bytes, two_managers)) << "that of the other is not";
    EXPECT_TRUE(record.is_sound());
}

TEST(QueueRecord, SharesAreDealtOutAmongTheManagers) {
    const std::array<std::uint32_t, 5> managers{0, 1, 2, 3, 4};
    EXPECT_EQ(record_of(8, 8, 8).homes(6, managers), std::vector<std::uint32_t>{1});
    EXPECT_EQ(record_of(2, 2, 2).homes(0, managers), (std::vector<std::uint32_t>{0, 2, 4}));
    EXPECT_EQ(record_of(2, 2, 2).homes(1, managers), (std::vector<std::uint32_t>{1, 3}));
    QueueRecord record = record_of(100, 10, 2);
    std::map<std::uint32_t, int> on;
    for (int i = 0; i < 3; ++i)
        ++on[record.reserve(11, 0, 10, type_bytes, managers)->manager];
    EXPECT_EQ(on, (std::map<std::uint32_t, int>{{0, 1}, {2, 1}, {4, 1}})) << "each has one of them";
}

TEST(QueueRecord, AnItemIsHandedOutOnceAndFinishedOnce) {
    QueueRecord record = record_of(0, 4, 1);
    const std::uint64_t number = pushed(record, 11, 8);
    const auto taken = record.take(21);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->number, number);
    EXPECT_FALSE(record.take(22));
    EXPECT_FALSE(record.finish(number, 22, 1));
    EXPECT_TRUE(record.finish(number, 21, 1));
    EXPECT_FALSE(record.finish(number, 21, 1));
    EXPECT_EQ(record.stats().items, 1u) << "its value is being erased";
    EXPECT_TRUE(record.remove(number));
    EXPECT_FALSE(record.remove(number));
    EXPECT_EQ(record.stats().items, 0u);
    EXPECT_EQ(record.stats().finished, 1u);
}

TEST(QueueRecord, WhatTheDeadHeldComesBack) {
    QueueRecord record = record_of(0, 8, 2);
    const std::uint64_t first = pushed(record, 11, 8);
    const std::uint64_t second = pushed(record, 11, 8);
    const auto half = record.reserve(11, 0, 8, type_bytes, two_managers);
    ASSERT_TRUE(record.take(21));
    EXPECT_TRUE(record.wait({22, 0, QueueRecord::awaits_item}));
    EXPECT_TRUE(record.bury(21, 31));
    ASSERT_EQ(record.woken().size(), 1u);
    EXPECT_EQ(record.woken()[0].holder, 22u);
    const auto again = record.take(22);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->number, first) << "what comes back goes first";
    EXPECT_EQ(again->attempts, 2u);
    EXPECT_FALSE(record.finish(first, 21, 1)) << "who was only late";
    EXPECT_TRUE(record.bury(11, 31));
    EXPECT_FALSE(record.publish(half->number, 11));
    EXPECT_EQ(record.find(half->number)->state, QueueRecord::State::leaving);
    EXPECT_EQ(record.find(half->number)->holder, 31u);
    EXPECT_TRUE(record.remove(half->number));
    EXPECT_EQ(record.stats().producers, 0u);
    EXPECT_EQ(record.take(22)->number, second) << "items stay when their producer dies";
    EXPECT_FALSE(record.bury(11, 31));
    EXPECT_TRUE(record.is_sound());
}

TEST(QueueRecord, WhatNobodyKnowsOfIsGivenBack) {
    QueueRecord record = record_of(0, 8, 1);
    const std::uint64_t known = pushed(record, 11, 8);
    const std::uint64_t unknown = pushed(record, 11, 8);
    const auto half = record.reserve(11, 0, 8, type_bytes, two_managers);
    ASSERT_TRUE(record.take(11));
    ASSERT_TRUE(record.take(11));
    EXPECT_TRUE(record.wait({22, 0, QueueRecord::awaits_item}));
    const auto is_known = [&](const QueueRecord::Entry& entry) { return entry.number == known; };
    EXPECT_TRUE(record.give_back(11, is_known));
    EXPECT_FALSE(record.give_back(11, is_known));
    EXPECT_TRUE(record.has(known, 11, 1));
    EXPECT_EQ(record.find(half->number)->state, QueueRecord::State::leaving);
    ASSERT_EQ(record.woken().size(), 1u);
    EXPECT_EQ(record.take(22)->number, unknown);
    EXPECT_TRUE(record.is_sound());
}

TEST(QueueRecord, ItIsOverWhenItIsClosedAndAllIsDone) {
    QueueRecord record = record_of(0, 8, 1);
    const std::uint64_t first = pushed(record, 11, 8);
    const std::uint64_t second = pushed(record, 11, 8);
    EXPECT_TRUE(record.close());
    EXPECT_FALSE(record.close());
    EXPECT_FALSE(record.is_over(21, QueueEnd::closed)) << "there is an item";
    ASSERT_TRUE(record.take(21));
    ASSERT_TRUE(record.take(22));
    EXPECT_FALSE(record.is_over(21, QueueEnd::closed)) << "that of the other may come back";
    EXPECT_TRUE(record.wait({21, 0, QueueRecord::awaits_item}));
    EXPECT_FALSE(record.waiters().empty());
    // Two that wait while each has an item do not wait for each other.
    EXPECT_TRUE(record.is_over(22, QueueEnd::closed));
    EXPECT_TRUE(record.finish(second, 22, 1));
    EXPECT_TRUE(record.waiters().empty()) << "it has its own only: it is woken";
    EXPECT_TRUE(record.is_over(21, QueueEnd::closed));
    EXPECT_TRUE(record.finish(first, 21, 1));
    EXPECT_TRUE(record.is_over(23, QueueEnd::closed));
}

TEST(QueueRecord, ItIsOverWhenTheProducersAreGone) {
    QueueRecord record = record_of(0, 8, 2);
    EXPECT_FALSE(record.is_over(21, QueueEnd::producers_gone)) << "they have not come yet";
    ASSERT_TRUE(record.join(11));
    EXPECT_TRUE(record.leave(11));
    EXPECT_FALSE(record.is_over(21, QueueEnd::producers_gone)) << "one has not come yet";
    ASSERT_TRUE(record.join(12));
    EXPECT_TRUE(record.wait({21, 0, QueueRecord::awaits_item_or_end}));
    EXPECT_TRUE(record.wait({22, 0, QueueRecord::awaits_item}));
    EXPECT_TRUE(record.bury(12, 31));
    EXPECT_TRUE(record.is_over(21, QueueEnd::producers_gone));
    EXPECT_FALSE(record.is_over(22, QueueEnd::closed));
    ASSERT_EQ(record.woken().size(), 1u) << "the other one would only wait again";
    EXPECT_EQ(record.woken()[0].holder, 21u);
}

TEST(QueueRecord, WhoIsWokenAndDoesNotWantItWakesTheNext) {
    QueueRecord record = record_of(0, 8, 1);
    EXPECT_TRUE(record.wait({21, 0, QueueRecord::awaits_item}));
    EXPECT_TRUE(record.wait({22, 0, QueueRecord::awaits_item}));
    EXPECT_FALSE(record.wait({22, 0, QueueRecord::awaits_item})) << "it does so already";
    pushed(record, 11, 8);
    ASSERT_EQ(record.woken().size(), 1u);
    EXPECT_EQ(record.woken()[0].holder, 21u) << "who has waited for longest";
    EXPECT_TRUE(record.stop_waiting(21, 0));
    ASSERT_EQ(record.woken().size(), 2u);
    EXPECT_EQ(record.woken()[1].holder, 22u);
}

TEST(QueueRecord, ComesBackFromItsBytesAndNothingElseDoes) {
    QueueRecord record = record_of(100, 8, 2);
    pushed(record, 11, 8);
    EXPECT_TRUE(record.wait({22, 3, QueueRecord::awaits_item}));
    const std::vector<std::byte> bytes = record.bytes();
    const Result<QueueRecord> again = QueueRecord::parse(bytes);
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->bytes(), bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(QueueRecord::parse(std::span(bytes).first(size)).has_value()) << size;
    // Whatever the bytes say: it is refused, or sound.
    std::mt19937 random(7);
    for (int i = 0; i < 20'000; ++i) {
        std::vector<std::byte> damaged = bytes;
        damaged[random() % damaged.size()] = std::byte(random() % 256);
        const Result<QueueRecord> parsed = QueueRecord::parse(damaged);
        if (parsed.has_value()) {
            EXPECT_TRUE(parsed->is_sound());
        }
    }
}

/// Beside a model: who may have what, and how often each item was finished.
TEST(QueueRecord, AnyOrderOfChangesKeepsItSound) {
    const char* const given = std::getenv("DDICT_TEST_SEED");
    const std::uint32_t seed =
        given == nullptr ? std::random_device()() : static_cast<std::uint32_t>(std::atoi(given));
    SCOPED_TRACE("DDICT_TEST_SEED=" + std::to_string(seed));
    std::cout << "DDICT_TEST_SEED=" << seed << '\n';
    std::mt19937 random(seed);
    for (int run = 0; run < 200; ++run) {
        QueueRecord record = record_of(random() % 2 * 60, static_cast<std::uint32_t>(3 + random() % 10),
                                       static_cast<std::uint32_t>(1 + random() % 3));
        std::map<std::uint64_t, int> finished;
        std::map<std::uint64_t, std::pair<Holder, std::uint32_t>> taken;
        std::map<std::uint64_t, Holder> writing;
        std::set<std::uint64_t> published;
        for (int step = 0; step < 300; ++step) {
            const Holder holder = 1 + random() % 5;
            switch (random() % 8) {
                case 0:
                case 1:
                    if (const auto share = record.join(holder)) {
                        if (const auto entry =
                                record.reserve(holder, *share, random() % 20, type_bytes, two_managers))
                            writing[entry->number] = holder;
                    }
                    break;
                case 2:
                    if (!writing.empty()) {
                        const auto [number, writer] = *writing.begin();
                        EXPECT_TRUE(record.publish(number, writer));
                        published.insert(number);
                        writing.erase(number);
                    }
                    break;
                case 3:
                    if (const auto entry = record.take(holder)) {
                        EXPECT_TRUE(published.contains(entry->number));
                        EXPECT_FALSE(taken.contains(entry->number));
                        taken[entry->number] = {holder, entry->attempts};
                    }
                    break;
                case 4:
                    if (!taken.empty()) {
                        const auto [number, by] = *taken.begin();
                        EXPECT_FALSE(record.finish(number, by.first + 10, by.second));
                        EXPECT_TRUE(record.finish(number, by.first, by.second));
                        EXPECT_TRUE(record.remove(number));
                        ++finished[number];
                        taken.erase(number);
                    }
                    break;
                case 5:
                    if (!taken.empty()) {
                        const auto [number, by] = *taken.begin();
                        EXPECT_TRUE(record.put_back(number, by.first, by.second));
                        taken.erase(number);
                    }
                    break;
                case 6:
                    record.wait({holder, static_cast<std::uint32_t>(random() % 2),
                                 random() % 2 == 0 ? QueueRecord::awaits_item : QueueRecord::awaits_share});
                    break;
                default:
                    if (random() % 4 != 0) break;
                    record.bury(holder, 99);
                    std::erase_if(taken, [&](const auto& one) { return one.second.first == holder; });
                    std::erase_if(writing, [&](const auto& one) { return one.second == holder; });
                    for (const QueueRecord::Entry& entry : std::vector(record.entries())) {
                        if (entry.state == QueueRecord::State::leaving) {
                            EXPECT_TRUE(record.remove(entry.number));
                        }
                    }
                    break;
            }
            ASSERT_TRUE(record.is_sound());
            ASSERT_TRUE(QueueRecord::parse(record.bytes()).has_value());
        }
        for (const auto& [number, times] : finished)
            EXPECT_EQ(times, 1);
        EXPECT_EQ(record.stats().finished, finished.size());
    }
}

}  // namespace
}  // namespace ddict::client
