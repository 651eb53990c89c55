// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A writer that never stops, and readers in threads and in another process, all on the same keys. Every value
// says itself which write of which key it is, and the writer's journal says which writes a reader may have
// seen.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstring>
#include <iostream>
#include <thread>
#include <vector>

#include "shm/reader.h"
#include "tests/shm/chance.h"
#include "tests/shm/child.h"
#include "tests/shm/test_pool.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t pool_bytes = 12 << 20;  // too small for all keys at once: it is also full at times
constexpr std::uint64_t keys = 5000;
constexpr std::uint64_t staying_keys = 200;  // the first ones: erased by clear() only, and put again at once
constexpr std::uint64_t value_bytes_max = 64 << 10;
constexpr int reader_threads = 3;

/// In memory that the processes share. A write's number is twice a count, plus one if it erases.
struct Journal {
    std::array<AtomicWord, keys> started;  // the latest write of each key that a reader may see
    std::array<AtomicWord, keys> done;     // and the latest one that it cannot miss
    AtomicWord clears;                     // odd from before a clear until the staying keys are there again
    AtomicWord stop;
};

constexpr bool is_erase(std::uint64_t write) {
    return write == 0 || (write & 1) != 0;
}
constexpr std::uint64_t mixed(std::uint64_t number) {
    number = (number ^ (number >> 31)) * 0x9e37'79b9'7f4a'7c15;
    return number ^ (number >> 29);
}
/// Most are small, some large: the sizes of a log-uniform distribution, with 0 and the maximum among them.
std::size_t size_of_value(std::uint64_t key, std::uint64_t write) {
    const std::uint64_t random = mixed(key << 32 ^ write);
    const std::uint64_t end = std::uint64_t{1} << (random % 18);
    return static_cast<std::size_t>(std::min((random >> 20) % (end + 1), value_bytes_max));
}
void fill(std::span<std::byte> value, std::uint64_t key, std::uint64_t write) {
    const std::uint64_t first = mixed(write << 16 ^ key);
    for (std::size_t i = 0; i < value.size(); i += 8) {
        const std::uint64_t word = first + i;
        std::memcpy(value.data() + i, &word, std::min<std::size_t>(8, value.size() - i));
    }
}

class Writer {
  public:
    Writer(Segment segment, Journal& journal, std::uint64_t seed)
        : pool_(Pool::attach(std::move(segment)).value()), journal_(journal), engine_(seed) {}

    void run(std::chrono::steady_clock::time_point end) {
        put_staying_keys();
        journal_.clears.fetch_add(1);
        // The clock only now and then: the writer is to write.
        while (std::chrono::steady_clock::now() < end) {
            for (int i = 0; i < 500; ++i)
                step();
        }
    }
    std::uint64_t writes() const { return writes_; }
    std::uint64_t refused() const { return refused_; }
    std::uint64_t splits() const { return pool_->growth().splits; }
    std::uint64_t moved() const { return pool_->compaction().moved_pairs; }
    std::string inconsistency() const { return pool_->inconsistency(); }

  private:
    void step() {
        const std::uint64_t chance = engine_() % 20'000;
        if (chance == 0) return clear();
        // Some keys are much sought after, so that readers and the writer meet.
        const std::uint64_t key = engine_() % (chance % 2 == 0 ? keys : staying_keys + 50);
        if (chance % 5 == 1 && key >= staying_keys) return erase(key);
        put(key);
    }
    std::uint64_t begin(std::uint64_t key, bool erases) {
        const std::uint64_t write = 2 * ++writes_ + (erases ? 1 : 0);
        journal_.started[key].store(write);
        return write;
    }
    bool put(std::uint64_t key) {
        const std::uint64_t write = begin(key, false);
        const std::string name = numbered_key(key);
        const std::span value(value_.data(), size_of_value(key, write));
        fill(value, key, write);
        const Result<void> stored = pool_->put(
            {bytes_of(name), hash_of(bytes_of(name)), static_cast<std::uint16_t>(write), 0, value});
        if (stored) {
            journal_.done[key].store(write);
        } else {
            ++refused_;
            journal_.started[key].store(journal_.done[key].load());
        }
        return static_cast<bool>(stored);
    }
    void erase(std::uint64_t key) {
        const std::uint64_t write = begin(key, true);
        shm::erase(*pool_, numbered_key(key));
        journal_.done[key].store(write);
    }
    void clear() {
        journal_.clears.fetch_add(1);
        for (std::uint64_t key = 0; key < keys; ++key)
            begin(key, true);
        pool_->clear();
        for (std::uint64_t key = 0; key < keys; ++key)
            journal_.done[key].store(journal_.started[key].load());
        put_staying_keys();
        journal_.clears.fetch_add(1);
    }
    void put_staying_keys() {
        for (std::uint64_t key = 0; key < staying_keys; ++key)
            ASSERT_TRUE(put(key)) << "the pool is empty: there is space";
    }

    std::unique_ptr<Pool> pool_;
    Journal& journal_;
    std::mt19937_64 engine_;
    std::vector<std::byte> value_ = std::vector<std::byte>(value_bytes_max);
    std::uint64_t writes_ = 0;
    std::uint64_t refused_ = 0;
};

class CountingSink final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        ++prepared;
        type = value_type;
        // The space lies at the end, so that the address sanitizer sees a copy that is too long.
        buffer = bytes <= value_bytes_max ? std::span(memory).last(bytes) : std::span<std::byte>();
        if (bytes > value_bytes_max) return Error(Errc::too_large, "a size that no value has");
        return buffer;
    }
    std::vector<std::byte> memory = std::vector<std::byte>(value_bytes_max);
    std::span<std::byte> buffer;
    std::uint16_t type = 0;
    unsigned prepared = 0;
};

class Reader {
  public:
    Reader(std::shared_ptr<const PoolReader> pool, const Journal& journal, std::uint64_t seed)
        : pool_(std::move(pool)), journal_(journal), engine_(seed) {}

    /// Until it is told to stop, or something is wrong.
    void run() {
        while (journal_.stop.load() == 0 && wrong_.empty())
            read(engine_() % (engine_() % 2 == 0 ? keys : staying_keys + 50));
    }
    const std::string& wrong() const { return wrong_; }
    std::string summary() const {
        return std::to_string(values_) + " values, " + std::to_string(absent_) + " absent, " +
               std::to_string(asks_) + " to be asked for";
    }
    bool did_its_part() const { return values_ > asks_ && absent_ > 0; }

  private:
    void read(std::uint64_t key) {
        const std::string name = numbered_key(key);
        const std::uint64_t hash = hash_of(bytes_of(name));
        const std::uint64_t clears = journal_.clears.load();
        const std::uint64_t before = journal_.done[key].load();
        Result<void> outcome;
        sink_.prepared = 0;
        const bool whole = engine_() % 8 != 0;
        const Read came_to =
            whole ? pool_->get(bytes_of(name), hash, sink_, outcome) : pool_->contains(bytes_of(name), hash);
        const std::uint64_t after = journal_.started[key].load();
        const bool cleared = (clears & 1) != 0 || journal_.clears.load() != clears;
        const auto complain = [&](const std::string& what) {
            wrong_ = "key " + std::to_string(key) + ": " + what + "; done before " + std::to_string(before) +
                     ", started after " + std::to_string(after);
        };
        if (!outcome) return complain(outcome.error().message());
        if (sink_.prepared > 32) return complain("an endless retry");
        switch (came_to) {
            case Read::ask:
                ++asks_;
                return;
            case Read::absent:
                ++absent_;
                if (before == after && !is_erase(before)) return complain("is lost");
                if (key < staying_keys && !cleared) return complain("is lost, though it is never erased");
                return;
            case Read::value:
                ++values_;
                if (before == after && is_erase(before)) return complain("is still there");
                if (whole) check_value(key, before, after, complain);
                return;
        }
    }
    template <class Complain>
    void check_value(std::uint64_t key, std::uint64_t before, std::uint64_t after, const Complain& complain) {
        // The type has the lower bits of it: enough, unless the reader was held up for long.
        if (after - before > 0xffff) return;
        const std::uint64_t write = before + static_cast<std::uint16_t>(sink_.type - before);
        if (write < before || write > after || is_erase(write))
            return complain("is of the write " + std::to_string(write));
        if (sink_.buffer.size() != size_of_value(key, write)) return complain("has another's size");
        fill(std::span(expected_).first(sink_.buffer.size()), key, write);
        if (!std::equal(sink_.buffer.begin(), sink_.buffer.end(), expected_.begin()))
            return complain("is torn");
    }

    std::shared_ptr<const PoolReader> pool_;
    const Journal& journal_;
    std::mt19937_64 engine_;
    CountingSink sink_;
    std::vector<std::byte> expected_ = std::vector<std::byte>(value_bytes_max);
    std::string wrong_;
    std::uint64_t values_ = 0;
    std::uint64_t absent_ = 0;
    std::uint64_t asks_ = 0;
};

std::chrono::seconds duration() {
    const char* given = std::getenv("DDICT_TEST_SOAK_SECONDS");
    return std::chrono::seconds(given != nullptr ? std::max(1, std::atoi(given)) : 3);
}

TEST(ReaderSoakTest, NothingTornNothingLostNothingElse) {
    Chance chance;
    const Segment journal_memory = nameless_segment(sizeof(Journal));
    auto& journal = *reinterpret_cast<Journal*>(journal_memory.data());
    journal.clears.store(1);
    const std::string name = test_segment_name();
    Segment segment = Segment::create(name, pool_bytes).value();
    const PoolIdentity identity = test_identity();
    Pool::format(segment, identity).value();
    Writer writer(std::move(segment), journal, chance.number());
    std::vector<Segment> mappings;
    for (int i = 0; i <= reader_threads; ++i)
        mappings.push_back(Segment::open(name, Access::read_only).value());
    Segment::remove(name);
    std::vector<Reader> readers;
    for (Segment& mapping : mappings) {
        readers.emplace_back(PoolReader::open(std::move(mapping), {.dictionary_id = identity.dictionary_id,
                                                                   .secret = identity.secret,
                                                                   .manager = identity.manager})
                                 .value(),
                             journal, chance.number());
    }
    Child process([&](int) -> int {
        Reader& reader = readers.back();
        reader.run();
        std::cout << "another process: " << reader.summary() << std::endl;
        if (!reader.wrong().empty()) std::cerr << "another process: " << reader.wrong() << std::endl;
        return reader.wrong().empty() && reader.did_its_part() ? 0 : 1;
    });
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < reader_threads; ++i)
        threads.emplace_back([&readers, i] { readers[i].run(); });

    writer.run(std::chrono::steady_clock::now() + duration());
    journal.stop.store(1);
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(process.wait(), 0);
    for (std::size_t i = 0; i < reader_threads; ++i) {
        EXPECT_EQ(readers[i].wrong(), "");
        EXPECT_TRUE(readers[i].did_its_part());
        std::cout << "thread " << i << ": " << readers[i].summary() << "\n";
    }
    std::cout << writer.writes() << " writes, " << writer.refused() << " refused, " << writer.splits()
              << " splits, " << journal.clears.load() / 2 << " clears, " << writer.moved()
              << " pairs moved\n";
    EXPECT_GT(writer.splits(), 0U);
    EXPECT_GT(writer.moved(), 0U);
    EXPECT_GT(journal.clears.load(), 0U);
    EXPECT_EQ(writer.inconsistency(), "");
}

}  // namespace
}  // namespace ddict::shm
