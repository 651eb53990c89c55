// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ddict/error.h>

namespace ddict::client {

constexpr std::uint32_t all_managers = Error::no_manager;

/// What is on its way to each manager.
class Flights {
  public:
    /// `bytes_max` is of each manager; empty: nothing is counted.
    explicit Flights(const std::vector<std::uint64_t>& bytes_max)
        : bytes_max_(bytes_max), bytes_(bytes_max.size()) {}

    /// False if all that is on its way has to arrive first; it counts as if it had.
    bool add(std::uint32_t manager, std::uint64_t bytes) {
        if (bytes_.empty()) return true;
        bool is_good = true;
        for_those_of(manager,
                     [&](std::size_t i) { is_good = is_good && bytes_[i] + bytes <= bytes_max_[i]; });
        if (!is_good) std::fill(bytes_.begin(), bytes_.end(), 0);
        for_those_of(manager, [&](std::size_t i) { bytes_[i] += bytes; });
        return is_good;
    }

  private:
    template <class F>
    void for_those_of(std::uint32_t manager, F f) {
        if (manager != all_managers) return f(manager);
        for (std::size_t i = 0; i < bytes_.size(); ++i)
            f(i);
    }

    const std::vector<std::uint64_t>& bytes_max_;
    std::vector<std::uint64_t> bytes_;
};

}  // namespace ddict::client
