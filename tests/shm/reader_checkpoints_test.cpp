// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Readers of a pool whose keys have versions, beside the writer: what they see at a checkpoint that nobody
// writes at any more never changes, until it is retired.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <thread>

#include "shm/pool_walk.h"
#include "shm/reader.h"
#include "tests/shm/chance.h"
#include "tests/shm/string_sink.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t working_set = 4;
constexpr std::uint32_t keys = 300;
constexpr std::uint32_t all_erased_every = 53;

/// What a writer does with this key at this checkpoint: always the same.
enum class Deed { nothing, put, erase };
Deed deed_of(std::uint32_t key, std::uint32_t checkpoint) {
    const std::uint64_t mixed = (std::uint64_t{key} * 0x9e37'79b9'7f4a'7c15U) ^ (checkpoint * 0xc2b2'ae35U);
    const std::uint64_t chance = (mixed ^ (mixed >> 29)) * 0xbf58'476d'1ce4'e5b9U >> 56;
    return chance < 90 ? Deed::put : chance < 120 ? Deed::erase : Deed::nothing;
}

std::string written_at(std::uint32_t key, std::uint32_t checkpoint) {
    const std::string text = std::to_string(key) + "@" + std::to_string(checkpoint) + " ";
    const std::size_t bytes = key % 7 == 0 ? 5000 : 20 + key % 90;
    std::string value;
    while (value.size() < bytes)
        value += text;
    return value;
}

/// At each checkpoint in which it was done.
std::string seen_at(std::uint32_t key, std::uint32_t checkpoint) {
    for (std::uint32_t at = checkpoint;; --at) {
        const Deed deed = deed_of(key, at);
        if (deed == Deed::put) return written_at(key, at);
        if (deed == Deed::erase || at == 0 || at % all_erased_every == 0) return {};
    }
}

class ReaderCheckpointsTest : public testing::Test {
  protected:
    void SetUp() override {
        Segment segment = Segment::create(name_, 8 << 20).value();
        Pool::format(segment, test_identity(), {.size = working_set}).value();
        pool_ = Pool::attach(std::move(segment)).value();
        const PoolIdentity& identity = pool_->identity();
        const PoolOwner owner{
            .dictionary_id = identity.dictionary_id, .secret = identity.secret, .manager = identity.manager};
        reader_ = PoolReader::open(Segment::open(name_, Access::read_only).value(), owner).value();
        Segment::remove(name_);
        write(0);
    }
    void write(std::uint32_t checkpoint) {
        pool_->advance(checkpoint);
        const bool plain = !pool_->checkpoints().in_use();
        if (checkpoint != 0 && checkpoint % all_erased_every == 0) pool_->clear_version(checkpoint);
        for (std::uint32_t key = 0; key < keys; ++key) {
            const std::string name = numbered_key(key);
            const KeyBytes bytes = bytes_of(name);
            if (deed_of(key, checkpoint) == Deed::put) {
                const std::string value = written_at(key, checkpoint);
                const Pair pair{
                    .key = bytes, .hash = hash_of(bytes), .checkpoint = checkpoint, .value = bytes_of(value)};
                ASSERT_TRUE(pool_->put(pair));
            } else if (deed_of(key, checkpoint) == Deed::erase && !plain) {
                static_cast<void>(pool_->erase_version(bytes, hash_of(bytes), checkpoint));
            }
            pool_->retire_some();
        }
        written_.store(checkpoint, std::memory_order_release);
    }

    std::string name_ = test_segment_name();
    std::unique_ptr<Pool> pool_;
    std::shared_ptr<const PoolReader> reader_;
    std::atomic<std::uint32_t> written_{0};  // nobody writes at this one any more
};

TEST_F(ReaderCheckpointsTest, SeeWhatTheWriterSees) {
    for (std::uint32_t checkpoint = 1; checkpoint < 120; ++checkpoint) {
        write(checkpoint);
        for (std::uint32_t at = pool_->checkpoints().oldest(); at <= checkpoint + 2; ++at) {
            std::map<std::string, std::string> wanted;
            for (std::uint32_t key = 0; key < keys; ++key) {
                const std::string name = numbered_key(key);
                const std::uint64_t hash = hash_of(bytes_of(name));
                const std::string value = seen_at(key, std::min(at, checkpoint));
                if (!value.empty()) wanted[name] = value;
                StringSink sink;
                Result<void> outcome;
                const Read read = reader_->get(bytes_of(name), hash, sink, outcome, nullptr, at);
                ASSERT_EQ(read, value.empty() ? Read::absent : Read::value) << key << " at " << at;
                ASSERT_TRUE(value.empty() || sink.value() == value);
                ASSERT_EQ(reader_->contains(bytes_of(name), hash, nullptr, at), read);
            }
            ASSERT_EQ(pool_->keys_at(at), wanted.size());
            PoolWalk walk(reader_, at);
            std::size_t walked = 0;
            while (walk.next().value()) {
                for (const PoolWalk::Found& found : walk.pairs()) {
                    const std::string name(text_of(found.pair.key));
                    ASSERT_TRUE(wanted.contains(name)) << name;
                    ASSERT_TRUE(!found.value_is_here || text_of(found.pair.value) == wanted[name]);
                    ++walked;
                }
            }
            ASSERT_EQ(walked, wanted.size());
        }
        if (const std::uint32_t oldest = pool_->checkpoints().oldest(); oldest != 0) {
            const std::string name = numbered_key(1);
            ASSERT_EQ(reader_->contains(bytes_of(name), hash_of(bytes_of(name)), nullptr, oldest - 1),
                      Read::ask);
        }
    }
}

TEST_F(ReaderCheckpointsTest, SeeNothingElseWhileItIsWritten) {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> true_reads{0};
    std::atomic<std::uint64_t> retired_reads{0};
    const auto read_some = [&](std::uint64_t seed) {
        std::mt19937_64 engine(seed);
        while (!stop.load(std::memory_order_relaxed)) {
            const std::uint32_t written = written_.load(std::memory_order_acquire);
            const auto back = static_cast<std::uint32_t>(engine() % working_set);
            const std::uint32_t at = written < back ? 0 : written - back;
            const auto key = static_cast<std::uint32_t>(engine() % keys);
            const std::string name = numbered_key(key);
            StringSink sink;
            Result<void> outcome;
            const Read read =
                reader_->get(bytes_of(name), hash_of(bytes_of(name)), sink, outcome, nullptr, at);
            if (read == Read::ask) {
                ++retired_reads;
                continue;
            }
            const std::string wanted = seen_at(key, at);
            EXPECT_EQ(read == Read::value ? sink.value() : "", wanted) << key << " at " << at;
            if (testing::Test::HasFailure()) return;
            ++true_reads;
        }
    };
    Chance chance;
    {
        std::jthread one(read_some, chance.number());
        std::jthread another(read_some, chance.number());
        const auto until = std::chrono::steady_clock::now() + 2s;
        for (std::uint32_t checkpoint = 1;
             std::chrono::steady_clock::now() < until && !testing::Test::HasFailure(); ++checkpoint)
            write(checkpoint);
        stop = true;
    }
    std::cout << true_reads << " reads, " << retired_reads << " of what was retired or is being written, "
              << written_ << " checkpoints\n";
    EXPECT_GT(true_reads.load(), 0U);
}

}  // namespace
}  // namespace ddict::shm
