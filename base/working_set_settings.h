// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace ddict {

/// What a dictionary was started with: the checkpoints that its managers keep in memory, and what the oldest
/// of them waits for before it is retired. One number, wherever it is stored.
struct WorkingSetSettings {
    std::uint32_t size = 1;          // checkpoints
    bool waits_for_keys = false;     // each key of it that does not persist has been written at the next
    bool waits_for_writers = false;  // each that has written at it has come to a later one

    bool waits() const noexcept { return waits_for_keys || waits_for_writers; }
    constexpr std::uint32_t packed() const noexcept {
        return size | (waits_for_keys ? keys_bit : 0) | (waits_for_writers ? writers_bit : 0);
    }
    static constexpr WorkingSetSettings of(std::uint32_t packed) noexcept {
        return {.size = packed & size_mask,
                .waits_for_keys = (packed & keys_bit) != 0,
                .waits_for_writers = (packed & writers_bit) != 0};
    }
    friend bool operator==(const WorkingSetSettings&, const WorkingSetSettings&) = default;

  private:
    static constexpr std::uint32_t size_mask = 0xff;
    static constexpr std::uint32_t keys_bit = 0x100;
    static constexpr std::uint32_t writers_bit = 0x200;
};

}  // namespace ddict
