// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The checksum of what is written to files: XXH3, 64 bits, no seed. It finds damage, not forgery.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/hash.h"

namespace ddict {

inline std::uint64_t checksum_of(Bytes bytes) noexcept {
    return hash_of(bytes);
}

/// The same of bytes that come in pieces.
class Checksum {
  public:
    Checksum() noexcept { reset(); }
    void reset() noexcept { XXH3_64bits_reset(&state_); }
    void add(Bytes bytes) noexcept { XXH3_64bits_update(&state_, bytes.data(), bytes.size()); }
    std::uint64_t value() const noexcept { return XXH3_64bits_digest(&state_); }

  private:
    XXH3_state_t state_;
};

}  // namespace ddict
