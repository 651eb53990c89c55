// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What pairs take: of a dictionary with a million of them, and of pools in this process.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "base/hash.h"
#include "bench/contestants.h"
#include "bench/measure.h"
#include "bench/measured_dictionary.h"
#include "bench/memory.h"
#include "shm/pool.h"

namespace ddict::bench {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t million = 1'000'000;

std::unique_ptr<shm::Pool> make_pool(std::uint64_t bytes) {
    const std::string name = "bench-pool-" + std::to_string(::getpid());
    shm::Segment segment = shm::Segment::create(name, bytes).value();
    shm::Segment::remove(name);  // only the memory is needed
    shm::Pool::format(segment, {.dictionary_id = 1, .secret = {}, .manager = 0, .node = "here"}).value();
    return shm::Pool::attach(std::move(segment)).value();
}

/// Of this thread: what others do on the machine does not count.
Nanoseconds processor_time() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
}

/// Numbered pairs in a pool, and how long the slowest call has taken.
class Pairs {
  public:
    Pairs(shm::Pool& pool, std::size_t key_bytes) : pool_(pool), key_(key_bytes, '.') {}

    bool put(std::uint64_t number, std::span<const std::byte> value) {
        bool stored = false;
        const Bytes key = key_of(number);
        timed([&] { stored = static_cast<bool>(pool_.put({key, hash_of(key), 0, 0, value})); });
        if (stored) ++count_;
        return stored;
    }
    void erase(std::uint64_t number) {
        const Bytes key = key_of(number);
        if (!pool_.erase(key, hash_of(key))) throw std::runtime_error("a pair is lost");
    }
    /// Until one is refused. Returns how many were put.
    std::uint64_t fill(std::uint64_t first, std::span<const std::byte> value) {
        std::uint64_t count = 0;
        while (put(first + count, value))
            ++count;
        return count;
    }
    template <class Action>
    void timed(const Action& action) {
        const Nanoseconds start = processor_time();
        action();
        slowest_ = std::max(slowest_, processor_time() - start);
    }
    double slowest_us() {
        const double us = std::chrono::duration<double, std::micro>(slowest_).count();
        slowest_ = {};
        return us;
    }

  private:
    Bytes key_of(std::uint64_t number) {
        const std::string digits = std::to_string(number);
        std::copy(digits.begin(), digits.end(), key_.begin());
        std::fill(key_.begin() + static_cast<std::ptrdiff_t>(digits.size()), key_.end(), '.');
        return bytes_of(key_);
    }

    shm::Pool& pool_;
    std::string key_;
    std::uint64_t count_ = 0;
    Nanoseconds slowest_{};
};

void measure_share(std::uint64_t value_bytes, std::uint64_t seed, const Options& options, Record& record) {
    const std::uint64_t pool_bytes = value_bytes < mebibyte ? 256 * mebibyte : 1024 * mebibyte;
    const std::unique_ptr<shm::Pool> pool = make_pool(pool_bytes);
    Pairs pairs(*pool, options.workload.key_bytes);
    const std::uint64_t pair_bytes = options.workload.key_bytes + value_bytes;
    const std::vector<std::byte> value(value_bytes);
    const std::uint64_t count = pairs.fill(0, value);
    const std::uint64_t free_when_full = pool->usage().free_bytes;
    record.add("share_when_full", static_cast<double>(count * pair_bytes) / static_cast<double>(pool_bytes));
    record.add("slowest_put_us", pairs.slowest_us());

    std::mt19937_64 random(seed);
    std::vector<std::uint64_t> numbers(count);
    for (std::uint64_t i = 0; i < count; ++i)
        numbers[i] = i;
    std::shuffle(numbers.begin(), numbers.end(), random);
    for (std::uint64_t i = 0; i < count / 2; ++i)
        pairs.erase(numbers[i]);
    const shm::PoolUsage before = pool->usage();
    const std::uint64_t freed = before.free_bytes - free_when_full;
    const std::vector<std::byte> twice(2 * value_bytes);
    const std::uint64_t more = pairs.fill(count, twice);
    const std::uint64_t used = pool->usage().used_bytes - before.used_bytes;
    const shm::Compactor::Counters moved = pool->compaction();
    record.add("share_of_freed_used", static_cast<double>(used) / static_cast<double>(freed));
    record.add("slowest_put_with_moves_us", pairs.slowest_us());
    record.add("moved_pairs_per_put", static_cast<double>(moved.moved_pairs) / static_cast<double>(more));
    record.add("moved_bytes_per_byte_put", static_cast<double>(moved.moved_bytes) /
                                               static_cast<double>(std::max<std::uint64_t>(used, 1)));
}

void measure_pauses(const Options& options, Record& record) {
    const std::unique_ptr<shm::Pool> pool = make_pool(256 * mebibyte);
    const std::uint64_t used_before = pool->usage().used_bytes;
    Pairs pairs(*pool, options.workload.key_bytes);
    const std::vector<std::byte> value(8);
    for (std::uint64_t i = 0; i < million; ++i)
        if (!pairs.put(i, value)) throw std::runtime_error("a pool of 256 MiB does not hold a million pairs");
    const shm::PoolUsage usage = pool->usage();
    record.add("pool_bytes_per_pair", static_cast<double>(usage.used_bytes - used_before) / million);
    record.add("index_bytes_per_pair", static_cast<double>(usage.index_bytes) / million);
    record.add("slowest_put_us", pairs.slowest_us());
    pairs.timed([&] { pool->clear(); });
    record.add("clear_us", pairs.slowest_us());
}

/// With everything: what of the pool is used, and all that the manager has besides.
void measure_manager(const Options& given, Record& record) {
    Options options = given;
    options.workload.pairs = million;
    options.value_bytes = {8};
    MeasuredDictionary dictionary(options, 1);
    const pid_t pid = dictionary.managers().front().pid;
    const auto used = [&] { return dictionary.managers_now().front().used_bytes; };
    const ProcessMemory empty = memory_of(pid);
    const std::uint64_t used_empty = used();
    const Workload workload(options.workload);
    DictionaryClients(dictionary, workload, 1).fill(8);
    const ProcessMemory full = memory_of(pid);
    record.transport = dictionary.transport();
    record.add("bytes_per_pair", static_cast<double>(used() + full.others) / million);
    record.add("bytes_per_pair_beyond_empty",
               static_cast<double>(used() - used_empty + full.others - std::min(empty.others, full.others)) /
                   million);
    record.add("manager_empty_mib", static_cast<double>(empty.others) / mebibyte);
    record.add("manager_full_mib", static_cast<double>(full.others) / mebibyte);
    dictionary.destroy();
}

}  // namespace

std::vector<Record> measure_memory(const Options& options, Progress& progress) {
    std::vector<Record> records;
    const auto repeat = [&](std::string op, std::uint64_t bytes, std::uint64_t managers,
                            const auto& measure) {
        Record& record = records.emplace_back();
        record.op = std::move(op);
        record.bytes = bytes;
        record.key_bytes = options.workload.key_bytes;
        record.clients = 1;
        record.managers = managers;
        progress.repeat(record.op + ", " + std::to_string(bytes) + " bytes: ", options.effort.repetitions,
                        [&](unsigned i) { measure(i, record); });
    };
    repeat("manager_memory", 8, 1, [&](unsigned, Record& record) { measure_manager(options, record); });
    repeat("million_pairs", 8, 0, [&](unsigned, Record& record) { measure_pauses(options, record); });
    for (const std::uint64_t bytes : {std::uint64_t{8}, std::uint64_t{8192}, mebibyte}) {
        repeat("pool_share", bytes, 0, [&](unsigned i, Record& record) {
            measure_share(bytes, options.workload.seed + i, options, record);
        });
    }
    return records;
}

}  // namespace ddict::bench
