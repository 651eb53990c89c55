// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a manager says of its checkpoints (Verb::checkpoints) to who persists one after the other.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/limits.h"

namespace ddict::wire {

/// How long a manager holds a checkpoint for a persister that says nothing any more.
inline constexpr std::chrono::seconds hold_time{5};

/// Of a reply to Verb::checkpoints; argument2 holds it, beside the oldest id.
struct CheckpointsReply {
    std::uint32_t newest = 0;
    std::uint32_t oldest = 0;       // that is kept
    std::uint32_t working_set = 1;  // how many checkpoints it keeps
    // Of a request that asks to hold one: the only one that there was when all began anew, if that is known.
    std::optional<std::uint32_t> first{};
    // Of the checkpoint that it asks to hold:
    bool was_closed = false;  // it was held, and closed, when the request came
    bool may_retire = false;  // nobody waits for anything there: newer ones might retire it

    std::uint64_t argument() const noexcept {
        return newest | (first ? (std::uint64_t{*first} + 1) << 32 : 0);
    }
    std::uint64_t argument2() const noexcept {
        return oldest | std::uint64_t{working_set} << size_shift | (was_closed ? closed_bit : 0) |
               (may_retire ? retire_bit : 0);
    }
    static CheckpointsReply of(std::uint64_t argument, std::uint64_t argument2) noexcept {
        const auto began = static_cast<std::uint32_t>(argument >> 32);
        return {.newest = static_cast<std::uint32_t>(argument) & limits::newest_checkpoint,
                .oldest = static_cast<std::uint32_t>(argument2) & limits::newest_checkpoint,
                .working_set = static_cast<std::uint32_t>(argument2 >> size_shift & 0xff),
                .first = began == 0 ? std::nullopt : std::optional(began - 1),
                .was_closed = (argument2 & closed_bit) != 0,
                .may_retire = (argument2 & retire_bit) != 0};
    }

  private:
    static constexpr unsigned size_shift = 32;
    static constexpr std::uint64_t closed_bit = std::uint64_t{1} << 40;
    static constexpr std::uint64_t retire_bit = std::uint64_t{1} << 41;
};

}  // namespace ddict::wire
