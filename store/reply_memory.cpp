// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/reply_memory.h"

#include <sys/mman.h>

#include <new>

namespace ddict::store {
namespace {

constexpr std::size_t batch_at = sizeof(ReplyMemoryHeader);
constexpr std::size_t sessions_at = batch_at + sizeof(StatusRecord);
constexpr std::size_t replies_at = sessions_at + sizeof(SessionRecord) * limits::sessions_max;
constexpr std::size_t statuses_at = replies_at + sizeof(CachedReply) * limits::cached_replies_max;
constexpr std::size_t memory_bytes = statuses_at + sizeof(StatusRecord) * ReplyMemory::status_records_max;
static_assert(sessions_at % 64 == 0 && replies_at % 64 == 0 && statuses_at % 64 == 0);

}  // namespace

std::size_t ReplyMemory::bytes() noexcept {
    return memory_bytes;
}

void ReplyMemory::Unmap::operator()(std::byte* memory) const noexcept {
    ::munmap(memory, memory_bytes);
}

ReplyMemory::ReplyMemory(std::byte* memory) noexcept
    : memory_(memory),
      header_(reinterpret_cast<ReplyMemoryHeader*>(memory)),
      batch_(reinterpret_cast<StatusRecord*>(memory + batch_at)),
      sessions_(reinterpret_cast<SessionRecord*>(memory + sessions_at)),
      replies_(reinterpret_cast<CachedReply*>(memory + replies_at)),
      statuses_(reinterpret_cast<StatusRecord*>(memory + statuses_at)) {}

ReplyMemory ReplyMemory::anonymous() {
    void* memory = ::mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return ReplyMemory(static_cast<std::byte*>(memory));
}

}  // namespace ddict::store
