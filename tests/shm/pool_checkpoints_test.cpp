// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Versions of keys in a pool: random operations at random checkpoints against a model that keeps a whole map
// for each; and a kill at each store of each of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "shm/pool.h"
#include "tests/shm/chance.h"
#include "tests/shm/store_points.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

using Contents = std::map<std::string, std::string>;

/// The versions of each key, and what is seen of them.
class Model {
  public:
    explicit Model(std::uint32_t working_set) : working_set_(working_set) {}

    std::uint32_t oldest() const { return oldest_; }
    /// Until others are too far ahead of it.
    void hold(std::optional<std::uint32_t> checkpoint) {
        held_ = checkpoint;
        retire();
    }
    std::size_t awaited_after(std::uint32_t checkpoint) const {
        return static_cast<std::size_t>(std::ranges::count_if(
            keys_, [&](const auto& key) { return is_awaited_after(key.second, checkpoint); }));
    }
    std::uint32_t newest() const { return newest_; }
    void advance(std::uint32_t checkpoint) {
        newest_ = std::max(newest_, checkpoint);
        retire();
    }
    std::optional<std::string> at(std::uint32_t checkpoint, const std::string& key) const {
        const auto versions = keys_.find(key);
        return versions == keys_.end() ? std::nullopt : seen(versions->second, checkpoint);
    }
    Contents at(std::uint32_t checkpoint) const {
        Contents found;
        for (const auto& [key, versions] : keys_)
            if (const auto value = seen(versions, checkpoint)) found[key] = *value;
        return found;
    }
    /// What persists goes on to persist, also if it was erased, while a checkpoint has it.
    void put(std::uint32_t checkpoint, const std::string& key, const std::string& value, bool is_transient) {
        Versions& versions = keys_[key];
        if (is_transient && persists(versions, checkpoint)) is_transient = false;
        if (is_transient) forget_retired(versions, checkpoint);
        versions[checkpoint] = {value, is_transient};
    }
    /// What is seen becomes this checkpoint's own, unless it is already; what it hid at the oldest does not
    /// come back.
    void copy(std::uint32_t checkpoint, const std::string& key) {
        Versions& versions = keys_[key];
        if (const auto own = versions.find(checkpoint); own != versions.end() && own->second.is_transient)
            forget_retired(versions, checkpoint);
        const std::optional<std::string> value = at(checkpoint, key);
        if (value && !keys_[key].contains(checkpoint)) put(checkpoint, key, *value, false);
    }
    /// Leaves a trace only if an older version would be seen otherwise, or if the checkpoint before awaits
    /// the key.
    void erase(std::uint32_t checkpoint, const std::string& key) {
        Versions& versions = keys_[key];
        versions.erase(checkpoint);
        const bool is_seen = seen(versions, checkpoint).has_value();
        if (is_seen || (checkpoint > oldest() && is_awaited_after(versions, checkpoint - 1)))
            versions[checkpoint] = {std::nullopt, !is_seen};
    }
    void clear(std::uint32_t checkpoint) {
        for (auto& [key, versions] : keys_)
            versions.erase(checkpoint);
        clears_.push_back(checkpoint);
    }
    void begin_at(std::uint32_t checkpoint) {
        oldest_ = newest_ = checkpoint;
        held_.reset();
        keys_.clear();
        clears_.clear();
    }

  private:
    struct Version {
        std::optional<std::string> value;
        bool is_transient = false;
    };
    using Versions = std::map<std::uint32_t, Version>;

    void retire() {
        const std::uint32_t open = std::max(oldest_, newest_ < working_set_ ? 0 : newest_ - working_set_ + 1);
        const bool is_held =
            held_ && *held_ >= oldest_ && (*held_ > newest_ || newest_ - *held_ < limits::working_set_max);
        oldest_ = is_held ? std::min(open, *held_) : open;
    }
    bool persists(const Versions& versions, std::uint32_t checkpoint) const {
        bool found = false;
        for (const auto& [id, version] : versions)
            if (id >= floor_at(checkpoint) && id <= checkpoint && !version.is_transient)
                found = version.value || id > oldest();
        return found;
    }
    void forget_retired(Versions& versions, std::uint32_t checkpoint) const {
        if (checkpoint > oldest()) return;
        std::erase_if(versions,
                      [&](const auto& one) { return one.first <= checkpoint && !one.second.is_transient; });
    }
    static bool is_awaited_after(const Versions& versions, std::uint32_t checkpoint) {
        const auto found = versions.find(checkpoint);
        return found != versions.end() && found->second.value && found->second.is_transient &&
               !versions.contains(checkpoint + 1);
    }

    std::optional<std::string> seen(const Versions& versions, std::uint32_t checkpoint) const {
        const std::uint32_t floor = floor_at(checkpoint);
        std::optional<std::string> found;
        for (const auto& [id, version] : versions)
            if (id >= floor && id <= checkpoint && (!version.is_transient || id == checkpoint))
                found = version.value;
        return found;
    }

    std::uint32_t floor_at(std::uint32_t checkpoint) const {
        std::uint32_t floor = 0;
        for (const std::uint32_t clear : clears_)
            if (clear <= checkpoint) floor = std::max(floor, clear);
        return floor;
    }

    std::uint32_t working_set_;
    std::uint32_t oldest_ = 0;
    std::optional<std::uint32_t> held_;
    std::uint32_t newest_ = 0;
    std::map<std::string, Versions> keys_;
    std::vector<std::uint32_t> clears_;
};

struct Step {
    enum class Kind {
        put,
        reserve,
        erase,
        pop,
        pop_and_put_back,
        clear,
        begin,
        retire,
        hold,
        let_go
    } kind = Kind::put;
    std::uint32_t checkpoint = 0;
    std::string key;
    std::string value;
    bool is_transient = false;
};

/// Whether it has been done, for want of space or of a key it may not be.
bool apply(Pool& pool, const Step& step) {
    using Kind = Step::Kind;
    const KeyBytes key = bytes_of(step.key);
    const std::uint64_t hash = hash_of(key);
    if (step.kind == Kind::retire) return pool.retire_some();
    if (step.kind == Kind::begin) return pool.begin_at(step.checkpoint), true;
    if (step.kind == Kind::hold) return pool.hold_checkpoint(step.checkpoint), true;
    if (step.kind == Kind::let_go) return pool.hold_checkpoint(std::nullopt), true;
    pool.advance(step.checkpoint);
    const bool plain = !pool.checkpoints().in_use();
    const Pair pair{.key = key,
                    .hash = hash,
                    .checkpoint = step.checkpoint | (step.is_transient ? transient_bit : 0),
                    .value = bytes_of(step.value),
                    .until = step.value.size() % 3 == 0 ? 1000 + step.value.size() : 0};
    switch (step.kind) {
        case Kind::put:
            return static_cast<bool>(pool.put(pair));
        case Kind::reserve: {
            const Result<Block*> block = pool.reserve(pair, step.value.size());
            if (!block) return false;
            if (!step.value.empty())
                std::memcpy((*block)->value().data(), step.value.data(), step.value.size());
            return static_cast<bool>(pool.publish(*block));
        }
        case Kind::erase:
            return plain ? pool.erase(key, hash)
                         : static_cast<bool>(pool.erase_version(key, hash, step.checkpoint));
        case Kind::pop:
        case Kind::pop_and_put_back: {
            if (plain) return false;
            const Result<const Block*> taken = pool.take_version(key, hash, step.checkpoint);
            if (!taken) return false;
            const bool comes_back = step.kind == Kind::pop_and_put_back;
            EXPECT_TRUE(!comes_back || pool.restore_version(**taken));
            pool.unpin(*taken);
            return true;
        }
        case Kind::clear:
            pool.clear_version(step.checkpoint);
            return true;
        case Kind::begin:
        case Kind::retire:
        case Kind::hold:
        case Kind::let_go:
            break;
    }
    return false;
}

void apply(Model& model, const Step& step, bool done) {
    using Kind = Step::Kind;
    if (step.kind == Kind::retire) return;
    if (step.kind == Kind::hold) return model.hold(step.checkpoint);
    if (step.kind == Kind::let_go) return model.hold(std::nullopt);
    if (step.kind == Kind::begin) {
        if (done) model.begin_at(step.checkpoint);
        return;
    }
    model.advance(step.checkpoint);
    if (!done) return;
    if (step.kind == Kind::clear) return model.clear(step.checkpoint);
    const bool puts = step.kind == Kind::put || step.kind == Kind::reserve;
    if (step.kind == Kind::pop_and_put_back) return model.copy(step.checkpoint, step.key);
    puts ? model.put(step.checkpoint, step.key, step.value, step.is_transient)
         : model.erase(step.checkpoint, step.key);
}

Contents contents(const Pool& pool, std::uint32_t checkpoint) {
    Contents found;
    for (std::uint64_t cursor = 0;;) {
        cursor = pool.scan(
            cursor,
            [&](const Block& block) {
                const std::string key(text_of(block.key()));
                EXPECT_TRUE(found.emplace(key, text_of(block.value())).second) << key;
                return found.size() % 5 != 0;  // so that the next call begins anywhere
            },
            checkpoint);
        if (cursor == 0) return found;
    }
}

void check(const Pool& pool, const Model& model) {
    ASSERT_EQ(pool.inconsistency(), "");
    ASSERT_EQ(pool.checkpoints().oldest(), model.oldest());
    ASSERT_EQ(pool.checkpoints().newest(), model.newest());
    ASSERT_EQ(pool.keys_at(Pool::newest), pool.keys_at(model.newest()));
    if (pool.checkpoints().in_use()) {
        const VersionCount& old = pool.checkpoints().old_versions();
        ASSERT_EQ(old.versions, pool.size() - pool.keys_at(Pool::newest));
        ASSERT_GE(old.bytes, old.versions * sizeof(Block));
        ASSERT_LT(old.bytes, pool.usage().pool_bytes);
    }
    for (std::uint32_t id = model.oldest(); id <= model.newest() + 1; ++id) {
        const Contents wanted = model.at(id);
        const Contents found = contents(pool, id);
        for (const auto& [key, value] : wanted)
            ASSERT_TRUE(found.contains(key) && found.at(key) == value)
                << "at " << id << ", " << key << ": " << (found.contains(key) ? "another value" : "missing");
        ASSERT_EQ(found.size(), wanted.size()) << "at " << id;
        ASSERT_EQ(pool.keys_at(id), wanted.size()) << "at " << id;
        if (id <= model.newest()) {
            ASSERT_EQ(pool.checkpoints().keys_awaited_after(id), model.awaited_after(id)) << "after " << id;
        }
        for (const auto& [key, value] : wanted) {
            const Block* block = pool.find(bytes_of(key), hash_of(bytes_of(key)), id);
            ASSERT_NE(block, nullptr);
            ASSERT_EQ(text_of(block->value()), value);
        }
    }
}

class Workload {
  public:
    Workload(std::uint64_t seed, std::uint64_t keys) : engine_(seed), keys_(keys) {}

    Step next(const Pool& pool) {
        using Kind = Step::Kind;
        Step step;
        step.key = numbered_key(below(keys_), 12 + below(40));
        const WorkingSet& set = pool.checkpoints();
        step.checkpoint =
            set.oldest_open() + static_cast<std::uint32_t>(below(set.newest() - set.oldest_open() + 1));
        if (below(25) == 0) step.checkpoint = set.newest() + 1;
        if (below(300) == 0) step.checkpoint = set.newest() + static_cast<std::uint32_t>(below(40));
        const std::uint64_t kind = below(1000);
        step.is_transient = kind < 550 && set.settings().waits_for_keys && below(3) != 0;
        const char letter = static_cast<char>('a' + below(26));
        if (kind < 550) {
            if (kind >= 450) step.kind = Kind::reserve;
            step.value = std::to_string(++values_) + std::string(size(), letter);  // none twice
        } else if (kind < 780) {
            step.kind = Kind::erase;
        } else if (kind < 860) {
            step.kind = Kind::pop;
        } else if (kind < 890) {
            step.kind = Kind::pop_and_put_back;
        } else if (kind < 980) {
            step.kind = Kind::retire;
        } else if (kind < 995) {
            step.kind = kind < 990 ? Kind::hold : Kind::let_go;
            step.checkpoint = set.oldest() + static_cast<std::uint32_t>(below(6));
        } else if (kind < 999) {
            step.kind = Kind::clear;
        } else {
            step.kind = Kind::begin;
            step.checkpoint = static_cast<std::uint32_t>(below(2 * set.newest() + 10));
        }
        return step;
    }
    std::uint64_t below(std::uint64_t end) { return engine_() % end; }

  private:
    std::uint64_t size() {
        const std::uint64_t kind = below(100);
        return kind < 70 ? below(64) : kind < 97 ? below(600) : below(20'000);
    }

    std::mt19937_64 engine_;
    std::uint64_t keys_;
    std::uint64_t values_ = 0;
};

std::unique_ptr<Pool> make_pool(std::uint64_t bytes, std::uint32_t working_set, bool waits_for_keys = false) {
    Segment segment = nameless_segment(bytes);
    Pool::format(segment, test_identity(), {.size = working_set, .waits_for_keys = waits_for_keys}).value();
    return Pool::attach(std::move(segment)).value();
}

void run(std::uint64_t pool_bytes, std::uint64_t keys, std::uint32_t working_set, int steps,
         bool waits_for_keys = false) {
    Chance chance;
    Workload work(chance.number(), keys);
    const auto pool = make_pool(pool_bytes, working_set, waits_for_keys);
    const PoolUsage before = pool->usage();
    Model model(working_set);
    for (int i = 0; i < steps; ++i) {
        const Step step = work.next(*pool);
        apply(model, step, apply(*pool, step));
        if (i % 500 == 0) check(*pool, model);
        if (testing::Test::HasFailure()) FAIL() << "in step " << i;
    }
    check(*pool, model);
    // All goes: what is retired is taken out, and nothing is left.
    const std::uint32_t last = model.newest() + working_set;
    model.hold(std::nullopt);
    pool->hold_checkpoint(std::nullopt);
    pool->advance(last);
    model.advance(last);
    while (pool->retire_some()) {
    }
    check(*pool, model);
    EXPECT_EQ(pool->size(), model.at(last).size()) << "each key has one version";
    for (const auto& [key, value] : model.at(last))
        ASSERT_TRUE(pool->erase_version(bytes_of(key), hash_of(bytes_of(key)), last));
    pool->advance(last + working_set);
    while (pool->retire_some()) {
    }
    EXPECT_EQ(pool->size(), 0U);
    EXPECT_EQ(pool->checkpoints().old_versions().bytes, 0U);
    EXPECT_EQ(pool->usage().free_bytes, before.free_bytes);
}

TEST(PoolCheckpointsTest, AsAMapForEachCheckpoint) {
    run(4 << 20, 200, 2, 20'000);
    run(4 << 20, 200, 3, 20'000);
    run(8 << 20, 60, limits::working_set_max, 20'000);
    run(4 << 20, 100, 1, 10'000);
}

TEST(PoolCheckpointsTest, WithTransientPairs) {
    run(4 << 20, 200, 2, 20'000, true);
    run(4 << 20, 200, 3, 20'000, true);
    run(8 << 20, 60, limits::working_set_max, 20'000, true);
}

TEST(PoolCheckpointsTest, APoolThatIsOftenFull) {
    run(limits::pool_bytes_min, 3000, 3, 30'000);
    run(limits::pool_bytes_min, 3000, 3, 30'000, true);
}

/// At the first change with an id above 0, and not before, there are versions.
TEST(PoolCheckpointsTest, NothingIsOtherwiseWithoutCheckpoints) {
    const auto pool = make_pool(limits::pool_bytes_min, 4);
    ASSERT_TRUE(put(*pool, "key", "value"));
    EXPECT_FALSE(pool->checkpoints().in_use());
    EXPECT_EQ(text_of(pool->find(bytes_of("key"), hash_of(bytes_of("key")), 17)->value()), "value");
    pool->advance(1);
    EXPECT_TRUE(pool->checkpoints().in_use());
    EXPECT_EQ(pool->keys_at(0), 1U);
    EXPECT_EQ(pool->keys_at(1), 1U);
}

/// Versions share buckets: there are as many keys as make that likely to go wrong.
TEST(PoolCheckpointsTest, ManyKeysHaveAVersionAtEachCheckpoint) {
    const auto pool = make_pool(std::uint64_t{128} << 20, limits::working_set_max);
    constexpr std::uint64_t keys = 50'000;
    for (std::uint32_t checkpoint = 0; checkpoint < limits::working_set_max; ++checkpoint) {
        pool->advance(checkpoint);
        for (std::uint64_t key = 0; key < keys; ++key) {
            const std::string name = numbered_key(key);
            ASSERT_TRUE(pool->put({.key = bytes_of(name),
                                   .hash = hash_of(bytes_of(name)),
                                   .checkpoint = checkpoint,
                                   .value = bytes_of("v")}))
                << key << " at " << checkpoint;
        }
    }
    for (std::uint32_t checkpoint = 0; checkpoint < limits::working_set_max; ++checkpoint)
        EXPECT_EQ(pool->keys_at(checkpoint), keys);
}

/// What has to be remembered is of keys, not of changes.
TEST(PoolCheckpointsTest, AKeyThatIsWrittenAgainAndAgainIsRetiredOnce) {
    const auto pool = make_pool(limits::pool_bytes_min, 2);
    ASSERT_TRUE(put(*pool, "key", "0"));
    pool->advance(1);
    for (int i = 0; i < 100'000; ++i) {
        ASSERT_TRUE(pool->put({.key = bytes_of("key"),
                               .hash = hash_of(bytes_of("key")),
                               .checkpoint = 1,
                               .value = bytes_of("1")}));
    }
    pool->advance(2);
    EXPECT_EQ(pool->size(), 2U);
    EXPECT_FALSE(pool->retire_some()) << "there is one to retire";
    EXPECT_EQ(pool->size(), 1U);
}

/// Keys that are erased and put again at a checkpoint to which a newer one is there are noted each time.
/// Where that comes to more than there are pairs, all pairs are looked at instead: nothing is forgotten.
TEST(PoolCheckpointsTest, ManyKeysThatAreWrittenAgainAndAgainAreRetired) {
    const auto pool = make_pool(limits::pool_bytes_min, 3);
    constexpr std::uint64_t keys = 1000;
    const auto for_each = [&](const auto& work) {
        for (std::uint64_t key = 0; key < keys; ++key) {
            const std::string name = numbered_key(key);
            work(bytes_of(name), hash_of(bytes_of(name)));
        }
    };
    const auto put_at = [&](std::uint32_t checkpoint) {
        pool->advance(checkpoint);
        for_each([&](Bytes key, std::uint64_t hash) {
            ASSERT_TRUE(
                pool->put({.key = key, .hash = hash, .checkpoint = checkpoint, .value = bytes_of("v")}));
        });
    };
    put_at(2);
    for (int round = 0; round < 20; ++round) {
        put_at(1);
        for_each([&](Bytes key, std::uint64_t hash) { ASSERT_TRUE(pool->erase_version(key, hash, 1)); });
    }
    put_at(1);
    EXPECT_EQ(pool->size(), 2 * keys);
    pool->advance(4);  // 2 is the oldest now
    int steps = 0;
    for (; pool->retire_some() && steps < 10'000; ++steps) {
    }
    EXPECT_EQ(pool->size(), keys);
    EXPECT_EQ(pool->checkpoints().old_versions().versions, 0u);
    EXPECT_LT(steps, 1000) << "twenty times as many as there are keys";
    EXPECT_EQ(pool->inconsistency(), "");
}

/// What is retired is given back, by a few calls.
TEST(PoolCheckpointsTest, WhatNobodySeesAnyMoreIsGivenBack) {
    const auto pool = make_pool(limits::pool_bytes_min, 2);
    for (std::uint32_t checkpoint = 1; checkpoint <= 200; ++checkpoint) {
        const std::string value(20'000, static_cast<char>('a' + checkpoint % 26));
        pool->advance(checkpoint);
        while (pool->retire_some()) {
        }
        for (int key = 0; key < 10; ++key) {
            const std::string name = numbered_key(static_cast<std::uint64_t>(key));
            ASSERT_TRUE(pool->put({.key = bytes_of(name),
                                   .hash = hash_of(bytes_of(name)),
                                   .checkpoint = checkpoint,
                                   .value = bytes_of(value)}))
                << checkpoint;
        }
    }
    EXPECT_LE(pool->size(), 30U);
}

class CheckpointRecoveryTest : public testing::Test {
  protected:
    static constexpr std::uint64_t pool_bytes = limits::pool_bytes_min;

    ~CheckpointRecoveryTest() override { Segment::remove(image_name_); }

    void begin(std::uint32_t working_set, bool waits_for_keys) {
        pool_.reset();
        Segment segment = Segment::create(test_segment_name(), pool_bytes).value();
        Segment::remove(segment.name());
        Pool::format(segment, test_identity(), {.size = working_set, .waits_for_keys = waits_for_keys})
            .value();
        memory_ = segment.data();
        pool_ = Pool::attach(std::move(segment)).value();
        model_.emplace(working_set);
    }
    /// What is of all keys is made once more by whoever has noted it: the store, here the test.
    void check_image(const Step& step, Workload& more) {
        std::memcpy(image_.data(), memory_, pool_bytes);
        RecoveryReport report;
        auto recovered = Pool::recover(Segment::open(image_name_, Access::read_write).value(), {}, report);
        ASSERT_TRUE(recovered) << recovered.error().message();
        Pool& pool = **recovered;
        ++recoveries_;
        ASSERT_EQ(report.unsound, 0U);
        ASSERT_EQ(report.missing, 0U);
        Model before = *model_;
        before.hold(std::nullopt);  // a recovery ends it
        if (step.kind == Step::Kind::clear) {
            before.advance(step.checkpoint);
            before.clear(step.checkpoint);
            pool.advance(step.checkpoint);
            pool.clear_version(step.checkpoint);
        }
        if (step.kind == Step::Kind::begin) {
            before.begin_at(step.checkpoint);
            pool.begin_at(step.checkpoint);
        }
        if (pool.checkpoints().newest() != before.newest()) before.advance(step.checkpoint);
        const bool pops = step.kind == Step::Kind::pop || step.kind == Step::Kind::pop_and_put_back;
        Model after = before;
        if (pops)
            after.erase(step.checkpoint, step.key);
        else
            apply(after, step, true);
        // A pop of an older version makes it the checkpoint's own first, which nobody sees at once.
        const Block* own = pool.find(bytes_of(step.key), hash_of(bytes_of(step.key)), step.checkpoint);
        if (pops && own != nullptr && own->checkpoint() == step.checkpoint)
            before.copy(step.checkpoint, step.key);
        const auto found = contents(pool, step.checkpoint);
        const bool is_made = found != before.at(step.checkpoint);
        ASSERT_NO_FATAL_FAILURE(check(pool, is_made ? after : before));
        Model now = is_made ? after : before;
        for (int i = 0; i < 30; ++i) {
            const Step next = i == 0 ? step : more.next(pool);
            apply(now, next, apply(pool, next));
        }
        while (pool.retire_some()) {
        }
        check(pool, now);
    }
    void step_by_store(const Step& step, Workload& more, std::uint64_t one_point_in) {
        StorePoints points({{memory_, pool_bytes}}, [&] {
            if (HasFatalFailure() || more.below(one_point_in) != 0) return;
            check_image(step, more);
        });
        bool done = false;
        points_ += points.run([&] { done = apply(*pool_, step); });
        apply(*model_, step, done);
    }

    Chance chance_;
    std::string image_name_ = test_segment_name();
    Segment image_ = Segment::create(image_name_, pool_bytes).value();
    std::byte* memory_ = nullptr;
    std::unique_ptr<Pool> pool_;
    std::optional<Model> model_;
    std::uint64_t points_ = 0;
    std::uint64_t recoveries_ = 0;
};

TEST_F(CheckpointRecoveryTest, FromEveryStoreOfEveryOperation) {
    const std::uint64_t wanted = recoveries_wanted(1000);
    while (recoveries_ < wanted && !HasFatalFailure()) {
        const std::uint32_t working_set =
            std::array<std::uint32_t, 4>{1, 2, 5, limits::working_set_max}[chance_.below(4)];
        begin(working_set, working_set > 1 && chance_.below(2) == 0);
        Workload work(chance_.number(), std::array<std::uint64_t, 3>{10, 60, 2000}[chance_.below(3)]);
        for (std::uint64_t i = chance_.below(3000); i != 0; --i) {
            const Step step = work.next(*pool_);
            apply(*model_, step, apply(*pool_, step));
        }
        for (int i = 0; i < 40 && !HasFatalFailure(); ++i)
            step_by_store(work.next(*pool_), work, 6);
    }
    std::cout << points_ << " points, " << recoveries_ << " recoveries\n";
}

}  // namespace
}  // namespace ddict::shm
