// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/linearizability.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/sim/random.h"
#include "tests/sim/seeds.h"

namespace ddict::sim {
namespace {

using Operation = RegisterOperation;
using Kind = Operation::Kind;
using History = std::vector<Operation>;

Operation put(std::uint64_t value, std::uint64_t called, std::uint64_t returned = Operation::never) {
    return {.kind = Kind::put, .value = value, .called = called, .returned = returned};
}
Operation get(std::uint64_t value, std::uint64_t called, std::uint64_t returned) {
    return {.kind = Kind::get, .value = value, .called = called, .returned = returned};
}
Operation contains(bool there, std::uint64_t called, std::uint64_t returned) {
    return {.kind = Kind::contains, .value = there ? 1u : 0u, .called = called, .returned = returned};
}
Operation erase(bool there, std::uint64_t called, std::uint64_t returned = Operation::never) {
    return {.kind = Kind::erase, .value = there ? 1u : 0u, .called = called, .returned = returned};
}
Operation clear(std::uint64_t called, std::uint64_t returned) {
    return {.kind = Kind::clear, .value = 0, .called = called, .returned = returned};
}

TEST(Linearizability, AcceptsOneAfterTheOther) {
    EXPECT_TRUE(linearizable({}));
    EXPECT_TRUE(
        linearizable({get(0, 1, 2), put(7, 3, 4), get(7, 5, 6), contains(true, 7, 8), erase(true, 9, 10),
                      erase(false, 11, 12), contains(false, 13, 14), get(0, 15, 16)}));
    EXPECT_TRUE(linearizable({put(7, 1, 2), clear(3, 4), get(0, 5, 6)}));
}

TEST(Linearizability, AcceptsEitherOrderOfWhatOverlaps) {
    EXPECT_TRUE(linearizable({put(1, 1, 4), put(2, 2, 3), get(1, 5, 6)}));
    EXPECT_TRUE(linearizable({put(1, 1, 4), put(2, 2, 3), get(2, 5, 6)}));
    EXPECT_TRUE(linearizable({put(1, 1, 10), get(0, 2, 3), get(1, 4, 5)}));
    // The read of the old value may be the one that returns last.
    EXPECT_TRUE(linearizable({put(1, 1, 2), put(2, 3, 8), get(1, 4, 7), get(2, 5, 6)}));
}

TEST(Linearizability, RejectsAStaleRead) {
    EXPECT_FALSE(linearizable({put(1, 1, 2), put(2, 3, 4), get(1, 5, 6)}));
    EXPECT_FALSE(linearizable({put(1, 1, 2), get(0, 3, 4)}));
    EXPECT_FALSE(linearizable({put(1, 1, 2), contains(false, 3, 4)}));
}

TEST(Linearizability, RejectsReadsThatGoBack) {
    EXPECT_FALSE(linearizable({put(1, 1, 2), put(2, 3, 10), get(2, 4, 5), get(1, 6, 7)}));
}

TEST(Linearizability, RejectsAValueThatNobodyWrote) {
    EXPECT_FALSE(linearizable({put(1, 1, 2), get(3, 3, 4)}));
    EXPECT_FALSE(linearizable({get(3, 1, 2), put(3, 3, 4)}));
}

TEST(Linearizability, RejectsALostOrDoubledErase) {
    EXPECT_FALSE(linearizable({put(1, 1, 2), erase(true, 3, 6), erase(true, 4, 5)}));
    EXPECT_FALSE(linearizable({put(1, 1, 2), erase(true, 3, 4), get(1, 5, 6)}));
    EXPECT_FALSE(linearizable({erase(true, 1, 2)}));
    EXPECT_FALSE(linearizable({put(1, 1, 2), clear(3, 4), get(1, 5, 6)}));
}

TEST(Linearizability, AnUnknownOutcomeMayHappenLaterOrNever) {
    EXPECT_TRUE(linearizable({put(1, 1, 2), put(2, 3), get(1, 4, 5)}));
    EXPECT_TRUE(linearizable({put(1, 1, 2), put(2, 3), get(1, 4, 5), get(2, 6, 7)}));
    EXPECT_TRUE(linearizable({put(1, 1, 2), erase(true, 3), get(1, 4, 5), get(0, 6, 7)}));
    EXPECT_FALSE(linearizable({put(1, 1, 2), put(2, 3), get(2, 4, 5), get(1, 6, 7)}));
    EXPECT_FALSE(linearizable({get(2, 1, 2), put(2, 3)})) << "before it was called";
}

/// Tries every order and every subset of the unknown outcomes. For a few operations only.
bool explained_by_some_order(const History& history) {
    std::vector<std::size_t> order(history.size());
    std::iota(order.begin(), order.end(), 0u);
    do {
        for (unsigned left_out = 0; left_out < (1u << history.size()); ++left_out) {
            std::uint64_t state = 0;
            std::uint64_t latest_call = 0;
            bool fits = true;
            for (const std::size_t i : order) {
                const Operation& o = history[i];
                if ((left_out >> i & 1) != 0) {
                    fits = fits && !o.complete();
                    continue;
                }
                fits = fits && o.returned > latest_call;
                latest_call = std::max(latest_call, o.called);
                const std::uint64_t there = state != 0 ? 1 : 0;
                if (o.complete()) {
                    fits = fits && (o.kind != Kind::get || o.value == state);
                    fits = fits && ((o.kind != Kind::contains && o.kind != Kind::erase) || o.value == there);
                }
                if (o.kind == Kind::put) state = o.value;
                if (o.kind == Kind::erase || o.kind == Kind::clear) state = 0;
            }
            if (fits) return true;
        }
    } while (std::next_permutation(order.begin(), order.end()));
    return false;
}

TEST(Linearizability, AgreesWithTryingEverything) {
    std::uint64_t accepted = 0;
    std::uint64_t rejected = 0;
    for_each_seed(20, [&](std::uint64_t seed, Tally& tally) {
        Random random(seed);
        for (int round = 0; round < 50; ++round) {
            const std::size_t count = 1 + random.below(5);
            std::vector<std::uint64_t> times(2 * count);
            std::iota(times.begin(), times.end(), 1u);
            for (std::size_t i = times.size(); i > 1; --i)
                std::swap(times[i - 1], times[random.below(i)]);
            History history;
            for (std::size_t i = 0; i < count; ++i) {
                const auto kind = static_cast<Kind>(random.below(5));
                Operation o{.kind = kind,
                            .value = random.below(kind == Kind::contains || kind == Kind::erase ? 2 : 3),
                            .called = std::min(times[2 * i], times[2 * i + 1]),
                            .returned = std::max(times[2 * i], times[2 * i + 1])};
                if (kind == Kind::put) o.value = 1 + i % 2;
                if (random.chance(15)) o.returned = Operation::never;
                history.push_back(o);
            }
            const bool expected = explained_by_some_order(history);
            ASSERT_EQ(linearizable(history), expected);
            ++(expected ? accepted : rejected);
            ++tally.histories;
            tally.operations += count;
        }
    });
    EXPECT_TRUE((accepted > 100u && rejected > 100u) || repeats_one_seed());
}

}  // namespace
}  // namespace ddict::sim
