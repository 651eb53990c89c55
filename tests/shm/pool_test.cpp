// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/limits.h"
#include "shm/layout.h"
#include "tests/shm/chance.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

Result<Block*> reserve(Pool& pool, std::string_view key, std::uint64_t value_bytes) {
    return pool.reserve({bytes_of(key), hash_of(bytes_of(key)), 0, 0, {}}, value_bytes);
}

void expect_one_free_block(const Pool& pool, std::uint64_t free_bytes) {
    EXPECT_EQ(pool.usage().free_bytes, free_bytes);
    EXPECT_EQ(pool.usage().largest_free_bytes, pool.capacity_bytes());
    EXPECT_EQ(pool.inconsistency(), "");
}

TEST(PoolTest, KeepsWhatAPairSaysOfItself) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const KeyBytes key(bytes_of("Hello"), 0x8123);
    const std::uint64_t hash = hash_of(key);
    constexpr std::uint32_t checkpoint_max = limits::checkpoint_id_max;
    pool->advance(checkpoint_max);
    ASSERT_TRUE(pool->put({key, hash, 0xabcd, checkpoint_max, bytes_of("Dragon")}));
    const Block* block = pool->find(key, hash);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(block->key(), key);
    EXPECT_FALSE(block->placement().is_by_hand());
    EXPECT_EQ(text_of(block->key()), "Hello");
    EXPECT_EQ(text_of(block->value()), "Dragon");
    EXPECT_EQ(block->hash(), hash);
    EXPECT_EQ(block->value_type(), 0xabcd);
    EXPECT_EQ(block->checkpoint(), checkpoint_max);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->value().data()) % 16, 0U);
    EXPECT_EQ(pool->size(), 1U);
    EXPECT_EQ(pool->identity().node, "n2");
    EXPECT_EQ(pool->identity().manager, 7U);
    EXPECT_EQ(pool->identity().secret, test_identity().secret);
    EXPECT_EQ(pool->identity().dictionary_id, test_identity().dictionary_id);
}

TEST(PoolTest, StoresReplacesAndErases) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    EXPECT_EQ(find(*pool, "k"), nullptr);
    EXPECT_FALSE(erase(*pool, "k"));
    ASSERT_TRUE(put(*pool, "k", "first"));
    ASSERT_TRUE(put(*pool, "k", ""));
    EXPECT_EQ(value_of(*pool, "k"), "");
    ASSERT_TRUE(put(*pool, "k", "second, longer than the first"));
    EXPECT_EQ(value_of(*pool, "k"), "second, longer than the first");
    EXPECT_EQ(pool->size(), 1U);
    EXPECT_TRUE(erase(*pool, "k"));
    EXPECT_FALSE(erase(*pool, "k"));
    EXPECT_EQ(find(*pool, "k"), nullptr);
    EXPECT_EQ(pool->size(), 0U);
    expect_one_free_block(*pool, free_before);
}

TEST(PoolTest, KeysMayBeAnyBytes) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::string zeros(3, '\0');
    const std::string longest(limits::key_bytes_max, '\xff');
    ASSERT_TRUE(put(*pool, zeros, "three"));
    ASSERT_TRUE(put(*pool, zeros + '\0', "four"));
    ASSERT_TRUE(put(*pool, longest, "longest"));
    EXPECT_EQ(value_of(*pool, zeros), "three");
    EXPECT_EQ(value_of(*pool, zeros + '\0'), "four");
    EXPECT_EQ(value_of(*pool, longest), "longest");
}

TEST(PoolTest, KeysWithTheSameBytesAndDifferentTypesAreDifferentKeys) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    // Also where their hashes are the same: a long one, and a short one.
    for (const std::string& bytes : {std::string("12345678"), std::string(100, 'k')}) {
        constexpr std::uint64_t hash = 0x1234'5678'9abc'def0;
        const KeyBytes text(bytes_of(bytes));
        const KeyBytes number(bytes_of(bytes), 0x0113);
        ASSERT_TRUE(pool->put({text, hash, 0, 0, bytes_of("of text")}));
        EXPECT_EQ(pool->find(number, hash), nullptr);
        ASSERT_TRUE(pool->put({number, hash, 0, 0, bytes_of("of number")}));
        EXPECT_EQ(pool->size(), 2U);
        EXPECT_EQ(text_of(pool->find(text, hash)->value()), "of text");
        EXPECT_EQ(text_of(pool->find(number, hash)->value()), "of number");
        EXPECT_TRUE(pool->erase(text, hash));
        EXPECT_EQ(pool->find(text, hash), nullptr);
        EXPECT_EQ(pool->find(number, hash)->key(), number);
        EXPECT_TRUE(pool->erase(number, hash));
        EXPECT_NE(hash_of(text), hash_of(number));
    }
    expect_one_free_block(*pool, free_before);
}

TEST(PoolTest, APairKnowsWhatItsKeyWasPlacedBy) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    const KeyPlacement hash{.by = PlacedBy::hash, .value = 0xfedc'ba98'7654'3210};
    const KeyPlacement number{.by = PlacedBy::number, .value = 70'000};
    for (std::size_t key_bytes = 1; key_bytes <= 33; ++key_bytes) {
        const std::string key(key_bytes, 'k');
        for (std::size_t value_bytes = 0; value_bytes <= 33; ++value_bytes) {
            const std::string value(value_bytes, 'v');
            for (const KeyPlacement& placement : {hash, number, KeyPlacement{}}) {
                ASSERT_TRUE(
                    pool->put({bytes_of(key), hash_of(bytes_of(key)), 1, 0, bytes_of(value), placement}));
                const Block* block = shm::find(*pool, key);
                ASSERT_EQ(block->placement(), placement) << key_bytes << ' ' << value_bytes;
                ASSERT_EQ(text_of(block->key()), key);
                ASSERT_EQ(text_of(block->value()), value);
                ASSERT_EQ(block->value_type(), 1);
            }
        }
    }
    ASSERT_EQ(pool->inconsistency(), "");
    pool->clear();
    expect_one_free_block(*pool, free_before);
}

/// The largest there can be, with each length of the key's and the value's padding.
TEST(PoolTest, TheLargestPairOfAPlacedKeyFits) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    for (std::size_t key_bytes = 1; key_bytes <= 33; ++key_bytes) {
        const std::string key(key_bytes, 'k');
        const Pair pair{.key = bytes_of(key), .hash = 1, .placement = {.by = PlacedBy::number, .value = 3}};
        const Result<Block*> refused = pool->reserve(pair, pool->capacity_bytes());
        ASSERT_FALSE(refused);
        ASSERT_EQ(refused.error().code, Errc::too_large);
        const std::uint64_t limit = refused.error().have_bytes - key_bytes;
        for (std::uint64_t less = 0; less <= 33; ++less) {
            const Result<Block*> block = pool->reserve(pair, limit - less);
            ASSERT_TRUE(block) << key_bytes << ' ' << less;
            pool->abandon(*block);
        }
        ASSERT_EQ(pool->reserve(pair, limit + 1).error().code, Errc::too_large);
    }
}

TEST(PoolTest, BadArgumentsAreRefusedAndChangeNothing) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    EXPECT_EQ(put(*pool, "", "x").error().code, Errc::invalid_argument);
    EXPECT_EQ(put(*pool, std::string(limits::key_bytes_max + 1, 'k'), "x").error().code, Errc::too_large);
    const Result<Block*> huge = reserve(*pool, "k", ~std::uint64_t{0} - 8);
    ASSERT_FALSE(huge);
    EXPECT_EQ(huge.error().code, Errc::too_large);
    const Result<Block*> too_large = reserve(*pool, "k", pool->capacity_bytes());
    ASSERT_FALSE(too_large);
    EXPECT_EQ(too_large.error().code, Errc::too_large);
    EXPECT_EQ(too_large.error().need_bytes, pool->capacity_bytes() + 1);
    EXPECT_EQ(too_large.error().have_bytes, pool->capacity_bytes());
    EXPECT_EQ(too_large.error().manager, 7U);
    expect_one_free_block(*pool, free_before);
}

TEST(PoolTest, HoldsTheLargestPairItPromises) {
    for (const std::size_t key_bytes : {1U, 15U, 16U, 17U, 1024U}) {
        const std::unique_ptr<Pool> pool = make_pool(mebibyte);
        const std::string key(key_bytes, 'k');
        const Result<Block*> block = reserve(*pool, key, pool->capacity_bytes() - key_bytes);
        ASSERT_TRUE(block) << block.error().message();
        std::memset((*block)->value().data(), 7, (*block)->value().size());
        ASSERT_TRUE(pool->publish(*block));
        EXPECT_EQ(pool->size(), 1U);
        EXPECT_LT(pool->usage().free_bytes, 64U);
    }
}

TEST(PoolTest, AReservedPairShowsWhenItIsPublished) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    ASSERT_TRUE(put(*pool, "k", "old"));
    Block* first = reserve(*pool, "k", 3).value();
    Block* second = reserve(*pool, "k", 3).value();
    Block* third = reserve(*pool, "k", 1000).value();
    EXPECT_EQ(value_of(*pool, "k"), "old");
    EXPECT_EQ(pool->size(), 1U);
    std::memcpy(first->value().data(), "one", 3);
    std::memcpy(second->value().data(), "two", 3);
    ASSERT_TRUE(pool->publish(second));
    EXPECT_EQ(value_of(*pool, "k"), "two");
    ASSERT_TRUE(pool->publish(first));
    EXPECT_EQ(value_of(*pool, "k"), "one");
    pool->abandon(third);
    EXPECT_EQ(value_of(*pool, "k"), "one");
    EXPECT_EQ(pool->size(), 1U);
    EXPECT_TRUE(erase(*pool, "k"));
    expect_one_free_block(*pool, free_before);
}

TEST(PoolTest, APinnedBlockOutlivesItsKey) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    std::vector<const Block*> pinned;
    const auto pin = [&](const std::string& value) {
        ASSERT_TRUE(put(*pool, "k", value));
        pinned.push_back(find(*pool, "k"));
        pool->pin(pinned.back());
        pool->pin(pinned.back());
    };
    const std::string values[] = {"replaced", "erased", "cleared"};
    pin(values[0]);
    ASSERT_TRUE(put(*pool, "k", "other"));
    pin(values[1]);
    EXPECT_TRUE(erase(*pool, "k"));
    pin(values[2]);
    pool->clear();
    EXPECT_EQ(pool->size(), 0U);
    EXPECT_EQ(find(*pool, "k"), nullptr);
    for (int i = 0; i < 100; ++i)
        ASSERT_TRUE(
            put(*pool, numbered_key(static_cast<std::uint64_t>(i)), "something to write over freed memory"));
    for (std::size_t i = 0; i < pinned.size(); ++i)
        EXPECT_EQ(text_of(pinned[i]->value()), values[i]);
    pool->clear();
    EXPECT_LT(pool->usage().free_bytes, free_before);
    for (const Block* block : pinned) {
        pool->unpin(block);
        EXPECT_EQ(text_of(block->key()), "k") << "one pin is left";
        pool->unpin(block);
    }
    expect_one_free_block(*pool, free_before);
}

TEST(PoolTest, APinnedBlockThatStaysVisibleIsKept) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    ASSERT_TRUE(put(*pool, "k", "value"));
    const Block* block = find(*pool, "k");
    pool->pin(block);
    pool->unpin(block);
    EXPECT_EQ(value_of(*pool, "k"), "value");
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST(PoolDeathTest, MistakesOfTheCallerAbort) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    ASSERT_TRUE(put(*pool, "k", "value"));
    auto* visible = const_cast<Block*>(find(*pool, "k"));
    EXPECT_DEATH(pool->abandon(visible), "only a reserved block");
    EXPECT_DEATH(pool->publish(visible).value(), "published once");
    EXPECT_DEATH(pool->unpin(visible), "only a pinned block");
    alignas(16) std::byte elsewhere[64] = {};
    EXPECT_DEATH(pool->abandon(reinterpret_cast<Block*>(elsewhere)), "another pool");
}

TEST(PoolTest, ClearGivesEverythingBack) {
    const std::unique_ptr<Pool> pool = make_pool(32 * mebibyte);
    const PoolUsage before = pool->usage();
    for (int round = 0; round < 3; ++round) {
        for (std::uint64_t i = 0; i < 50'000; ++i)
            ASSERT_TRUE(put(*pool, numbered_key(i), std::string(i % 100, 'v')));
        EXPECT_GT(pool->usage().index_bytes, before.index_bytes);
        Block* reserved = reserve(*pool, "in the making", 5).value();
        pool->clear();
        EXPECT_EQ(pool->size(), 0U);
        EXPECT_EQ(find(*pool, numbered_key(5)), nullptr);
        EXPECT_EQ(pool->usage().index_bytes, before.index_bytes);
        std::memcpy(reserved->value().data(), "value", 5);
        ASSERT_TRUE(pool->publish(reserved));
        EXPECT_EQ(value_of(*pool, "in the making"), "value");
        pool->clear();
        expect_one_free_block(*pool, before.free_bytes);
    }
}

TEST(FullPoolTest, SaysWhatItNeedsAndHas) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    const std::string value(10'000, 'v');
    std::uint64_t count = 0;
    Result<void> stored;
    while ((stored = put(*pool, numbered_key(count), value)))
        ++count;
    EXPECT_GT(count, 90U);
    EXPECT_EQ(stored.error().code, Errc::no_space);
    EXPECT_EQ(stored.error().operation, Operation::put);
    EXPECT_EQ(stored.error().need_bytes, 10'030U);
    EXPECT_LT(stored.error().have_bytes, 10'030U);
    EXPECT_EQ(stored.error().have_bytes, pool->usage().largest_free_bytes);
    EXPECT_EQ(stored.error().manager, 7U);
    EXPECT_NE(stored.error().message().find("n2"), std::string::npos);
    // What it has can be had.
    EXPECT_TRUE(put(*pool, "k", std::string(stored.error().have_bytes - 1, 'x')));
}

TEST(FullPoolTest, DeletingMakesSpaceAgainExactly) {
    Chance chance;
    const std::unique_ptr<Pool> pool = make_pool(4 * mebibyte);
    const std::uint64_t free_before = pool->usage().free_bytes;
    for (const std::size_t value_bytes : {8U, 100U, 8192U}) {
        const std::string value(value_bytes, 'v');
        std::vector<std::string> keys;
        do
            keys.push_back(numbered_key(chance.number(), 40));
        while (put(*pool, keys.back(), value));
        const std::string one_too_many = keys.back();
        keys.pop_back();
        ASSERT_GT(keys.size(), 100U);
        const std::uint64_t free_when_full = pool->usage().free_bytes;
        for (int round = 0; round < 20; ++round) {
            const std::size_t some = 1 + chance.below(keys.size());
            std::shuffle(keys.begin(), keys.end(), chance.engine());
            for (std::size_t i = 0; i < some; ++i)
                ASSERT_TRUE(erase(*pool, keys[i]));
            std::shuffle(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(some), chance.engine());
            for (std::size_t i = 0; i < some; ++i)
                ASSERT_TRUE(put(*pool, keys[i], value)) << i << " of " << some << " of " << keys.size();
            // One more fits only if what was free in parts has come together.
            if (put(*pool, one_too_many, value)) {
                ASSERT_GE(free_when_full, one_too_many.size() + value.size());
                ASSERT_TRUE(erase(*pool, one_too_many));
            }
        }
        for (const std::string& key : keys)
            ASSERT_TRUE(erase(*pool, key));
        expect_one_free_block(*pool, free_before);
    }
}

TEST(FullPoolTest, TheSamePairsOfAllSizesFitAgain) {
    Chance chance;
    const std::unique_ptr<Pool> pool = make_pool(16 * mebibyte);
    std::vector<std::string> values;
    const auto fits = [&](std::size_t i) {
        return static_cast<bool>(put(*pool, numbered_key(i), values[i]));
    };
    do
        values.emplace_back(chance.size_below(50'000), 'v');
    while (fits(values.size() - 1));
    const std::size_t count = values.size() - 1;
    const auto fill_again = [&] {
        for (std::size_t i = 0; i < count; ++i)
            ASSERT_TRUE(fits(i)) << i << " of " << count;
        EXPECT_FALSE(fits(count));
    };
    for (std::size_t i = 0; i < count; ++i)
        ASSERT_TRUE(erase(*pool, numbered_key(i)));
    fill_again();
    pool->clear();
    fill_again();
    for (int round = 0; round < 1000; ++round) {
        const std::size_t i = chance.below(count);
        ASSERT_TRUE(erase(*pool, numbered_key(i)));
        ASSERT_TRUE(fits(i)) << "a pair fits where it was";
    }
}

TEST(FullPoolTest, AnOverwriteMayUseTheMemoryOfTheOldValue) {
    const std::unique_ptr<Pool> pool = make_pool(4 * mebibyte);
    const std::string value(10'000, 'v');
    std::uint64_t count = 0;
    while (put(*pool, numbered_key(count), value))
        ++count;
    const std::string key = numbered_key(count / 2);

    ASSERT_TRUE(put(*pool, key, std::string(10'000, 'w')));
    EXPECT_EQ(value_of(*pool, key), std::string(10'000, 'w'));
    const Result<void> larger = put(*pool, key, std::string(20'500, 'x'));
    ASSERT_FALSE(larger);
    EXPECT_EQ(larger.error().code, Errc::no_space);
    EXPECT_EQ(value_of(*pool, key), std::string(10'000, 'w')) << "the old value is as it was";
    EXPECT_EQ(reserve(*pool, key, 10'000).error().code, Errc::no_space)
        << "reserve never gives up the old value";

    const Block* block = find(*pool, key);
    pool->pin(block);
    EXPECT_EQ(put(*pool, key, value).error().code, Errc::no_space) << "a pinned value cannot be given up";
    EXPECT_EQ(value_of(*pool, key), std::string(10'000, 'w'));
    pool->unpin(block);
    ASSERT_TRUE(put(*pool, key, value));
    EXPECT_EQ(pool->size(), count);
    // With a free neighbour there is space for more than the old value.
    ASSERT_TRUE(erase(*pool, numbered_key(count / 2 + 1)));
    ASSERT_TRUE(put(*pool, key, std::string(20'000, 'y')));
    EXPECT_EQ(value_of(*pool, key), std::string(20'000, 'y'));
    EXPECT_EQ(pool->inconsistency(), "");
}

TEST(FullPoolTest, AnOverwriteThatIsLargerThanTheScratchBlockNeedsSpaceOfItsOwn) {
    const std::unique_ptr<Pool> pool = make_pool(4 * mebibyte);
    const std::string value(4 * mebibyte / Compactor::scratch_share + 1, 'v');
    std::uint64_t count = 0;
    while (put(*pool, numbered_key(count), value))
        ++count;
    const Result<void> refused = put(*pool, numbered_key(0), value);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::no_space);
    EXPECT_EQ(value_of(*pool, numbered_key(0)), value);
}

TEST(FullPoolTest, WhenTheIndexCannotGrowThePairIsRefused) {
    const std::unique_ptr<Pool> pool = make_pool(mebibyte);
    std::uint64_t count = 0;
    while (pool->usage().largest_free_bytes > 16'000 && put(*pool, numbered_key(count), "x"))
        ++count;
    // Space for pairs but not for a segment of the index: from now on each put that must split is refused.
    Result<void> stored;
    while ((stored = put(*pool, numbered_key(count), "x")))
        ++count;
    EXPECT_EQ(stored.error().code, Errc::no_space);
    EXPECT_EQ(find(*pool, numbered_key(count)), nullptr);
    EXPECT_EQ(pool->size(), count);
    EXPECT_EQ(pool->inconsistency(), "");
    for (std::uint64_t i = 0; i < count; ++i)
        ASSERT_EQ(value_of(*pool, numbered_key(i)), "x");
}

class FormatTest : public testing::Test {
  protected:
    void write() {
        segment_.emplace(Segment::create(name_, mebibyte).value());
        ASSERT_TRUE(Pool::format(*segment_, test_identity()));
    }
    ~FormatTest() override { Segment::remove(name_); }
    PoolHeader& header() { return *reinterpret_cast<PoolHeader*>(segment_->data()); }
    Result<std::unique_ptr<Pool>> attach() {
        return Pool::attach(Segment::open(name_, Access::read_write).value());
    }

    std::string name_ = test_segment_name();
    std::optional<Segment> segment_;
};

TEST_F(FormatTest, APoolIsTakenOverOnce) {
    write();
    EXPECT_TRUE(attach());
    const auto again = attach();
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, Errc::system);
    EXPECT_NE(again.error().message().find("was used by a manager already"), std::string::npos);
}

TEST_F(FormatTest, RefusesWhatCannotBeAPool) {
    Segment small = nameless_segment(limits::pool_bytes_min - 1);
    EXPECT_EQ(Pool::format(small, test_identity()).error().code, Errc::invalid_argument);
    EXPECT_EQ(Pool::attach(std::move(small)).error().code, Errc::protocol);
    Segment segment = nameless_segment(mebibyte);
    PoolIdentity identity = test_identity();
    identity.node = std::string(limits::node_name_bytes_max + 1, 'n');
    EXPECT_EQ(Pool::format(segment, identity).error().code, Errc::invalid_argument);
    EXPECT_EQ(Pool::attach(std::move(segment)).error().code, Errc::protocol) << "not formatted";
}

TEST_F(FormatTest, GarbageIsRefused) {
    Chance chance;
    for (int round = 0; round < 20; ++round) {
        Segment segment = nameless_segment(mebibyte);
        for (std::uint64_t i = 0; i < 4096; i += 8) {
            const std::uint64_t random = chance.number();
            std::memcpy(segment.data() + i, &random, 8);
        }
        EXPECT_EQ(Pool::attach(std::move(segment)).error().code, Errc::protocol);
    }
}

TEST_F(FormatTest, EachDamagedFieldIsNoticed) {
    write();
    const auto refused = [&](auto& field, auto value, Errc code) {
        const auto before = field;
        field = value;
        const auto attached = attach();
        ASSERT_FALSE(attached) << value;
        EXPECT_EQ(attached.error().code, code) << value;
        field = before;
    };
    refused(header().layout_version, pool_layout_version + 1, Errc::incompatible);
    refused(header().layout_version, 0U, Errc::incompatible);
    refused(header().segment_bytes, 2 * mebibyte, Errc::protocol);
    refused(header().heap_offset, std::uint64_t{64}, Errc::protocol);
    refused(header().heap_bytes, ~std::uint64_t{0}, Errc::protocol);
    refused(header().node[sizeof header().node - 1], 'x', Errc::protocol);
    header().magic.store(pool_magic + 1);
    EXPECT_EQ(attach().error().code, Errc::protocol);
    header().magic.store(pool_magic);
    header().state.store(77);
    EXPECT_EQ(attach().error().code, Errc::system);
    header().state.store(static_cast<std::uint32_t>(PoolState::formatted));
    EXPECT_TRUE(attach());
}

}  // namespace
}  // namespace ddict::shm
