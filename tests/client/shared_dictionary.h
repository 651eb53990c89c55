// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One dictionary for all tests of a program, empty at the begin of each, and what all of them ask.
#pragma once

#include <ddict/dictionary.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>

#include "tests/client/segments.h"

namespace ddict {

class SharedDictionaryTest : public ::testing::Test {
  protected:
    static constexpr std::uint32_t managers = 3;

    static void SetUpTestSuite() {
        segments_before_ = segments();
        dict_ = std::make_unique<Dictionary>(
            Dictionary::create({.managers_per_node = managers, .total_mem = 192 << 20, .name = "shared"}));
        by_message_ =
            std::make_unique<Dictionary>(Dictionary::attach(dict_->serialize(), {.local_reads = false}));
    }
    static void TearDownTestSuite() {
        by_message_.reset();
        dict_->destroy();
        dict_.reset();
        EXPECT_EQ(segments(), segments_before_);
    }
    void SetUp() override { dict_->clear(); }

    /// A key that begins with `prefix` and lives on a manager.
    static std::string key_on(std::uint32_t manager, const std::string& prefix = "key") {
        for (int i = 0;; ++i) {
            const std::string key = prefix + std::to_string(i);
            if (dict_->which_manager(key) == manager) return key;
        }
    }

    static inline std::unique_ptr<Dictionary> dict_;
    static inline std::unique_ptr<Dictionary> by_message_;  // the same, but reads by message too
    static inline std::set<std::string> segments_before_;
};

/// The code of a failure; 0 of a success.
template <class T>
Errc code_of(const Result<T>& result) {
    return result.has_value() ? Errc{} : result.error().code;
}

/// Asks until the answer is yes, for at most `timeout`.
template <class Question>
bool eventually(std::chrono::milliseconds timeout, Question question) {
    for (const auto deadline = std::chrono::steady_clock::now() + timeout;
         std::chrono::steady_clock::now() < deadline;) {
        if (question()) return true;
    }
    return question();
}

}  // namespace ddict
