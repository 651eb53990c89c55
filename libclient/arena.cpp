// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/batch.h>
#include <ddict/codec.h>

#include <algorithm>
#include <new>

namespace ddict::detail {

/// The first bytes of a piece of memory; what is left of it follows.
struct Arena::Chunk {
    Chunk* before;
};

Arena::~Arena() {
    while (last_ != nullptr)
        ::operator delete(std::exchange(last_, last_->before));
}

std::span<const std::byte> Arena::copy(std::span<const std::byte> bytes) {
    if (bytes.empty()) return {};
    if (!can_be_read(bytes)) return bytes;  // the put refuses it
    if (left_.size() < bytes.size()) {
        const std::size_t size = std::max(bytes.size(), std::size_t{64 * 1024});
        last_ = new (::operator new(sizeof(Chunk) + size)) Chunk{last_};
        left_ = std::span(reinterpret_cast<std::byte*>(last_ + 1), size);
    }
    std::copy(bytes.begin(), bytes.end(), left_.begin());
    const std::span<const std::byte> copied = left_.first(bytes.size());
    left_ = left_.subspan(bytes.size());
    return copied;
}

}  // namespace ddict::detail
