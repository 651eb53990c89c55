// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ddict/result.h>

namespace ddict {
namespace {

Error failure() {
    return Error(Errc::not_found, "nothing is there");
}

/// What is moved from has still failed, and says so.
template <class T>
void expect_failed_after_move(Result<T> first) {
    Result<T> second = std::move(first);
    EXPECT_EQ(second.error().code, Errc::not_found);
    EXPECT_FALSE(first.has_value());
    EXPECT_FALSE(first.error().message().empty());
    EXPECT_THROW(static_cast<void>(first.value()), Exception);
    Result<T> third = std::move(first);
    EXPECT_FALSE(third.has_value()) << "moved from what was moved from";
    const Result<T> copy = third;
    EXPECT_FALSE(copy.has_value());
    third = std::move(second);
    EXPECT_EQ(third.error().code, Errc::not_found);
    EXPECT_FALSE(second.has_value()) << "moved from by assignment";
    second = third;
    EXPECT_EQ(second.error().code, Errc::not_found) << "and can be assigned to";
}

TEST(Result, AFailedOneThatWasMovedFromHasStillFailed) {
    expect_failed_after_move<void>(failure());
    expect_failed_after_move<int>(failure());
    expect_failed_after_move<std::string>(failure());
    expect_failed_after_move<std::vector<std::byte>>(failure());
}

TEST(Result, AGoodOneThatWasMovedFromHasStillAValue) {
    Result<void> nothing;
    const Result<void> taken = std::move(nothing);
    EXPECT_TRUE(taken.has_value());
    EXPECT_TRUE(nothing.has_value());
    Result<std::string> text = std::string("text");
    EXPECT_EQ(std::move(text).value(), "text");
    EXPECT_TRUE(text.has_value());
}

TEST(Result, ManyThatWereMovedFromShareNoError) {
    std::vector<Result<void>> all;
    for (int i = 0; i < 100; ++i)
        all.emplace_back(failure());  // moves those that were there
    for (const Result<void>& one : all)
        EXPECT_EQ(one.error().code, Errc::not_found);
    std::vector<Result<void>> others = std::move(all);
    others.erase(others.begin(), others.begin() + 50);
    for (const Result<void>& one : others)
        EXPECT_EQ(one.error().code, Errc::not_found);
}

struct ThrowsWhenMoved {
    ThrowsWhenMoved() = default;
    ThrowsWhenMoved(const ThrowsWhenMoved&) = default;
    ThrowsWhenMoved(ThrowsWhenMoved&& other) : armed(other.armed) {
        if (armed) throw std::runtime_error("moved");
    }
    bool armed = false;
};

TEST(Result, AnAssignmentThatThrowsLeavesAFailure) {
    Result<ThrowsWhenMoved> to{failure()};
    Result<ThrowsWhenMoved> from{ThrowsWhenMoved()};
    from->armed = true;
    const auto& source = from;
    EXPECT_THROW(to = source, std::runtime_error);
    EXPECT_FALSE(to.has_value());
    EXPECT_FALSE(to.error().message().empty());
}

}  // namespace
}  // namespace ddict
