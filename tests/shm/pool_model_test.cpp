// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Random operations on a pool, each compared with what std::unordered_map says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "tests/shm/chance.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

/// A value that can be made again from its seed and size, so that the model need not keep the bytes.
struct Value {
    std::uint64_t seed = 0;
    std::uint64_t bytes = 0;
    std::uint16_t type = 0;
    std::uint32_t checkpoint = 0;
    KeyPlacement placement{};
    std::uint64_t until = 0;
};

void fill(MutableBytes out, std::uint64_t seed) {
    std::uint64_t word = seed | 1;
    for (std::size_t i = 0; i < out.size(); i += 8, word = word * 6364136223846793005U + 1442695040888963407U)
        std::memcpy(out.data() + i, &word, std::min<std::size_t>(8, out.size() - i));
}

class PoolModel {
  public:
    explicit PoolModel(std::uint64_t pool_bytes, std::uint64_t keys)
        : pool_(make_pool(pool_bytes)),
          keys_(keys),
          largest_value_(pool_bytes / 16),
          before_(pool_->usage()) {}

    void step() {
        const std::uint64_t choice = chance_.below(1000);
        if (choice < 350)
            put();
        else if (choice < 450)
            reserve();
        else if (choice < 540)
            settle();
        else if (choice < 800)
            find();
        else if (choice < 930)
            erase();
        else if (choice < 960)
            pin();
        else if (choice < 990)
            unpin();
        else if (choice < 999)
            expire();
        else if (chance_.below(20) == 0)
            clear();
        ASSERT_EQ(pool_->size(), model_.size());
    }
    void check_all() {
        ASSERT_EQ(pool_->inconsistency(), "");
        const PoolUsage usage = pool_->usage();
        ASSERT_EQ(usage.used_bytes + usage.free_bytes, usage.pool_bytes);
        std::uint64_t visited = 0;
        pool_->scan(0, [&](const Block& block) {
            const auto at = model_.find(std::string(text_of(block.key())));
            EXPECT_NE(at, model_.end());
            if (at != model_.end()) check(block, at->second);
            ++visited;
            return true;
        });
        ASSERT_EQ(visited, model_.size());
    }
    /// Everything goes, in random order; then the pool is as it was.
    void empty() {
        pool_->stop_making_space();
        while (!reserved_.empty())
            settle();
        while (!pinned_.empty())
            unpin();
        std::vector<std::string> keys;
        for (const auto& [key, value] : model_)
            keys.push_back(key);
        for (const std::string& key : keys)
            ASSERT_TRUE(shm::erase(*pool_, key));
        ASSERT_EQ(pool_->inconsistency(), "");
        ASSERT_EQ(pool_->usage().free_bytes, before_.free_bytes);
        ASSERT_EQ(pool_->usage().largest_free_bytes, before_.largest_free_bytes);
        ASSERT_EQ(pool_->usage().index_bytes, before_.index_bytes);
    }
    void report() const {
        std::cout << stored_ << " values stored, " << refused_ << " refused for space, " << model_.size()
                  << " keys now, " << pool_->growth().splits << " splits, " << pool_->compaction().moved_pairs
                  << " pairs moved to make space\n";
        EXPECT_GT(refused_, 0U) << "the pool should have been full at times";
    }

  private:
    struct Reserved {
        Block* block;
        std::string key;
        Value value;
    };
    struct Pinned {
        const Block* block;
        Value value;
    };

    std::string random_key() { return numbered_key(chance_.below(keys_), 6 + chance_.below(2) * 40); }
    KeyPlacement random_placement() {
        const auto by = static_cast<PlacedBy>(chance_.below(placed_by_last + 1));
        return {.by = by, .value = by == PlacedBy::own_hash ? 0 : chance_.number()};
    }
    Value random_value() {
        const std::uint64_t kind = chance_.below(1000);
        const std::uint64_t limit = kind < 950 ? 300 : kind < 995 ? 20'000 : largest_value_;
        return {.seed = chance_.number(),
                .bytes = chance_.below(limit),
                .type = static_cast<std::uint16_t>(chance_.number()),
                .placement = random_placement(),
                .until = chance_.below(3) == 0 ? 1 + chance_.below(1'000'000) : 0};
    }
    void check(const Block& block, const Value& value) {
        EXPECT_EQ(block.value_type(), value.type);
        EXPECT_EQ(block.checkpoint(), value.checkpoint);
        EXPECT_EQ(block.placement(), value.placement);
        EXPECT_EQ(block.until(), value.until);
        scratch_.resize(value.bytes);
        fill(scratch_, value.seed);
        EXPECT_TRUE(std::ranges::equal(block.value(), scratch_));
    }
    static Pair pair_of(const std::string& key, const Value& value, Bytes bytes) {
        return {.key = bytes_of(key),
                .hash = hash_of(bytes_of(key)),
                .value_type = value.type,
                .checkpoint = value.checkpoint,
                .value = bytes,
                .placement = value.placement,
                .until = value.until};
    }
    /// What is over goes, in the order of its ends; of some the end is put off.
    void expire() {
        const std::uint64_t now = chance_.below(200'000);
        for (std::uint64_t last = 0; const Block* block = pool_->over(now);) {
            const std::string key(text_of(block->key()));
            const auto at = model_.find(key);
            ASSERT_NE(at, model_.end());
            check(*block, at->second);
            ASSERT_LE(block->until(), now);
            ASSERT_GE(block->until(), last);
            last = block->until();
            if (chance_.below(4) == 0) {
                at->second.until = chance_.below(2) == 0 ? now + 1 : no_end;
                pool_->set_until(*block, at->second.until);
            } else {
                ASSERT_TRUE(shm::erase(*pool_, key));
                model_.erase(at);
            }
        }
        for (const auto& [key, value] : model_)
            ASSERT_TRUE(value.until == 0 || value.until > now) << key;
    }
    void put() {
        const std::string key = random_key();
        const Value value = random_value();
        scratch_.resize(value.bytes);
        fill(scratch_, value.seed);
        const Result<void> stored = pool_->put(pair_of(key, value, scratch_));
        if (stored) {
            model_[key] = value;
            ++stored_;
        } else {
            refused(stored.error(), key);
        }
    }
    void reserve() {
        const std::string key = random_key();
        const Value value = random_value();
        const Pair pair = pair_of(key, value, {});
        const Result<Block*> block = pool_->reserve(pair, value.bytes);
        if (!block) {
            // Sometimes goes on making space, and sometimes stops halfway.
            if (chance_.below(4) == 0) pool_->stop_making_space();
            for (std::uint64_t steps = chance_.below(20);
                 steps > 0 && pool_->may_make_space(pair, value.bytes); --steps)
                pool_->make_space(pair, value.bytes);
            return refused(block.error(), key);
        }
        fill((*block)->value(), value.seed);
        reserved_.push_back({*block, key, value});
    }
    void refused(const Error& error, const std::string& key) {
        ASSERT_EQ(error.code, Errc::no_space);
        ++refused_;
        check_key(key);
    }
    /// Publishes or abandons something reserved.
    void settle() {
        if (reserved_.empty()) return;
        std::swap(reserved_[chance_.below(reserved_.size())], reserved_.back());
        const Reserved last = reserved_.back();
        reserved_.pop_back();
        if (chance_.below(4) == 0) return pool_->abandon(last.block);
        const Result<void> published = pool_->publish(last.block);
        if (!published) return refused(published.error(), last.key);
        model_[last.key] = last.value;
        ++stored_;
    }
    void find() { check_key(random_key()); }
    void check_key(const std::string& key) {
        const Block* block = shm::find(*pool_, key);
        const auto at = model_.find(key);
        ASSERT_EQ(block != nullptr, at != model_.end()) << key;
        if (block != nullptr) check(*block, at->second);
    }
    void erase() {
        const std::string key = random_key();
        ASSERT_EQ(shm::erase(*pool_, key), model_.erase(key) == 1) << key;
    }
    void pin() {
        const std::string key = random_key();
        const Block* block = shm::find(*pool_, key);
        if (block == nullptr) return;
        pool_->pin(block);
        pinned_.push_back({block, model_.at(key)});
    }
    void unpin() {
        if (pinned_.empty()) return;
        std::swap(pinned_[chance_.below(pinned_.size())], pinned_.back());
        // All of it stays as it was but its end, which may have been put off.
        pinned_.back().value.until = pinned_.back().block->until();
        check(*pinned_.back().block, pinned_.back().value);
        pool_->unpin(pinned_.back().block);
        pinned_.pop_back();
    }
    void clear() {
        pool_->clear();
        model_.clear();
    }

    Chance chance_;
    std::unique_ptr<Pool> pool_;
    std::uint64_t keys_;
    std::uint64_t largest_value_;
    PoolUsage before_;
    std::unordered_map<std::string, Value> model_;
    std::vector<Reserved> reserved_;
    std::vector<Pinned> pinned_;
    std::vector<std::byte> scratch_;
    std::uint64_t stored_ = 0;
    std::uint64_t refused_ = 0;
};

void run(std::uint64_t pool_bytes, std::uint64_t keys, int steps) {
    PoolModel model(pool_bytes, keys);
    for (int i = 0; i < steps; ++i) {
        model.step();
        if (i % 20'000 == 0) model.check_all();
        if (testing::Test::HasFailure()) FAIL() << "in step " << i;
    }
    model.check_all();
    model.report();
    model.empty();
}

TEST(PoolModelTest, ASmallPoolThatIsOftenFull) {
    run(1 << 20, 3000, 300'000);
}
TEST(PoolModelTest, ALargerPoolWithManyKeys) {
    run(32 << 20, 100'000, 700'000);
}

}  // namespace
}  // namespace ddict::shm
