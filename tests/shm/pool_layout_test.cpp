// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// layout.h promises two things to others than the writer: how a reader in another process stays right without
// a lock, and what is found after the writer was killed at any instruction. Here both are tried, by the
// letter, against a writer in a process of its own.
#include "shm/layout.h"

#include <gtest/gtest.h>
#include <time.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/limits.h"
#include "cluster/placement.h"
#include "tests/shm/chance.h"
#include "tests/shm/child.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t pool_bytes = 4 << 20;
constexpr std::uint64_t keys = 4000;
constexpr std::uint64_t staying_keys = 400;  // the first ones: never erased once they are there

/// What the writer is about to do and has done, in memory that outlives it: for each key the number of its
/// latest write, times two, plus one if that is an erase.
struct Journal {
    std::array<AtomicWord, keys> started;
    std::array<AtomicWord, keys> done;
    AtomicWord operations;
    AtomicWord moved;  // pairs, to make space
};

constexpr bool is_erase(std::uint64_t write) {
    return write == 0 || (write & 1) != 0;
}

std::string key_of(std::uint64_t number) {
    return numbered_key(number, 12);
}

/// Of three types in turn.
KeyBytes typed(std::uint64_t number, std::string_view key) {
    constexpr std::array<std::uint16_t, 3> types{type_text, 0x0113, user_type(9)};
    return {bytes_of(key), types[number % types.size()]};
}

/// Every fifth key was placed by hand.
KeyPlacement placement_of(std::uint64_t number, std::uint64_t write) {
    return number % 5 == 0 ? KeyPlacement{.by = PlacedBy::hash, .value = write} : KeyPlacement{};
}

/// Any part of the value tells whether it is of this write.
std::vector<std::byte> value_of_write(std::uint64_t number, std::uint64_t write) {
    std::vector<std::uint64_t> words(1 + (number * 31 + write) % 60, number << 32 ^ write);
    words[0] = write;
    std::vector<std::byte> value(8 * words.size());
    std::memcpy(value.data(), words.data(), value.size());
    return value;
}

/// Of a value found in the pool; nothing if it is not wholly of one write of this key.
std::optional<std::uint64_t> write_of_value(std::uint64_t number, Bytes value) {
    std::uint64_t write = 0;
    if (value.size() < 8) return std::nullopt;
    std::memcpy(&write, value.data(), 8);
    const std::vector<std::byte> expected = value_of_write(number, write);
    if (!std::equal(value.begin(), value.end(), expected.begin(), expected.end())) return std::nullopt;
    return write;
}

class Writer {
  public:
    Writer(Segment segment, Journal& journal, std::uint64_t seed)
        : pool_(Pool::attach(std::move(segment)).value()), journal_(journal), engine_(seed) {}

    void put(std::uint64_t number) {
        const std::uint64_t write = begin(number, false);
        const std::vector<std::byte> value = value_of_write(number, write);
        const std::string text = key_of(number);
        const KeyBytes key = typed(number, text);
        pool_->put({key, hash_of(key), 0, 0, value, placement_of(number, write)}).value();
        journal_.done[number].store(write);
    }
    void erase(std::uint64_t number) {
        const std::uint64_t write = begin(number, true);
        const std::string text = key_of(number);
        const KeyBytes key = typed(number, text);
        pool_->erase(key, hash_of(key));
        journal_.done[number].store(write);
    }
    void clear() {
        for (std::uint64_t number = 0; number < keys; ++number)
            begin(number, true);
        pool_->clear();
        for (std::uint64_t number = 0; number < keys; ++number)
            journal_.done[number].store(journal_.started[number].load());
    }
    /// Leaves free memory in pieces only that are too small for a part of the index.
    void keep_index_small() {
        std::vector<Block*> pieces;
        const auto reserve = [&](std::uint64_t bytes) {
            return pool_->reserve({bytes_of("x"), 0, 0, 0, {}}, bytes).value();
        };
        for (int i = 0; i < 80; ++i) {
            pieces.push_back(reserve(15'000));
            reserve(8);
        }
        reserve(pool_->usage().largest_free_bytes - 1);
        for (Block* piece : pieces)
            pool_->abandon(piece);
    }
    /// A put that may be refused, since the index cannot grow.
    bool try_put(std::uint64_t number) {
        const std::uint64_t before = journal_.done[number].load();
        const std::uint64_t write = begin(number, false);
        const std::string text = key_of(number);
        const KeyBytes key = typed(number, text);
        const bool stored = static_cast<bool>(pool_->put(
            {key, hash_of(key), 0, 0, value_of_write(number, write), placement_of(number, write)}));
        stored ? journal_.done[number].store(write) : journal_.started[number].store(before);
        return stored;
    }
    /// Space for fewer pairs than there are keys.
    void leave_space_for_few() {
        constexpr std::uint64_t buffer = 900'000;
        pool_->reserve({bytes_of("x"), 0, 0, 0, {}}, pool_->usage().largest_free_bytes - buffer).value();
    }
    void make_space_for_a_large_one() {
        constexpr std::uint64_t bytes = 100'000;
        const auto reserve = [&] { return pool_->reserve({bytes_of("x"), 0, 0, 0, {}}, bytes); };
        Result<Block*> block = reserve();
        for (; !block && pool_->may_make_space({.key = bytes_of("x")}, bytes); block = reserve())
            pool_->make_space({.key = bytes_of("x")}, bytes);
        if (block) pool_->abandon(*block);
    }
    std::uint64_t size() const { return pool_->size(); }
    std::uint64_t splits() const { return pool_->growth().splits; }
    std::uint64_t moved() const { return pool_->compaction().moved_pairs; }
    std::uint64_t random_key(std::uint64_t first = 0) { return first + engine_() % (keys - first); }

  private:
    std::uint64_t begin(std::uint64_t number, bool erases) {
        const std::uint64_t write = 2 * ++writes_ + (erases ? 1 : 0);
        journal_.started[number].store(write);
        journal_.operations.fetch_add(1);
        return write;
    }

    std::unique_ptr<Pool> pool_;
    Journal& journal_;
    std::mt19937_64 engine_;
    std::uint64_t writes_ = 0;
};

class LayoutTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::string name = test_segment_name();
        segment_.emplace(Segment::create(name, pool_bytes).value());
        Pool::format(*segment_, test_identity()).value();
        reader_.emplace(Segment::open(name, Access::read_only).value());
        Segment::remove(name);
    }
    Journal& journal() { return *reinterpret_cast<Journal*>(journal_memory_.data()); }
    const PoolHeader& header() const { return at<PoolHeader>(0); }
    template <class T>
    const T& at(std::uint64_t offset) const {
        return *reinterpret_cast<const T*>(reader_->data() + offset);
    }
    bool inside(std::uint64_t offset, std::uint64_t bytes) const {
        return offset <= pool_bytes && bytes <= pool_bytes - offset;
    }

    Chance chance_;
    Segment journal_memory_ = nameless_segment(sizeof(Journal));
    std::optional<Segment> segment_;
    std::optional<Segment> reader_;
};

class KilledWriterTest : public LayoutTest {
  protected:
    /// Fills and drains the pool for ever: splits, doublings, and again the small index of the beginning.
    [[noreturn]] void fill_and_drain(std::uint64_t seed) {
        Writer writer(std::move(*segment_), journal(), seed);
        for (;;) {
            for (std::uint64_t i = 0; i < keys; ++i) {
                writer.put(i);
                writer.put(writer.random_key());
                writer.erase(writer.random_key());
            }
            for (std::uint64_t i = 0; i < keys; ++i)
                writer.erase(i);
            writer.put(5);
            writer.clear();
        }
    }
    /// In a pool that is full: most writes move other pairs first.
    [[noreturn]] void move_pairs(std::uint64_t seed) {
        Writer writer(std::move(*segment_), journal(), seed);
        writer.leave_space_for_few();
        for (;;) {
            while (writer.try_put(writer.random_key())) {
            }
            for (int i = 0; i < 800; ++i)
                writer.erase(writer.random_key());
            writer.make_space_for_a_large_one();
            journal().moved.store(writer.moved());
        }
    }
    void kill_while(const std::function<void(std::uint64_t seed)>& write, std::uint64_t operations) {
        std::memset(journal_memory_.data(), 0, sizeof(Journal));
        const std::uint64_t seed = chance_.number();
        const std::uint64_t last = chance_.below(operations);
        Child writer([&](int progress) -> int {
            Child::report(progress);
            write(seed);
            return 1;
        });
        ASSERT_TRUE(writer.hear(1));
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (journal().operations.load() < last)
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
        writer.kill();
        check_blocks();
    }
    /// The live blocks, as layout.h says.
    std::set<std::uint64_t> live_blocks() const {
        std::set<std::uint64_t> blocks;
        const std::uint64_t root = header().index_root.load();
        const unsigned depth = root_depth(root);
        EXPECT_LE(depth, directory_depth_max);
        const std::uint64_t entries = std::uint64_t{1} << depth;
        EXPECT_TRUE(inside(root_entries(root), 8 * entries));
        std::set<std::uint64_t> segments;
        const auto segment_at = [&](std::uint64_t i) {
            return at<AtomicWord>(root_entries(root) + 8 * i).load();
        };
        for (std::uint64_t i = 0; i < entries; ++i)
            segments.insert(segment_at(i));
        for (const std::uint64_t offset : segments) {
            if (!inside(offset, sizeof(IndexSegment))) {
                ADD_FAILURE() << "the directory leads to offset " << offset;
                continue;
            }
            for (const Bucket& bucket : at<IndexSegment>(offset).buckets) {
                for (const AtomicWord& slot : bucket.slots) {
                    const std::uint64_t block = slot_block(slot.load());
                    if (block == 0) continue;
                    const std::uint64_t h = shard_hash(at<Block>(block).hash());
                    if (segment_at(directory_entry(h, depth)) == offset) blocks.insert(block);
                }
            }
        }
        return blocks;
    }
    void check_blocks() {
        std::map<std::string, std::uint64_t> found;  // key -> write
        std::uint64_t end_of_last = header().heap_offset;
        for (const std::uint64_t offset : live_blocks()) {
            const auto& block = at<Block>(offset);
            ASSERT_LE(end_of_last, offset) << "two live blocks overlap";
            end_of_last =
                offset + Block::bytes_with_trailers(block.key_bytes(), block.value_bytes(), block.trailers());
            ASSERT_LE(end_of_last, header().heap_offset + header().heap_bytes);
            ASSERT_EQ(block.hash(), hash_of(block.key()));
            const std::string key(text_of(block.key()));
            const std::uint64_t number = std::stoull(key.substr(4));
            const std::optional<std::uint64_t> write = write_of_value(number, block.value());
            ASSERT_TRUE(write) << key << " is half-written";
            ASSERT_EQ(block.key(), typed(number, key));
            ASSERT_EQ(block.placement(), placement_of(number, *write)) << key;
            ASSERT_TRUE(found.emplace(key, *write).second) << key << " is there twice";
        }
        for (std::uint64_t number = 0; number < keys; ++number) {
            const std::uint64_t started = journal().started[number].load();
            const std::uint64_t done = journal().done[number].load();
            const auto at = found.find(key_of(number));
            if (at == found.end()) {
                ASSERT_TRUE(is_erase(started) || is_erase(done)) << "key " << number << " is lost";
            } else {
                ASSERT_TRUE(at->second == started || at->second == done)
                    << "key " << number << " is an old one";
            }
        }
    }
};

TEST_F(KilledWriterTest, LeavesAllThatWasAcknowledged) {
    for (int round = 0; round < 60; ++round) {
        if (round > 0) SetUp();
        kill_while([&](std::uint64_t seed) { fill_and_drain(seed); }, 40'000);
        if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "in round " << round;
    }
}

TEST_F(KilledWriterTest, LeavesPairsThatAreBeingMoved) {
    std::uint64_t moved = 0;
    for (int round = 0; round < 40; ++round) {
        if (round > 0) SetUp();
        kill_while([&](std::uint64_t seed) { move_pairs(seed); }, 20'000);
        if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "in round " << round;
        moved += journal().moved.load();
    }
    std::cout << moved << " pairs moved\n";
    EXPECT_GT(moved, 1000U);
}

/// Reads as layout.h tells readers to.
class ReaderTest : public LayoutTest {
  protected:
    enum class Outcome { hit, miss, again };

    Outcome try_get(KeyBytes key, std::vector<std::byte>& value) const {
        const std::uint64_t hash = hash_of(key);
        const std::uint64_t h = shard_hash(hash);
        const std::uint64_t epoch = header().structure_epoch.load(std::memory_order_acquire);
        if (epoch % 2 != 0) return Outcome::again;
        const std::uint64_t segment_offset = segment_of(h);
        if (!inside(segment_offset, sizeof(IndexSegment)) || segment_offset % 64 != 0) return Outcome::again;
        const auto& segment = at<IndexSegment>(segment_offset);
        const Bucket& home = segment.buckets[home_bucket(h)];
        const std::uint64_t home_before = home.meta.load(std::memory_order_acquire);
        Outcome outcome = look(home, key, hash, value);
        for (unsigned i = 1;
             outcome == Outcome::miss && i < probe_window && bucket_overflow(home_before) != 0; ++i)
            outcome = look(segment.buckets[(home_bucket(h) + i) % buckets_per_segment], key, hash, value);
        std::atomic_thread_fence(std::memory_order_acquire);
        if (outcome == Outcome::miss &&
            (home_before % 2 != 0 || home.meta.load() != home_before || segment_of(h) != segment_offset))
            return Outcome::again;
        return header().structure_epoch.load() == epoch ? outcome : Outcome::again;
    }

    std::uint64_t segment_of(std::uint64_t h) const {
        const std::uint64_t root = header().index_root.load(std::memory_order_acquire);
        const std::uint64_t offset = root_entries(root) + 8 * directory_entry(h, root_depth(root));
        return inside(offset, 8) ? at<AtomicWord>(offset).load(std::memory_order_acquire) : pool_bytes;
    }

    Outcome look(const Bucket& bucket, KeyBytes key, std::uint64_t hash,
                 std::vector<std::byte>& value) const {
        const std::uint64_t before = bucket.meta.load(std::memory_order_acquire);
        if (before % 2 != 0) return Outcome::again;
        Outcome outcome = Outcome::miss;
        for (const AtomicWord& each : bucket.slots) {
            const std::uint64_t slot = each.load(std::memory_order_acquire);
            const std::uint64_t offset = slot_block(slot);
            if (slot == 0 || slot_tag(slot) != slot_tag(make_slot(shard_hash(hash), 0))) continue;
            if (!inside(offset, sizeof(Block)) || offset % block_alignment != 0) return Outcome::again;
            const auto& block = at<Block>(offset);
            const std::uint64_t key_bytes = block.key_bytes();
            const std::uint64_t value_bytes = block.value_bytes();
            if (block.hash() != hash || block.key_word() != key.word()) continue;
            if (!inside(offset, Block::value_offset(key_bytes)) ||
                !inside(offset + Block::value_offset(key_bytes), value_bytes))
                return Outcome::again;
            if (text_of(block.key()) != text_of(key)) continue;
            const std::byte* start = reader_->data() + offset + Block::value_offset(key_bytes);
            value.assign(start, start + value_bytes);
            outcome = Outcome::hit;
            break;
        }
        std::atomic_thread_fence(std::memory_order_acquire);
        return bucket_version(bucket.meta.load(std::memory_order_relaxed)) == bucket_version(before)
                   ? outcome
                   : Outcome::again;
    }

    void read_while(Child& writer, std::uint64_t operations, std::uint64_t stable) {
        ASSERT_TRUE(writer.hear(1));
        std::vector<std::byte> value;
        std::uint64_t hits = 0;
        std::uint64_t misses = 0;
        std::uint64_t again = 0;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (journal().operations.load() < operations) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline);
            const std::uint64_t number = chance_.below(chance_.below(2) == 0 ? staying_keys : keys);
            const std::uint64_t done_before = journal().done[number].load();
            const std::string key = key_of(number);
            const Outcome outcome = try_get(typed(number, key), value);
            const std::uint64_t started_after = journal().started[number].load();
            if (outcome == Outcome::again) {
                ++again;
            } else if (outcome == Outcome::miss) {
                ++misses;
                ASSERT_GE(number, stable) << "a key that is always there was not found";
                if (started_after == done_before) {
                    ASSERT_TRUE(is_erase(done_before)) << "key " << number;
                }
            } else {
                ++hits;
                const std::optional<std::uint64_t> write = write_of_value(number, value);
                ASSERT_TRUE(write) << "a torn value of key " << number;
                ASSERT_GE(*write + (is_erase(done_before) ? 1 : 0), done_before)
                    << "an old value of key " << number;
                ASSERT_LE(*write, started_after);
            }
        }
        std::cout << hits << " hits, " << misses << " misses, " << again << " to be read again\n";
        EXPECT_GT(hits, 0U);
        EXPECT_GT(misses, 0U);
        EXPECT_EQ(writer.wait(), 0);
    }
};

TEST_F(ReaderTest, SeesWholeValuesAndNoFalseMiss) {
    constexpr std::uint64_t operations = 400'000;
    const std::uint64_t seed = chance_.number();
    Child writer([&](int progress) {
        Writer w(std::move(*segment_), journal(), seed);
        for (std::uint64_t i = 0; i < staying_keys; ++i)
            w.put(i);
        Child::report(progress);
        while (journal().operations.load() < operations) {
            w.put(w.random_key());
            w.erase(w.random_key(staying_keys));
            if (w.random_key() < 20) w.put(w.random_key() % staying_keys);
        }
        return 0;
    });
    read_while(writer, operations, staying_keys);
}

// In a segment that is nearly full, each put moves others to make space.
TEST_F(ReaderTest, FindsEntriesThatMove) {
    constexpr std::uint64_t operations = 300'000;
    const std::uint64_t seed = chance_.number();
    Child writer([&](int progress) {
        Writer w(std::move(*segment_), journal(), seed);
        w.keep_index_small();
        for (std::uint64_t i = 0; i < staying_keys; ++i)
            w.put(i);
        Child::report(progress);
        while (journal().operations.load() < operations) {
            if (w.size() < slots_per_segment * 95 / 100)
                w.try_put(w.random_key(staying_keys));
            else
                w.erase(w.random_key(staying_keys));
        }
        return w.splits() == 0 ? 0 : 1;
    });
    read_while(writer, operations, staying_keys);
}

TEST_F(ReaderTest, StaysRightWhenTheIndexShrinksAndGrows) {
    constexpr std::uint64_t operations = 600'000;
    const std::uint64_t seed = chance_.number();
    Child writer([&](int progress) {
        Writer w(std::move(*segment_), journal(), seed);
        Child::report(progress);
        while (journal().operations.load() < operations) {
            for (int i = 0; i < 6000; ++i)
                w.put(w.random_key());
            w.clear();
            for (std::uint64_t i = 0; i < keys / 2; ++i)
                w.put(i);
            for (std::uint64_t i = 0; i < keys / 2; ++i)
                w.erase(i);
        }
        return 0;
    });
    read_while(writer, operations, 0);
}

}  // namespace
}  // namespace ddict::shm
