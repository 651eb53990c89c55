// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "store/broadcast_marks.h"

namespace ddict::store {
namespace {

TEST(BroadcastMarks, KnowWhatIsStored) {
    BroadcastMarks marks;
    const Bytes key = bytes_of("k");
    EXPECT_FALSE(marks.any() || marks.holds(key) || marks.is_copy(key));
    marks.set(key, 5, true, false);
    EXPECT_TRUE(marks.any() && marks.holds(key) && marks.is_copy(key));
    EXPECT_EQ(marks.copies(), 1u);
    marks.set(key, 6, true, true);
    EXPECT_TRUE(marks.holds(key) && !marks.is_copy(key));
    EXPECT_EQ(marks.stored(), 1u);
    EXPECT_EQ(marks.copies(), 0u);
    marks.set(key, 7, false, true);
    EXPECT_FALSE(marks.any() || marks.holds(key));
    EXPECT_EQ(marks.find(key)->version, 7u) << "so that an older message does not bring it back";
    marks.set(key, 8, true, true);
    marks.clear();
    EXPECT_FALSE(marks.any());
    EXPECT_EQ(marks.find(key)->version, 8u);
}

TEST(BroadcastMarks, AreOfKeysOfOneType) {
    BroadcastMarks marks;
    const KeyBytes text = bytes_of("k");
    const KeyBytes other(bytes_of("k"), user_type(1));
    marks.set(other, 5, true, false);
    EXPECT_TRUE(marks.holds(other) && marks.is_copy(other));
    EXPECT_FALSE(marks.holds(text) || marks.is_copy(text));
    marks.set(text, 1, true, true);
    EXPECT_EQ(marks.find(other)->version, 5u);
    EXPECT_EQ(marks.find(text)->version, 1u);
    EXPECT_EQ(marks.known(), 2u);
}

TEST(BroadcastMarks, RememberSoManyErasedOnes) {
    BroadcastMarks marks;
    const auto key = [](std::size_t i) { return "key" + std::to_string(i); };
    marks.set(bytes_of("stays"), 1, false, true);
    marks.set(bytes_of("stays"), 2, true, true);
    for (std::size_t i = 0; i < BroadcastMarks::erased_max + 100; ++i)
        marks.set(bytes_of(key(i)), 10 + i, false, true);
    EXPECT_LE(marks.known(), BroadcastMarks::erased_max + 1);
    EXPECT_EQ(marks.find(bytes_of(key(0))), nullptr);
    EXPECT_NE(marks.find(bytes_of(key(BroadcastMarks::erased_max + 99))), nullptr);
    EXPECT_TRUE(marks.holds(bytes_of("stays")));
    for (int i = 0; i < 3; ++i) {
        for (std::size_t k = 0; k < 1000; ++k)
            marks.set(bytes_of(key(k)), 1'000'000 + k, true, true);
        marks.clear();
    }
    EXPECT_LE(marks.known(), BroadcastMarks::erased_max + 1);
}

}  // namespace
}  // namespace ddict::store
