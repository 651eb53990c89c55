// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/send_pool.h"

#include <new>

#include "base/assert.h"
#include "base/limits.h"

namespace ddict::ucx {
namespace {

constexpr std::size_t rounded_up(std::size_t bytes) {
    return (bytes + 63) / 64 * 64;
}
constexpr std::size_t small_bytes = sizeof(Transfer) + SendPool::small_header_bytes;
constexpr std::size_t large_bytes = rounded_up(sizeof(Transfer) + limits::header_bytes_max);
static_assert(small_bytes == 256);

}  // namespace

Transfer* SendPool::take(std::size_t header_bytes) {
    DDICT_ASSERT(header_bytes <= limits::header_bytes_max, "the header of a message is above the limit");
    const bool large = header_bytes > small_header_bytes;
    if (free_[large] == nullptr) grow(large);
    Transfer* transfer = free_[large];
    free_[large] = transfer->next;
    *transfer = Transfer{};
    transfer->large = large;
    return transfer;
}

void SendPool::give_back(Transfer* transfer) noexcept {
    transfer->next = free_[transfer->large];
    free_[transfer->large] = transfer;
}

void SendPool::grow(bool large) {
    const std::size_t bytes = large ? large_bytes : small_bytes;
    const std::size_t count = large ? 16 : 64;
    chunks_.push_back(std::make_unique<std::byte[]>(bytes * count));
    for (std::size_t i = count; i-- > 0;) {
        auto* transfer = new (chunks_.back().get() + i * bytes) Transfer;
        transfer->large = large;
        give_back(transfer);
    }
}

}  // namespace ddict::ucx
