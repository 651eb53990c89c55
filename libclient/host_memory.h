// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Refuses the memory of a GPU, which the processor cannot read: without this a put from there, or a get into
// it, would be a SIGSEGV. Neither CUDA nor ROCm is linked, or asked: where a library of theirs is loaded, the
// kernel is asked whether the first byte can be read (docs/decisions/0029-memory-of-a-gpu-is-refused.md).
//
// Threads: any. Cost: while no such library is loaded, a count per call, and every few calls, or every few
// milliseconds, a look at the clock and at how many libraries there are.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/host_memory.h"

namespace ddict::client {

class GpuWatch {
  public:
    /// Sets memory_probe as soon as the library of a GPU is loaded. `now`: of the coarse clock.
    static void look(std::chrono::steady_clock::time_point now) noexcept;
    /// The same now and then, for what is called often.
    static void look_at_times() noexcept {
        if (calls_until_look_ == 0) return look_at_clock();
        --calls_until_look_;
    }

  private:
    // How many calls a thread may make before it looks at the clock, when it calls often.
    static constexpr unsigned calls_between_looks = 16;
    static void look_at_clock() noexcept;

    static inline constinit thread_local unsigned calls_until_look_ = 0;
};

/// Whether memory of the caller's can be read: to be asked before it is; no_host_memory_to_send() if not.
inline bool can_be_sent(Bytes memory) noexcept {
    GpuWatch::look_at_times();
    return is_host_memory(memory);
}
inline bool can_be_sent(Parts parts) noexcept {
    return std::all_of(parts.begin(), parts.end(), [](Bytes part) { return can_be_sent(part); });
}

}  // namespace ddict::client
