// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The least that two processes can do to speak with each other: one stores a number in a cache line that both
// look at, the other answers in a second one. Who waits polls, and yields its processor now and then, since
// the other may need it. What any exchange through shared memory costs at least, also where there are more
// processes than processors.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "bench/shared_memory.h"
#include "bench/team.h"

namespace ddict::bench {

/// Of one that asks and one that answers.
struct Flags {
    alignas(64) std::atomic<std::uint64_t> request;
    alignas(64) std::atomic<std::uint64_t> reply;
};

/// In a team of 2N, members 0 to N-1 answer, and the others ask one of them after the other, chosen at
/// random.
class FlagPeer final : public Role {
  public:
    /// `flags`: of N times N.
    FlagPeer(const SharedArray<Flags>& flags, unsigned member, unsigned members)
        : flags_(flags), member_(member), half_(members / 2) {}

    void prepare(const Phase& phase) override;
    std::string run(const Phase& phase, Tally& tally) override;

  private:
    Flags& between(unsigned asking, unsigned answering) const {
        return flags_[std::size_t{answering} * half_ + asking];
    }
    void ask(std::uint64_t rounds, bool each, Tally& tally);
    void answer();

    const SharedArray<Flags>& flags_;
    unsigned member_;
    unsigned half_;
};

}  // namespace ddict::bench
