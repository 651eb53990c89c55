// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/read_counts.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "base/assert.h"
#include "shm/block.h"
#include "shm/directory_segment.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t line_bytes = 64;
constexpr std::uint64_t users_bytes = sizeof(std::uint32_t) * read_columns;
static_assert(users_bytes % line_bytes == 0);
// After which a thread shares a column with whoever takes it at the same moment.
constexpr unsigned attempts_max = 16;
// By which no honest count grows between two looks.
constexpr std::uint64_t growth_max = std::uint64_t{1} << 48;

constexpr std::uint64_t column_bytes_for(std::uint32_t local_managers) noexcept {
    return align_up(sizeof(AtomicWord) * std::uint64_t{local_managers}, line_bytes);
}

}  // namespace

std::uint64_t read_counts_bytes(std::uint32_t local_managers) noexcept {
    return align_up(users_bytes + read_columns * column_bytes_for(local_managers), page_bytes);
}

Result<ReadCounts> ReadCounts::open(const DirectorySegment& directory) {
    Result<SegmentPart> part =
        SegmentPart::open(directory.name(), directory.read_counts_offset(), directory.read_counts().size());
    if (!part) return part.error();
    return ReadCounts(*std::move(part), column_bytes_for(directory.identity().local_managers));
}

std::atomic<std::uint32_t>& ReadCounts::users(std::uint32_t column) const noexcept {
    return reinterpret_cast<std::atomic<std::uint32_t>*>(part_.data())[column];
}

AtomicWord* ReadCounts::take_column() noexcept {
    std::uint32_t taken = 0;
    for (unsigned attempt = 0; attempt < attempts_max; ++attempt) {
        std::uint32_t fewest = std::numeric_limits<std::uint32_t>::max();
        for (std::uint32_t column = 0; column < read_columns; ++column) {
            const std::uint32_t known = users(column).load(std::memory_order_relaxed);
            if (known >= fewest) continue;
            fewest = known;
            taken = column;
        }
        if (fewest == std::numeric_limits<std::uint32_t>::max()) break;  // nonsense, but not ours
        if (users(taken).compare_exchange_strong(fewest, fewest + 1, std::memory_order_relaxed)) break;
    }
    return reinterpret_cast<AtomicWord*>(part_.data() + users_bytes + taken * column_bytes_);
}

void ReadCounts::release(const AtomicWord* column) noexcept {
    const auto from_start =
        static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(column) - part_.data());
    std::atomic<std::uint32_t>& of_column =
        users(static_cast<std::uint32_t>((from_start - users_bytes) / column_bytes_));
    std::uint32_t known = of_column.load(std::memory_order_relaxed);
    while (known != 0 && !of_column.compare_exchange_weak(known, known - 1, std::memory_order_relaxed)) {
    }
}

ReadTotal::ReadTotal(const DirectorySegment& directory, std::uint32_t manager)
    : column_bytes_(column_bytes_for(directory.identity().local_managers)) {
    const std::uint32_t place = manager - directory.identity().first_local_manager;
    DDICT_ASSERT(place < directory.identity().local_managers, "the manager is of the directory's node");
    first_ = directory.read_counts().data() + users_bytes + sizeof(AtomicWord) * place;
    for (std::uint32_t column = 0; column < read_columns; ++column)
        seen_[column] = count(column).load(std::memory_order_relaxed);
}

const AtomicWord& ReadTotal::count(std::uint32_t column) const noexcept {
    return *reinterpret_cast<const AtomicWord*>(first_ + column * column_bytes_);
}

std::uint64_t ReadTotal::advance() noexcept {
    for (std::uint32_t column = 0; column < read_columns; ++column) {
        const std::uint64_t now = count(column).load(std::memory_order_relaxed);
        const std::uint64_t growth = now - seen_[column];  // one that has shrunk has grown by far too much
        seen_[column] = now;
        if (growth < growth_max) total_ = std::min(total_ + growth, reads_max);
    }
    return total_;
}

}  // namespace ddict::shm
