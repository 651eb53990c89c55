// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "transport/early_bytes.h"

#include <utility>

namespace ddict::transport {

bool EarlyBytes::keep(std::uint64_t position, Bytes bytes) {
    if (pieces_.contains(position)) return true;
    if (memory_ + piece_overhead + bytes.size() > memory_max_) return false;
    const auto piece = pieces_.try_emplace(position, bytes.begin(), bytes.end()).first;
    memory_ += memory_of(piece->second);
    return true;
}

std::vector<std::byte> EarlyBytes::take(std::uint64_t position) {
    while (!pieces_.empty() && pieces_.begin()->first < position)
        remove(pieces_.begin());
    if (pieces_.empty() || pieces_.begin()->first != position) return {};
    return remove(pieces_.begin());
}

std::vector<std::byte> EarlyBytes::remove(Pieces::iterator piece) {
    memory_ -= memory_of(piece->second);
    std::vector<std::byte> bytes = std::move(piece->second);
    pieces_.erase(piece);
    return bytes;
}

}  // namespace ddict::transport
