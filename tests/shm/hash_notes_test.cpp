// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/hash_notes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ddict::shm {
namespace {

std::vector<std::uint64_t> take_each(HashNotes& notes) {
    std::vector<std::uint64_t> all;
    while (const std::optional<std::uint64_t> hash = notes.take())
        all.push_back(*hash);
    std::sort(all.begin(), all.end());
    return all;
}

TEST(HashNotesTest, WhatIsNotedIsTakenOut) {
    HashNotes notes;
    EXPECT_TRUE(notes.empty());
    EXPECT_FALSE(notes.take());
    std::vector<std::uint64_t> expected;
    for (std::uint64_t hash = 0; hash < 10 * HashNotes::chunk_hashes + 7; ++hash) {
        notes.add(hash);
        expected.push_back(hash);
    }
    EXPECT_FALSE(notes.empty());
    EXPECT_EQ(take_each(notes), expected);
    EXPECT_TRUE(notes.empty());
    EXPECT_EQ(notes.capacity(), 0u);
}

TEST(HashNotesTest, AFewThatAreNotedAgainAndAgainStayFew) {
    HashNotes notes;
    for (std::uint64_t i = 0; i < 100'000; ++i)
        notes.add(i % 100);
    EXPECT_EQ(notes.capacity(), HashNotes::chunk_hashes);
    std::vector<std::uint64_t> all = take_each(notes);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    EXPECT_EQ(all.size(), 100u);
}

TEST(HashNotesTest, AllArePassedOn) {
    HashNotes from;
    HashNotes to;
    std::vector<std::uint64_t> expected;
    for (std::uint64_t hash = 0; hash < 3000; ++hash) {
        (hash % 3 == 0 ? to : from).add(hash);
        expected.push_back(hash);
        if (hash % 1000 == 0) to.take_all(from);
    }
    to.take_all(from);
    EXPECT_TRUE(from.empty());
    to.add(3000);  // there is space in the last chunk, whose ever it was
    from.add(3001);
    to.take_all(from);
    expected.insert(expected.end(), {3000, 3001});
    EXPECT_EQ(take_each(to), expected);
    to.take_all(from);
    EXPECT_TRUE(to.empty());
}

}  // namespace
}  // namespace ddict::shm
