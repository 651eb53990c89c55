// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Puts that are collected in an object: Batch.
#include "tests/client/shared_dictionary.h"

namespace ddict {
namespace {

class PutBatchTest : public SharedDictionaryTest {};

TEST_F(PutBatchTest, StoresAllWhenItIsCommitted) {
    Batch batch = dict_->batch();
    for (int i = 0; i < 5000; ++i)
        batch.put(i, std::to_string(i));
    batch.put("large", std::string(100'000, 'x'));
    batch.bput("everywhere", 1.5);
    EXPECT_EQ(dict_->size(), 0u) << "nothing is sent before";
    batch.commit();
    EXPECT_EQ(dict_->size(), 5002u);
    EXPECT_EQ(dict_->get(4999), "4999");
    EXPECT_EQ(dict_->get("large").size(), 100'000u);
    EXPECT_EQ(dict_->bget<double>("everywhere"), 1.5);
}

TEST_F(PutBatchTest, DoesNothingIfItIsNotCommitted) {
    {
        Batch batch = dict_->batch();
        for (int i = 0; i < 5000; ++i)
            batch.put(i, std::string(100, 'x'));
        batch.put("large", std::string(100'000, 'x'));
        batch.bput("everywhere", 1);
        Batch moved = std::move(batch);
        Batch replaced = dict_->batch();
        replaced.put("replaced", 1);
        replaced = dict_->batch();
    }
    EXPECT_EQ(dict_->size(), 0u);
}

TEST_F(PutBatchTest, IsApartFromItsViewAndFromOthers) {
    Batch one = dict_->batch();
    Batch two = dict_->within(std::chrono::seconds(20)).batch();
    one.put("one", 1);
    two.put("two", 2);
    dict_->put("at once", 3);
    EXPECT_EQ(dict_->get<int>("at once"), 3);
    two.commit();
    EXPECT_FALSE(dict_->contains("one"));
    EXPECT_EQ(dict_->get<int>("two"), 2);
    one.commit();
    EXPECT_EQ(dict_->get<int>("one"), 1);
}

TEST_F(PutBatchTest, KeepsCopiesAndThePlacementOfItsView) {
    std::string value = "before";
    const std::string key = key_on(0);
    Batch batch = dict_->manager(1).batch();
    batch.put(key, value);
    value = "after!";
    batch.commit();
    EXPECT_FALSE(dict_->contains(key));
    EXPECT_EQ(dict_->manager(1).get(key), "before");
}

TEST_F(PutBatchTest, TakesNothingAfterItsCommit) {
    Batch batch = dict_->batch();
    batch.put("k", 1);
    const Result<BatchReport> report = batch.try_commit();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->stored, 1u);
    EXPECT_EQ(code_of(batch.try_put("l", 2)), Errc::invalid_argument);
    EXPECT_EQ(code_of(batch.try_bput("l", 2)), Errc::invalid_argument);
    EXPECT_EQ(code_of(batch.try_commit()), Errc::invalid_argument);
    EXPECT_THROW(batch.commit(), Exception);
    Batch moved = dict_->batch();
    Batch to = std::move(moved);
    EXPECT_EQ(code_of(moved.try_put("l", 2)), Errc::invalid_argument);  // NOLINT(bugprone-use-after-move)
    EXPECT_FALSE(dict_->contains("l"));
}

TEST_F(PutBatchTest, TellsOfFailures) {
    Batch batch = dict_->batch();
    EXPECT_EQ(code_of(batch.try_put("", 1)), Errc::invalid_argument);
    EXPECT_EQ(code_of(batch.try_put(std::string(1025, 'k'), 1)), Errc::too_large);
    batch.put("good", 1);
    batch.put("huge", std::string(200 << 20, 'x'));
    const Result<BatchReport> report = batch.try_commit();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->stored, 1u);
    ASSERT_EQ(report->failures.size(), 1u);
    EXPECT_EQ(report->failures[0].key.as<std::string>(), "huge");
    EXPECT_EQ(report->failures[0].error.code, Errc::too_large);
    EXPECT_EQ(dict_->get<int>("good"), 1);
    EXPECT_EQ(code_of(View().try_batch()), Errc::not_attached);
}

}  // namespace
}  // namespace ddict
