// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Reading a manager's pool from outside: what is found, what is refused, and what is left to a message.
#include "shm/reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "base/limits.h"
#include "cluster/placement.h"
#include "tests/shm/chance.h"
#include "tests/shm/string_sink.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

PoolOwner test_owner() {
    const PoolIdentity identity = test_identity();
    return {.dictionary_id = identity.dictionary_id, .secret = identity.secret, .manager = identity.manager};
}

class ReaderTest : public testing::Test {
  protected:
    explicit ReaderTest(std::uint64_t bytes = 16 * mebibyte) : name_(test_segment_name()) {
        Segment segment = Segment::create(name_, bytes).value();
        Pool::format(segment, test_identity()).value();
        header_.emplace(Segment::open(name_, Access::read_write).value());
        pool_ = Pool::attach(std::move(segment)).value();
        reader_ = open().value();
    }
    ~ReaderTest() override { Segment::remove(name_); }

    Result<std::shared_ptr<const PoolReader>> open(const PoolOwner& owner = test_owner()) const {
        return PoolReader::open(Segment::open(name_, Access::read_only).value(), owner);
    }
    PoolHeader& header() { return *reinterpret_cast<PoolHeader*>(header_->data()); }

    Read get(std::string_view key) {
        outcome_ = {};
        return reader_->get(bytes_of(key), hash_of(bytes_of(key)), sink_, outcome_, &checkpoint_);
    }
    Read contains(std::string_view key) const {
        return reader_->contains(bytes_of(key), hash_of(bytes_of(key)));
    }
    Result<FrozenView> view(std::string_view key) const {
        return reader_->view(bytes_of(key), hash_of(bytes_of(key)));
    }

    std::string name_;
    std::optional<Segment> header_;
    std::unique_ptr<Pool> pool_;
    std::shared_ptr<const PoolReader> reader_;
    StringSink sink_;
    Result<void> outcome_;
    std::uint64_t checkpoint_ = 0;
};

TEST_F(ReaderTest, FindsWhatIsThereAndNothingElse) {
    EXPECT_EQ(get("Hello"), Read::absent);
    EXPECT_EQ(contains("Hello"), Read::absent);
    pool_->put({bytes_of("Hello"), hash_of(bytes_of("Hello")), 7, 0, bytes_of("Dragon")}).value();
    ASSERT_EQ(get("Hello"), Read::value);
    EXPECT_TRUE(outcome_);
    EXPECT_EQ(sink_.value(), "Dragon");
    EXPECT_EQ(sink_.value_type(), 7);
    EXPECT_EQ(contains("Hello"), Read::value);
    ValueInfo info;
    EXPECT_EQ(reader_->contains(bytes_of("Hello"), hash_of(bytes_of("Hello")), &info), Read::value);
    EXPECT_EQ(info.type, 7);
    EXPECT_EQ(info.bytes, 6U);
    EXPECT_EQ(get("Hell"), Read::absent);

    put(*pool_, "Hello", "World").value();
    ASSERT_EQ(get("Hello"), Read::value);
    EXPECT_EQ(sink_.value(), "World");
    EXPECT_EQ(checkpoint_, 0U);
    shm::erase(*pool_, "Hello");
    EXPECT_EQ(get("Hello"), Read::absent);
    EXPECT_EQ(contains("Hello"), Read::absent);
}

TEST_F(ReaderTest, KeysWithTheSameBytesAndDifferentTypesAreDifferentKeys) {
    const std::string bytes = "12345678";
    constexpr std::uint64_t hash = 0x1234'5678'9abc'def0;  // the same, as it may be
    const KeyBytes text(bytes_of(bytes));
    const KeyBytes number(bytes_of(bytes), 0x0113);
    const auto get_typed = [&](KeyBytes key) {
        return reader_->get(key, hash, sink_, outcome_) == Read::value ? sink_.value() : "(none)";
    };
    pool_->put({number, hash, 0, 0, bytes_of("number"), {.by = PlacedBy::hash, .value = 1}}).value();
    EXPECT_EQ(get_typed(text), "(none)");
    EXPECT_EQ(reader_->contains(text, hash), Read::absent);
    EXPECT_EQ(get_typed(number), "number");
    pool_->put({text, hash, 0, 0, bytes_of("text")}).value();
    EXPECT_EQ(get_typed(text), "text");
    EXPECT_EQ(get_typed(number), "number");
    pool_->set_frozen(true);
    EXPECT_EQ(text_of(reader_->view(number, hash)->bytes().value()), "number");
    pool_->set_frozen(false);
    pool_->erase(number, hash);
    EXPECT_EQ(get_typed(number), "(none)");
    EXPECT_EQ(get_typed(text), "text");
}

TEST_F(ReaderTest, ReadsValuesAndKeysOfAllSizes) {
    Chance chance;
    std::vector<std::size_t> sizes{0, 1, 7, 8, 15, 16, 63, 64, 65, 4096, 65'537, mebibyte};
    for (int i = 0; i < 100; ++i)
        sizes.push_back(chance.size_below(100'000));
    for (const std::size_t size : sizes) {
        std::string value(size, '\0');
        for (char& c : value)
            c = static_cast<char>(chance.number());
        const std::string key = numbered_key(size, 1 + chance.size_below(limits::key_bytes_max));
        put(*pool_, key, value).value();
        ASSERT_EQ(get(key), Read::value) << size;
        ASSERT_EQ(sink_.value(), value) << size;
        shm::erase(*pool_, key);
    }
}

TEST_F(ReaderTest, FollowsTheIndexAsItGrowsShrinksAndStartsAnew) {
    constexpr std::uint64_t keys = 30'000;
    for (int round = 0; round < 2; ++round) {
        for (std::uint64_t i = 0; i < keys; ++i) {
            put(*pool_, numbered_key(i), std::to_string(i)).value();
            const std::uint64_t other = i * 7 % keys;
            ASSERT_EQ(get(numbered_key(other)), other <= i ? Read::value : Read::absent);
            if (other <= i) {
                ASSERT_EQ(sink_.value(), std::to_string(other));
            }
        }
        EXPECT_GT(pool_->growth().doublings, 3U);
        if (round == 0) {
            pool_->clear();
        } else {
            for (std::uint64_t i = 0; i < keys; ++i)
                ASSERT_TRUE(shm::erase(*pool_, numbered_key(i)));
        }
        for (std::uint64_t i = 0; i < keys; i += 100)
            ASSERT_EQ(get(numbered_key(i)), Read::absent);
    }
}

// All in a few buckets, so that keys are in buckets other than their own, and hashes are alike.
TEST_F(ReaderTest, FindsKeysInCrowdedBuckets) {
    const auto hash = [](std::uint64_t i) {
        const std::uint64_t h = (254 + i % 3) % buckets_per_segment << bucket_shift | (i % 2) << 60;
        return (h >> 16) | (h << 48);
    };
    constexpr std::uint64_t keys = 60;
    const auto read = [&](std::uint64_t i) {
        return reader_->get(bytes_of(numbered_key(i)), hash(i), sink_, outcome_);
    };
    std::uint64_t stored = 0;
    for (; stored < keys; ++stored) {
        const std::string key = numbered_key(stored);
        if (!pool_->put({bytes_of(key), hash(stored), 0, 0, bytes_of(key)})) break;
    }
    EXPECT_GT(stored, 28U);
    for (std::uint64_t i = 0; i < keys; ++i) {
        ASSERT_EQ(read(i), i < stored ? Read::value : Read::absent) << i;
        if (i < stored) {
            EXPECT_EQ(sink_.value(), numbered_key(i));
        }
    }
}

TEST_F(ReaderTest, SaysWhatTheSinkRefuses) {
    for (const std::size_t size : {8U, 1000U}) {
        put(*pool_, "Hello", std::string(size, 'x')).value();
        sink_.refuse(Error(Errc::wrong_type));
        EXPECT_EQ(get("Hello"), Read::value);
        ASSERT_FALSE(outcome_);
        EXPECT_EQ(outcome_.error().code, Errc::wrong_type);
        sink_.accept();
        sink_.fail_with_exception(true);
        EXPECT_EQ(get("Hello"), Read::value);
        ASSERT_FALSE(outcome_);
        EXPECT_EQ(outcome_.error().code, Errc::system);
        sink_.fail_with_exception(false);
        EXPECT_EQ(get("Hello"), Read::value);
        EXPECT_TRUE(outcome_);
    }
}

// A writer that was interrupted, or killed, in the middle of a change.
TEST_F(ReaderTest, AsksWhereAChangeDoesNotEnd) {
    put(*pool_, "Hello", "Dragon").value();
    header().structure_epoch.fetch_add(1);
    EXPECT_EQ(get("Hello"), Read::ask);
    EXPECT_EQ(get("nobody"), Read::ask);
    EXPECT_EQ(contains("Hello"), Read::ask);
    header().structure_epoch.fetch_add(1);
    EXPECT_EQ(get("Hello"), Read::value);

    auto& segment = *reinterpret_cast<IndexSegment*>(header_->data() + first_segment_offset);
    Bucket& home = segment.buckets[home_bucket(shard_hash(hash_of(bytes_of("Hello"))))];
    home.meta.fetch_add(1);
    EXPECT_EQ(get("Hello"), Read::ask);
    EXPECT_EQ(contains("Hello"), Read::ask);
    home.meta.fetch_add(1);
    EXPECT_EQ(get("Hello"), Read::value);
}

TEST_F(ReaderTest, ServesNothingOfAPoolThatIsGone) {
    put(*pool_, "Hello", "Dragon").value();
    EXPECT_FALSE(reader_->gone());
    pool_->mark_gone();
    EXPECT_TRUE(reader_->gone());
    EXPECT_EQ(get("Hello"), Read::ask);
    EXPECT_EQ(get("nobody"), Read::ask);
    EXPECT_EQ(contains("Hello"), Read::ask);
    EXPECT_EQ(view("Hello").error().code, Errc::manager_lost);
}

TEST_F(ReaderTest, AnotherProcessCanMarkAPoolAsGone) {
    Pool::mark_gone(name_);
    EXPECT_TRUE(reader_->gone());
    Pool::mark_gone("test-shm-none");
}

TEST_F(ReaderTest, ViewsWhatIsFrozen) {
    const std::string large(100'000, 'x');
    pool_->advance(9);
    pool_->put({bytes_of("large"), hash_of(bytes_of("large")), 3, 9, bytes_of(large)}).value();
    put(*pool_, "empty", "").value();
    EXPECT_EQ(view("large").error().code, Errc::invalid_argument);
    EXPECT_FALSE(reader_->frozen());
    pool_->set_frozen(true);
    pool_->set_frozen(true);
    EXPECT_TRUE(pool_->frozen() && reader_->frozen());
    EXPECT_EQ(view("nobody").error().code, Errc::not_found);
    const Result<FrozenView> empty = view("empty");
    ASSERT_TRUE(empty);
    EXPECT_EQ(empty->bytes()->size(), 0U);
    const Result<FrozenView> seen = view("large");
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_EQ(seen->size(), large.size());
    EXPECT_EQ(seen->value_type(), 3);
    EXPECT_EQ(seen->checkpoint(), 9U);
    EXPECT_EQ(text_of(*seen->bytes()), large);
    EXPECT_TRUE(seen->valid());

    pool_->set_frozen(false);
    EXPECT_FALSE(seen->valid());
    ASSERT_FALSE(seen->bytes());
    EXPECT_EQ(seen->bytes().error().code, Errc::invalid_argument);
    EXPECT_NE(seen->bytes().error().message().find("unfrozen"), std::string::npos);
    pool_->set_frozen(true);
    EXPECT_FALSE(seen->valid()) << "another freeze is not the one it was made in";
    EXPECT_TRUE(view("large")->valid());
}

TEST_F(ReaderTest, AViewKeepsThePoolMapped) {
    put(*pool_, "Hello", "Dragon").value();
    pool_->set_frozen(true);
    const FrozenView seen = view("Hello").value();
    reader_.reset();
    pool_.reset();
    Segment::remove(name_);
    EXPECT_EQ(text_of(*seen.bytes()), "Dragon");
}

TEST_F(ReaderTest, RefusesStrangers) {
    const auto refused = [&](const auto& change) {
        PoolOwner owner = test_owner();
        change(owner);
        const auto opened = open(owner);
        return opened ? Errc::not_found : opened.error().code;
    };
    EXPECT_EQ(refused([](PoolOwner& owner) { owner.secret[3] ^= std::byte{1}; }), Errc::access_denied);
    EXPECT_EQ(refused([](PoolOwner& owner) { ++owner.dictionary_id; }), Errc::access_denied);
    EXPECT_EQ(refused([](PoolOwner& owner) { ++owner.manager; }), Errc::access_denied);
    EXPECT_EQ(refused([&](PoolOwner&) { ++header().layout_version; }), Errc::incompatible);
    --header().layout_version;
    EXPECT_EQ(refused([&](PoolOwner&) { ++header().segment_bytes; }), Errc::protocol);
    --header().segment_bytes;
    EXPECT_EQ(refused([&](PoolOwner&) { header().magic.fetch_add(1); }), Errc::protocol);
    header().magic.fetch_sub(1);
    EXPECT_TRUE(open());
    PoolOwner nobody = test_owner();
    nobody.dictionary_id = Chance().number();
    EXPECT_EQ(PoolReader::open(nobody).error().code, Errc::dictionary_gone);
}

TEST_F(ReaderTest, RefusesASegmentThatIsCut) {
    const std::string path = "/dev/shm/" + name_;
    for (const std::uint64_t bytes : {15 * mebibyte, mebibyte / 2, std::uint64_t{1}}) {
        ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(bytes)), 0);
        EXPECT_EQ(open().error().code, Errc::protocol) << bytes;
    }
}

TEST(ReaderOpenTest, NeedsAManager) {
    const std::string name = test_segment_name();
    Segment segment = Segment::create(name, mebibyte).value();
    Pool::format(segment, test_identity()).value();
    Segment reading = Segment::open(name, Access::read_only).value();
    Segment::remove(name);
    EXPECT_EQ(PoolReader::open(std::move(reading), test_owner()).error().code, Errc::not_attached);
}

// Whatever stands in the pool: a reader never leaves its mapping, and comes to an end.
TEST_F(ReaderTest, SurvivesGarbage) {
    Chance chance;
    constexpr std::uint64_t keys = 3000;
    for (std::uint64_t i = 0; i < keys; ++i)
        put(*pool_, numbered_key(i), std::string(i % 100, 'x')).value();
    const std::uint64_t index_root = header().index_root.load();
    const auto damage = [&](std::uint64_t from, std::uint64_t to) {
        const std::uint64_t word = from / 8 + chance.below((to - from) / 8);
        const std::uint64_t values[] = {chance.number(), ~std::uint64_t{0}, chance.below(16 * mebibyte),
                                        chance.below(16 * mebibyte) & ~std::uint64_t{63},
                                        16 * mebibyte - 16 * chance.below(8)};
        reinterpret_cast<AtomicWord*>(header_->data())[word].store(values[chance.below(5)]);
    };
    for (int round = 0; round < 3000; ++round) {
        damage(initial_directory_offset, 16 * mebibyte);
        for (int i = 0; i < 5; ++i)
            damage(first_segment_offset, mebibyte);
        if (round % 10 == 0) damage(128, 136);
        for (int i = 0; i < 10; ++i) {
            const std::string key = numbered_key(chance.below(keys));
            get(key);
            contains(key);
        }
        header().index_root.store(index_root);
    }
}

}  // namespace
}  // namespace ddict::shm
