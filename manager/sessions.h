// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <unordered_map>
#include <vector>

#include "core/limits.h"
#include "core/transport.h"

namespace ddict::manager {

struct Session {
    std::uint64_t id = 0;  // slot in the lower half, a random number in the upper; 0: free
    PeerId peer = no_peer;
    std::uint64_t greeter = 0;   // who it is: a hash of process and address
    std::uint64_t greeting = 0;  // the number of its hello
};

/// Who has greeted, and not gone yet. At most limits::sessions_max.
class Sessions {
  public:
    /// `seed`: of the numbers that cannot be guessed.
    explicit Sessions(std::uint64_t seed) : random_(seed) {}

    /// Null if there is none. On the way of every request.
    const Session* find(std::uint64_t id) const noexcept {
        const auto slot = static_cast<std::uint32_t>(id);
        return id != 0 && slot < sessions_.size() && sessions_[slot].id == id ? &sessions_[slot] : nullptr;
    }
    const Session* of_peer(PeerId peer) const { return of(by_peer_, peer); }
    const Session* of_greeter(std::uint64_t greeter) const { return of(by_greeter_, greeter); }

    std::size_t size() const noexcept { return by_peer_.size(); }
    bool full() const noexcept { return size() >= limits::sessions_max; }

    /// Requires that it is not full, and that neither peer nor greeter has one. Returns the id.
    std::uint64_t open(PeerId peer, std::uint64_t greeter, std::uint64_t greeting);
    void close(std::uint64_t id);

  private:
    using Map = std::unordered_map<std::uint64_t, std::uint64_t>;
    const Session* of(const Map& map, std::uint64_t key) const {
        const auto found = map.find(key);
        return found == map.end() ? nullptr : find(found->second);
    }

    std::mt19937_64 random_;
    std::vector<Session> sessions_;
    std::vector<std::uint32_t> free_;
    Map by_peer_;
    Map by_greeter_;
};

}  // namespace ddict::manager
