// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The memory of the process at the other end, from which large payloads are copied without a stop on the way.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/bytes.h"
#include "samehost/channel.h"

namespace ddict::samehost {

struct RemotePart {
    std::uint64_t address = 0;  // in the peer
    std::uint64_t bytes = 0;
};

class PeerMemory {
  public:
    /// `peer` as this process sees it; 0 if it does not. `facts` are the peer's, and must outlive this.
    PeerMemory(pid_t peer, const EndFacts& facts) : peer_(peer), facts_(facts) {}

    enum class Outcome {
        done,
        not_there,     ///< the process has no such memory: it has ended, or says what is not so
        not_permitted  ///< the kernel does not let this process, or it cannot see the other
    };
    /// Copies from the peer's memory: at most limits::value_parts_max parts, as many bytes as there is
    /// memory. Cost: one system call, and the copy.
    Outcome read(std::span<const RemotePart> from, MutableBytes into, MutableBytes rest) noexcept;
    /// Not after it was not permitted once. Cost: a system call, where nothing has been read so far.
    bool may_be_read() noexcept { return permitted_ && (was_read_ || try_to_read()); }

  private:
    bool try_to_read() noexcept;

    pid_t peer_;
    const EndFacts& facts_;
    bool permitted_ = true;
    bool was_read_ = false;
};

}  // namespace ddict::samehost
