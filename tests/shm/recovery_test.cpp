// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A pool is recovered from every state that a kill can leave: before each store that an operation makes, a
// copy of the pool is recovered, compared with what was there before and after, made to do the operation
// again, and written to further. Then the recovery itself is killed at each of its stores.
#include "shm/recovery.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "base/limits.h"
#include "tests/shm/chance.h"
#include "tests/shm/store_points.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

using Model = std::map<std::string, std::string>;

struct Step {
    enum class Kind { put, erase, clear, make_space } kind = Kind::put;
    std::string key;
    std::string value;
};

KeyPlacement placement_of(const std::string& key) {
    return key.back() % 3 == 0 ? KeyPlacement{.by = PlacedBy::hash, .value = key.size()} : KeyPlacement{};
}

std::uint64_t until_of(const std::string& key) {
    return key.back() % 4 == 0 ? 1000 + key.size() : 0;
}

/// Whether it has been done: a put may be refused for want of space.
bool apply(Pool& pool, const Step& step) {
    const KeyBytes key = bytes_of(step.key);
    switch (step.kind) {
        case Step::Kind::put:
            return static_cast<bool>(pool.put({key, hash_of(key), 3, 0, bytes_of(step.value),
                                               placement_of(step.key), 0, until_of(step.key)}));
        case Step::Kind::erase:
            return pool.erase(key, hash_of(key));
        case Step::Kind::clear:
            pool.clear();
            return true;
        case Step::Kind::make_space:
            if (const Pair pair{.key = bytes_of("x")}; pool.may_make_space(pair, step.value.size()))
                pool.make_space(pair, step.value.size());
            pool.stop_making_space();
            return true;
    }
    return false;
}

void apply(Model& model, const Step& step, bool done) {
    if (!done) return;
    if (step.kind == Step::Kind::put) model[step.key] = step.value;
    if (step.kind == Step::Kind::erase) model.erase(step.key);
    if (step.kind == Step::Kind::clear) model.clear();
}

Model contents(const Pool& pool) {
    Model found;
    for (std::uint64_t cursor = 0;;) {
        cursor = pool.scan(cursor, [&](const Block& block) {
            const std::string key(text_of(block.key()));
            const bool whole = block.value_type() == 3 && block.checkpoint() == 0 &&
                               block.placement() == placement_of(key) && block.until() == until_of(key);
            EXPECT_TRUE(found.emplace(key, whole ? text_of(block.value()) : "(damaged)").second) << key;
            return true;
        });
        if (cursor == 0) break;
    }
    return found;
}

class Workload {
  public:
    explicit Workload(std::uint64_t seed, std::uint64_t keys) : engine_(seed), keys_(keys) {}

    Step next() {
        Step step;
        step.key = numbered_key(below(keys_), 12 + below(40));
        const std::uint64_t kind = below(1000);
        if (kind < 640) {
            step.value = std::string(size(), static_cast<char>('a' + below(26)));
        } else if (kind < 980) {
            step.kind = Step::Kind::erase;
        } else if (kind < 996) {
            step.kind = Step::Kind::make_space;
            step.value.resize(below(60'000));
        } else {
            step.kind = Step::Kind::clear;
        }
        return step;
    }
    std::uint64_t below(std::uint64_t end) { return engine_() % end; }

  private:
    /// Around what is inline, and what moves in one step.
    std::uint64_t size() {
        const std::uint64_t kind = below(100);
        if (kind < 60) return below(64);
        if (kind < 90) return below(600);
        if (kind < 98) return 4090 + below(12);
        return below(20'000);
    }

    std::mt19937_64 engine_;
    std::uint64_t keys_;
};

class RecoveryTest : public testing::Test {
  protected:
    static constexpr std::uint64_t pool_bytes = limits::pool_bytes_min;

    ~RecoveryTest() override { Segment::remove(image_name_); }

    void begin() {
        pool_.reset();
        Segment segment = Segment::create(test_segment_name(), pool_bytes).value();
        Segment::remove(segment.name());
        Pool::format(segment, test_identity()).value();
        memory_ = segment.data();
        pool_ = Pool::attach(std::move(segment)).value();
        model_.clear();
    }
    /// Of the bytes in the image. The pool is in that memory, and goes before the next.
    std::unique_ptr<Pool> recover_image(RecoveryReport& report) {
        auto pool = Pool::recover(Segment::open(image_name_, Access::read_write).value(), {}, report);
        if (!pool) ADD_FAILURE() << pool.error().message();
        return pool ? std::move(*pool) : nullptr;
    }
    /// What must hold of a pool that was recovered while `step` was being done.
    void check(Pool& pool, const RecoveryReport& report, const Model& before, const Step& step,
               Workload& more) {
        ++recoveries_;
        ASSERT_EQ(pool.inconsistency(), "");
        Model found = contents(pool);
        Model after = before;
        apply(after, step, true);
        ASSERT_TRUE(found == before || found == after) << "what is there is of neither state";
        ASSERT_EQ(report.unsound, 0U);
        ASSERT_EQ(report.missing, 0U);
        ASSERT_EQ(report.pairs, found.size());
        ASSERT_EQ(pool.size(), found.size());
        apply(found, step, apply(pool, step));
        for (int i = 0; i < further_steps_; ++i) {
            const Step next = more.next();
            apply(found, next, apply(pool, next));
        }
        ASSERT_EQ(pool.inconsistency(), "");
        ASSERT_TRUE(contents(pool) == found) << "it goes on wrongly";
    }
    void copy_to_image() { std::memcpy(image_.data(), memory_, pool_bytes); }

    /// Does the step, and looks at each state on the way.
    void step_by_store(const Step& step, Workload& more, std::uint64_t one_point_in) {
        StorePoints points({{memory_, pool_bytes}}, [&] {
            if (HasFatalFailure() || more.below(one_point_in) != 0) return;
            copy_to_image();
            if (more.below(40) == 0)
                states_.push_back({std::vector(memory_, memory_ + pool_bytes), model_, step});
            RecoveryReport report;
            if (const auto pool = recover_image(report)) check(*pool, report, model_, step, more);
        });
        bool done = false;
        points_ += points.run([&] { done = apply(*pool_, step); });
        apply(model_, step, done);
    }

    struct State {
        std::vector<std::byte> bytes;
        Model before;
        Step step;
    };

    Chance chance_;
    std::string image_name_ = test_segment_name();
    Segment image_ = Segment::create(image_name_, pool_bytes).value();
    std::byte* memory_ = nullptr;
    std::unique_ptr<Pool> pool_;
    Model model_;
    std::vector<State> states_;
    int further_steps_ = 40;
    std::uint64_t points_ = 0;
    std::uint64_t recoveries_ = 0;
};

TEST_F(RecoveryTest, FromEveryStoreOfEveryOperation) {
    const std::uint64_t wanted = recoveries_wanted(1000);
    while (recoveries_ < wanted && !HasFatalFailure()) {
        begin();
        // Few keys and much space; more than there is space for; many small ones, so that the index grows.
        Workload work(chance_.number(), std::array<std::uint64_t, 3>{200, 1500, 9000}[chance_.below(3)]);
        const std::uint64_t unseen = chance_.below(12'000);
        for (std::uint64_t i = 0; i < unseen; ++i) {
            const Step step = work.next();
            if (step.kind != Step::Kind::clear) apply(model_, step, apply(*pool_, step));
        }
        const std::uint64_t until = recoveries_ + 250;
        for (int i = 0; i < 400 && recoveries_ < until && !HasFatalFailure(); ++i)
            step_by_store(work.next(), work, 8);
    }
    std::cout << points_ << " points, " << recoveries_ << " recoveries, " << states_.size() << " kept\n";
    EXPECT_GT(states_.size(), wanted / 250);

    // Killed again while recovering.
    further_steps_ = 5;
    recoveries_ = 0;
    Workload more(chance_.number(), 1500);
    Segment again = Segment::create(test_segment_name(), pool_bytes).value();
    for (std::size_t i = 0; i < states_.size() && i < wanted / 250 && !HasFatalFailure(); ++i) {
        const State& state = states_[i];
        std::memcpy(again.data(), state.bytes.data(), pool_bytes);
        Segment segment = Segment::open(again.name(), Access::read_write).value();
        memory_ = segment.data();
        StorePoints points({{memory_, pool_bytes}}, [&] {
            if (HasFatalFailure() || more.below(300) != 0) return;
            copy_to_image();
            RecoveryReport report;
            if (const auto pool = recover_image(report)) check(*pool, report, state.before, state.step, more);
        });
        RecoveryReport report;
        std::unique_ptr<Pool> pool;
        points_ += points.run([&] { pool = Pool::recover(std::move(segment), {}, report).value(); });
        check(*pool, report, state.before, state.step, more);
    }
    Segment::remove(again.name());
    std::cout << recoveries_ << " recoveries of recoveries\n";
}

// A clear was killed, and then the recovery, after it had ended the clear: what was cleared is not missing.
TEST_F(RecoveryTest, OfAKilledClearMissesNothingWhenKilledAtItsEnd) {
    const auto is_clearing = [this] {
        return reinterpret_cast<const PoolHeader*>(memory_)->clearing.load() != 0;
    };
    begin();
    for (std::uint64_t i = 0; i < 100; ++i)
        ASSERT_TRUE(put(*pool_, numbered_key(i), std::to_string(i)));
    Segment again = Segment::create(test_segment_name(), pool_bytes).value();
    bool is_killed = false;
    StorePoints clearing({{memory_, pool_bytes}}, [&] {
        if (is_killed || !is_clearing()) return;
        std::memcpy(again.data(), memory_, pool_bytes);
        is_killed = true;
    });
    clearing.run([&] { pool_->clear(); });
    ASSERT_TRUE(is_killed);
    Segment segment = Segment::open(again.name(), Access::read_write).value();
    Segment::remove(again.name());
    memory_ = segment.data();
    Workload more(chance_.number(), 1500);
    StorePoints recovering({{memory_, pool_bytes}}, [&] {
        if (is_clearing() || HasFatalFailure()) return;
        copy_to_image();
        RecoveryReport report;
        if (const auto pool = recover_image(report))
            check(*pool, report, {}, {.kind = Step::Kind::clear, .key = {}, .value = {}}, more);
    });
    RecoveryReport report;
    std::unique_ptr<Pool> recovered;
    recovering.run([&] { recovered = Pool::recover(std::move(segment), {}, report).value(); });
    EXPECT_GT(recoveries_, 0U);
}

// So many that threads share the index among them, where there are processors for that. Some pairs are
// damaged.
TEST(RecoveryOfManyPairs, FindsEachOnce) {
    constexpr std::uint64_t count = 400'000;
    constexpr std::uint64_t damaged_one_in = 1'000;
    const std::string name = test_segment_name();
    {
        Segment segment = Segment::create(name, count * 160).value();
        Pool::format(segment, test_identity()).value();
        const std::unique_ptr<Pool> pool = Pool::attach(std::move(segment)).value();
        for (std::uint64_t i = 0; i < count; ++i)
            ASSERT_TRUE(put(*pool, numbered_key(i), std::to_string(i)));
        for (std::uint64_t i = 0; i < count; i += damaged_one_in) {
            const auto* key = find(*pool, numbered_key(i))->key().bytes().data();
            *const_cast<std::byte*>(key) ^= std::byte{1};
        }
    }
    RecoveryReport report;
    const auto pool = Pool::recover(Segment::open(name, Access::read_write).value(), {}, report);
    Segment::remove(name);
    ASSERT_TRUE(pool) << pool.error().message();
    EXPECT_EQ(report.pairs, count - count / damaged_one_in);
    EXPECT_EQ(report.unsound, count / damaged_one_in);
    EXPECT_EQ((*pool)->size(), report.pairs);
    EXPECT_EQ((*pool)->inconsistency(), "");
    for (std::uint64_t i = 0; i < count; ++i) {
        const bool is_damaged = i % damaged_one_in == 0;
        ASSERT_EQ(find(**pool, numbered_key(i)) == nullptr, is_damaged) << i;
        if (!is_damaged) {
            ASSERT_EQ(value_of(**pool, numbered_key(i)), std::to_string(i));
        }
    }
}

// Bits that a kill does not change. What is left is what was there, and what is not is told; whatever is
// wrong, the recovery ends, and what it has made can be written to.
TEST_F(RecoveryTest, OfDamagedMemoryTellsWhatIsMissing) {
    const char* given = std::getenv("DDICT_TEST_RECOVERIES");
    const std::uint64_t rounds = given != nullptr ? std::strtoull(given, nullptr, 10) / 5 : 300;
    std::uint64_t refused = 0, incomplete = 0, whole = 0;
    Workload work(chance_.number(), 3000);
    begin();
    for (std::uint64_t round = 0; round < rounds && !HasFatalFailure(); ++round) {
        for (int i = 0; i < (round == 0 ? 9000 : 50); ++i) {
            const Step step = work.next();
            if (step.kind != Step::Kind::clear) apply(model_, step, apply(*pool_, step));
        }
        copy_to_image();
        std::vector<std::uint64_t> places;
        const std::uint64_t ends[] = {page_bytes, heap_start_offset, pool_bytes};
        for (std::uint64_t i = 1 + chance_.below(12); i > 0; --i) {
            places.push_back(chance_.below(ends[chance_.below(3)]));
            image_.data()[places.back()] ^= std::byte{static_cast<std::uint8_t>(1U << chance_.below(8))};
        }
        RecoveryReport report;
        auto recovered = Pool::recover(Segment::open(image_name_, Access::read_write).value(), {}, report);
        if (!recovered) {
            ++refused;
            EXPECT_TRUE(recovered.error().code == Errc::protocol ||
                        recovered.error().code == Errc::incompatible ||
                        recovered.error().code == Errc::system)
                << recovered.error().message();
            continue;
        }
        Pool& pool = **recovered;
        ASSERT_EQ(pool.inconsistency(), "");
        std::uint64_t found = 0;
        for (std::uint64_t cursor = 0;;) {
            cursor = pool.scan(cursor, [&](const Block& block) {
                const auto known = model_.find(std::string(text_of(block.key())));
                if (known == model_.end()) {
                    ADD_FAILURE() << "a key that was never there";
                    return true;
                }
                ++found;
                EXPECT_EQ(block.value_bytes(), known->second.size()) << "a wrong length is noticed";
                EXPECT_TRUE(block.value_type() == 3 && block.checkpoint() == 0);
                return true;
            });
            if (cursor == 0) break;
        }
        EXPECT_EQ(report.pairs, found);
        const bool counts_are_damaged = std::any_of(places.begin(), places.end(), [](std::uint64_t place) {
            return place / 8 == offsetof(PoolHeader, keys) / 8 ||
                   place / 8 == offsetof(PoolHeader, clearing) / 8;
        });
        if (found < model_.size()) {
            ++incomplete;
            EXPECT_TRUE(report.unsound + report.missing > 0 || counts_are_damaged) << "nothing was told";
        } else {
            ++whole;
        }
        for (int i = 0; i < 200; ++i)
            apply(pool, work.next());
        ASSERT_EQ(pool.inconsistency(), "");
    }
    std::cout << whole << " whole, " << incomplete << " incomplete, " << refused << " refused\n";
    EXPECT_GT(whole, rounds / 20);
    EXPECT_GT(incomplete, rounds / 20);
}

}  // namespace
}  // namespace ddict::shm
