// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a program could do with memory of its own: the same operations, in the same loop and with the same
// check of every value, on a std::unordered_map<std::string, std::string> of one process; and no more than to
// copy values of the same size out of as much memory.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/team.h"
#include "bench/value_buffer.h"
#include "bench/workload.h"

namespace ddict::bench {

/// Knows Task::fill, get, put on the map; copy, which takes `workload.pairs()` times the size of the value
/// for itself. One member, one thread.
class InProcess final : public Role {
  public:
    /// `workload` must outlive it.
    explicit InProcess(const Workload& workload) : workload_(workload) {}

    void prepare(const Phase& phase) override;
    std::string run(const Phase& phase, Tally& tally) override;

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };

    std::string_view key(std::uint64_t pair) const;
    void fill(const Phase& phase);
    void work(const Phase& phase, std::uint64_t operations, std::uint64_t seed, Tally& tally);

    const Workload& workload_;
    std::unordered_map<std::string, std::string, Hash, std::equal_to<>> map_;
    std::vector<char> memory_;  // all values, one behind the other
    ValueBuffer buffer_;
    std::vector<std::byte> value_;
};

}  // namespace ddict::bench
