// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a manager tells of its clients' sessions, for the dictionary's log: so many a second, and then how
// many more there were.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "rpc/request.h"

namespace ddict::manager {

class SessionLog {
  public:
    static constexpr std::uint32_t lines_max = 10;
    static constexpr Time::duration interval = std::chrono::seconds(1);

    /// `say` has one line told; false if it cannot be taken now. It must not wait.
    explicit SessionLog(std::function<bool(const std::string&)> say) : say_(std::move(say)) {}

    void add(const std::string& line, Time now);
    /// To be called now and then. Returns when it wants to be called again, at the latest; Time::max() if it
    /// does not matter.
    Time tick(Time now);

  private:
    std::function<bool(const std::string&)> say_;
    Time since_{};
    std::uint32_t lines_ = 0;     // since then
    std::uint64_t left_out_ = 0;  // the same
};

}  // namespace ddict::manager
