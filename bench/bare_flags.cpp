// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/bare_flags.h"

#include <sched.h>

#include <random>
#include <vector>

#include "bench/repeat.h"

namespace ddict::bench {
namespace {

constexpr std::uint64_t polls_before_yields = 64;
/// From one that asks: it asks for nothing more in this phase.
constexpr std::uint64_t goodbye = ~std::uint64_t{0};

class Backoff {
  public:
    void wait() {
        if (++polls_ > polls_before_yields) ::sched_yield();
    }

  private:
    std::uint64_t polls_ = 0;
};

}  // namespace

void FlagPeer::prepare(const Phase&) {
    for (unsigned other = 0; member_ < half_ && other < half_; ++other) {
        between(other, member_).request.store(0);
        between(other, member_).reply.store(0);
    }
}

std::string FlagPeer::run(const Phase& phase, Tally& tally) {
    if (member_ < half_) {
        answer();
    } else {
        ask(phase.operations, phase.each, tally);
    }
    return {};
}

void FlagPeer::ask(std::uint64_t rounds, bool each, Tally& tally) {
    const unsigned self = member_ - half_;
    std::minstd_rand random(self + 1);
    std::vector<std::uint64_t> asked(half_, 0);
    repeat(rounds, each, 1, tally, [&] {
        const unsigned answering = static_cast<unsigned>(random() % half_);
        Flags& flags = between(self, answering);
        const std::uint64_t number = ++asked[answering];
        flags.request.store(number, std::memory_order_release);
        for (Backoff backoff; flags.reply.load(std::memory_order_acquire) != number;)
            backoff.wait();
    });
    for (unsigned answering = 0; answering < half_; ++answering)
        between(self, answering).request.store(goodbye, std::memory_order_release);
}

void FlagPeer::answer() {
    std::vector<std::uint64_t> answered(half_, 0);
    Backoff backoff;
    for (unsigned gone = 0; gone < half_;) {
        bool found = false;
        for (unsigned asking = 0; asking < half_; ++asking) {
            Flags& flags = between(asking, member_);
            const std::uint64_t number = flags.request.load(std::memory_order_acquire);
            if (number == answered[asking]) continue;
            found = true;
            answered[asking] = number;
            if (number == goodbye) {
                ++gone;
            } else {
                flags.reply.store(number, std::memory_order_release);
            }
        }
        if (found) {
            backoff = {};
        } else {
            backoff.wait();
        }
    }
}

}  // namespace ddict::bench
