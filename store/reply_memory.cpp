// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/reply_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace ddict::store {
namespace {

constexpr std::size_t batch_at = sizeof(ReplyMemoryHeader);
constexpr std::size_t erased_at = batch_at + sizeof(StatusRecord);
constexpr std::size_t sessions_at = erased_at + sizeof(ErasedRecord) * erased_records_max;
constexpr std::size_t replies_at = sessions_at + sizeof(SessionRecord) * limits::sessions_max;
constexpr std::size_t statuses_at = replies_at + sizeof(CachedReply) * limits::cached_replies_max;
constexpr std::size_t memory_bytes = statuses_at + sizeof(StatusRecord) * ReplyMemory::status_records_max;
// Of memory that is reserved at a time, at the least.
constexpr std::size_t step_bytes = std::size_t{16} << 10;
static_assert(erased_at % 64 == 0 && sessions_at % 64 == 0 && replies_at % 64 == 0 && statuses_at % 64 == 0);

}  // namespace

std::size_t ReplyMemory::bytes() noexcept {
    return memory_bytes;
}

std::size_t ReplyMemory::bytes_at_first() noexcept {
    return erased_at;
}

void ReplyMemory::Unmap::operator()(std::byte* memory) const noexcept {
    ::munmap(memory, memory_bytes);
}

ReplyMemory::ReplyMemory(std::byte* memory) noexcept
    : reserved_erased_{erased_at, sessions_at - erased_at},
      reserved_sessions_{sessions_at, replies_at - sessions_at},
      reserved_replies_{replies_at, statuses_at - replies_at},
      reserved_statuses_{statuses_at, memory_bytes - statuses_at},
      data_(memory),
      header_(reinterpret_cast<ReplyMemoryHeader*>(memory)),
      batch_(reinterpret_cast<StatusRecord*>(memory + batch_at)),
      erased_(reinterpret_cast<ErasedRecord*>(memory + erased_at)),
      sessions_(reinterpret_cast<SessionRecord*>(memory + sessions_at)),
      replies_(reinterpret_cast<CachedReply*>(memory + replies_at)),
      statuses_(reinterpret_cast<StatusRecord*>(memory + statuses_at)) {}

ReplyMemory ReplyMemory::anonymous() {
    void* mapped = ::mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    ReplyMemory memory(static_cast<std::byte*>(mapped));
    memory.memory_.reset(memory.data_);
    return memory;
}

Result<ReplyMemory> ReplyMemory::in(shm::Segment segment) {
    if (segment.size() != memory_bytes)
        return Error(Errc::protocol, segment.name() + " has " + std::to_string(segment.size()) +
                                         " bytes instead of " + std::to_string(memory_bytes));
    ReplyMemory memory(segment.data());
    memory.segment_ = std::move(segment);
    return memory;
}

Result<shm::Segment> ReplyMemory::create_segment(const std::string& name) {
    return shm::Segment::create_sparse(name, memory_bytes, bytes_at_first());
}

void ReplyMemory::suspect_interrupted() const noexcept {
    if (header_->under_way.request == 0) return;
    if (header_->under_way != header_->suspect) {
        header_->suspect_kills = 0;
        header_->suspect = header_->under_way;
    }
    end_request();  // first: at a kill in here one is counted too few
    CachedReply::keep_order();
    ++header_->suspect_kills;
}

/// In steps that grow, so that they are few.
bool ReplyMemory::reserve_more(Reserved& part, std::size_t bytes) {
    const std::size_t wanted = std::min(part.bytes_max, std::max({bytes, step_bytes, 2 * part.bytes}));
    for (const std::size_t enough : {wanted, bytes}) {
        if (segment_->reserve(part.begin + part.bytes, part.begin + enough)) {
            part.bytes = enough;
            return true;
        }
    }
    return false;
}

}  // namespace ddict::store
