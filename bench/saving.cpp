// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Saving to a folder and loading from it, beside the same bytes written as dd conv=fsync does it, and copied
// in memory; in turns, so that all meet the same hour of the disk.
#include <ddict/batch.h>
#include <ddict/checkpoint.h>
#include <ddict/dictionary.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

#include "bench/measure.h"
#include "bench/saved_files.h"
#include "bench/workload.h"
#include "os/file_descriptor.h"

namespace ddict::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t pair_overhead_bytes = 256;

double seconds_of(const std::function<void()>& work) {
    const Clock::time_point start = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Memory that has been touched.
class Memory {
  public:
    explicit Memory(std::size_t bytes) : bytes_(bytes) {
        at_ =
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (at_ == MAP_FAILED) throw std::runtime_error("no memory for a copy of all pairs");
    }
    ~Memory() { ::munmap(at_, bytes_); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    std::byte* at() const { return static_cast<std::byte*>(at_); }

  private:
    void* at_;
    const std::size_t bytes_;
};

void fill(const Dictionary& dictionary, const Workload& workload, std::uint64_t value_bytes) {
    std::vector<std::byte> value = Workload::value_letters(value_bytes);
    for (std::uint64_t pair = 0; pair < workload.pairs(); ++pair) {
        Workload::stamp(value, pair);
        dictionary.put(workload.key(pair), value);
    }
}

/// Ends the dictionary whatever happens.
class Owned {
  public:
    Owned(std::uint32_t managers, std::uint64_t bytes)
        : dictionary(
              Dictionary::create({.managers_per_node = managers, .total_mem = bytes, .name = "bench"})) {}
    ~Owned() { static_cast<void>(dictionary.try_destroy()); }
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    Dictionary dictionary;
};

/// Into a fresh dictionary.
double load_seconds(const CheckpointInfo& info, std::uint32_t managers, std::uint64_t total_bytes,
                    bool exclusive) {
    const Owned fresh(managers, total_bytes);
    const double seconds = seconds_of([&] { fresh.dictionary.load(info.path, {.exclusive = exclusive}); });
    if (fresh.dictionary.size() != info.pairs) throw std::runtime_error("not all pairs were loaded");
    return seconds;
}

/// Into shared memory as fresh as a pool's: it is reserved, and this process has not used it yet.
double copy_into_fresh_seconds(const Memory& from, std::uint64_t bytes) {
    const os::FileDescriptor file(::memfd_create("ddict-bench", MFD_CLOEXEC));
    if (!file.is_open() || ::ftruncate(file.fd(), static_cast<off_t>(bytes)) != 0 ||
        ::posix_fallocate(file.fd(), 0, static_cast<off_t>(bytes)) != 0)
        throw std::runtime_error("no memory for a copy of all pairs");
    void* const to = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0);
    if (to == MAP_FAILED) throw std::runtime_error("no memory for a copy of all pairs");
    const double seconds = seconds_of([&] { std::memcpy(to, from.at(), bytes); });
    const bool good = std::memcmp(to, from.at(), bytes) == 0;
    ::munmap(to, bytes);
    if (!good) throw std::runtime_error("the copy is wrong");
    return seconds;
}

void once(const Owned& full, std::uint64_t total_bytes, const OwnFolder& folder, Record& record) {
    const auto managers = static_cast<std::uint32_t>(record.managers);
    CheckpointInfo info;
    const double save = seconds_of([&] { info = full.dictionary.save(folder.path().string()); });
    const double write = seconds_of([&] { write_and_sync(folder.path() / "written", info.bytes); });
    const double load = load_seconds(info, managers, total_bytes, false);
    const double alone = load_seconds(info, managers, total_bytes, true);
    double copy = 0;
    double copy_into_fresh = 0;
    {
        const Memory from(info.bytes);
        const Memory to(info.bytes);
        copy = seconds_of([&] { std::memcpy(to.at(), from.at(), info.bytes); });
        if (std::memcmp(to.at(), from.at(), info.bytes) != 0) throw std::runtime_error("the copy is wrong");
        copy_into_fresh = copy_into_fresh_seconds(from, info.bytes);
    }
    Checkpoints::remove(info.path).value();
    const double gigabytes = static_cast<double>(info.bytes) / 1e9;
    const double million_pairs = static_cast<double>(info.pairs) / 1e6;
    record.add("save_gb_per_second", gigabytes / save);
    record.add("write_fsync_gb_per_second", gigabytes / write);
    record.add("save_ratio_to_write", write / save);
    record.add("save_million_pairs_per_second", million_pairs / save);
    record.add("load_gb_per_second", gigabytes / load);
    record.add("memcpy_gb_per_second", gigabytes / copy);
    record.add("memcpy_into_fresh_gb_per_second", gigabytes / copy_into_fresh);
    record.add("load_ratio_to_memcpy", copy / load);
    record.add("load_ratio_to_memcpy_into_fresh", copy_into_fresh / load);
    record.add("load_million_pairs_per_second", million_pairs / load);
    record.add("exclusive_load_gb_per_second", gigabytes / alone);
    record.add("exclusive_load_ratio_to_memcpy", copy / alone);
    record.add("exclusive_load_ratio_to_memcpy_into_fresh", copy_into_fresh / alone);
    record.add("exclusive_load_million_pairs_per_second", million_pairs / alone);
}

}  // namespace

std::vector<Record> measure_saving(const Options& options, Progress& progress) {
    std::vector<Record> records;
    const OwnFolder folder(options.save);
    for (const std::uint32_t managers : options.managers) {
        for (const std::uint64_t value_bytes : options.value_bytes) {
            const Workload workload(options.workload);
            Record& record = records.emplace_back();
            record.op = "save of " + std::to_string(workload.pairs()) + " values of " +
                        std::to_string(value_bytes) + " bytes";
            record.bytes = value_bytes;
            record.key_bytes = workload.key_bytes();
            record.clients = 1;
            record.managers = managers;
            record.transport = "memory";
            const std::uint64_t total_bytes =
                2 * workload.pairs() * (value_bytes + workload.key_bytes() + pair_overhead_bytes) +
                (std::uint64_t{4} << 20) * managers;
            const Owned full(managers, total_bytes);
            fill(full.dictionary, workload, value_bytes);
            progress.repeat(record.op + ": ", options.effort.repetitions,
                            [&](unsigned) { once(full, total_bytes, folder, record); });
        }
    }
    return records;
}

}  // namespace ddict::bench
