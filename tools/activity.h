// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What managers have been doing lately: the difference of what they say of themselves at two times.
#pragma once

#include <ddict/error.h>
#include <ddict/stats.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/exit_status.h"

namespace ddict {
class View;
}

namespace ddict::tools {

/// What was found out about one manager: its statistics, or why there are none.
struct ManagerSample {
    std::uint32_t manager = 0;
    std::string node{};  ///< empty if it is not known
    std::optional<ManagerStats> stats{};
    std::optional<Error> lost{};
    std::chrono::nanoseconds round_trip{0};  ///< of an empty message; 0 if none was sent
};

/// All managers at one time, by manager id.
struct Sample {
    std::chrono::steady_clock::time_point at{};
    std::vector<ManagerSample> managers{};
};

/// Success if all managers are there, partial if some are; else why they are not.
ExitStatus status_of(const Sample& sample);

/// Asks all managers for a sign of life, and each that gives one for its statistics; with the deadlines of
/// the view. Throws Exception if nobody can be asked (not_attached).
Sample ask_each(const View& dict);
/// Asks all managers at once, for `timeout` at the most; if one of them does not answer, the others again,
/// one by one. Throws Exception if nobody can be asked (not_attached).
Sample take_sample(const View& dict, std::chrono::milliseconds timeout);

/// One manager. Rates are per second since the sample before; nothing if there is none to compare with, or
/// the manager has been started again in between.
struct ManagerActivity {
    std::uint32_t manager = 0;
    std::string node{};
    std::optional<ManagerStats> stats{};
    std::string lost{};     ///< why there are no statistics; empty if there are
    bool may_live = false;  ///< there are none, but it is not known that it has ended
    std::chrono::seconds lost_for{0};
    std::optional<double> puts{};         ///< pairs, alone or in batches
    std::optional<double> gets{};         ///< the same, by message
    std::optional<double> local_reads{};  ///< keys that clients of its node looked up in its memory
    std::optional<double>
        other{};               ///< requests of all other kinds, without those that only ask for the state
    std::uint64_t p50_ns = 0;  ///< of the kind that was asked for most lately; 0 if there was none yet
    std::uint64_t p99_ns = 0;

    /// All together.
    std::optional<double> operations() const;
};

/// One kind of operation on all managers together.
struct KindActivity {
    Operation operation = Operation::none;
    std::optional<double> rate{};  ///< requests per second
    std::uint64_t count = 0;       ///< requests since the managers came up
    std::uint64_t p50_ns = 0;      ///< of the manager in the middle
    std::uint64_t p99_ns = 0;      ///< of the slowest one
    std::uint64_t max_ns = 0;      ///< the longest of all
};

/// What there is to show.
struct Activity {
    std::string dictionary{};  ///< its name
    std::chrono::milliseconds interval{0};
    std::vector<ManagerActivity> managers{};
    std::vector<KindActivity> kinds{};  ///< the busiest first
    std::vector<double> history{};      ///< operations per second, the newest last
    std::optional<double> operations{};
};

/// Makes activities out of samples. One thread.
class ActivityLog {
  public:
    explicit ActivityLog(std::string dictionary) { activity_.dictionary = std::move(dictionary); }

    void add(Sample sample);
    const Activity& activity() const { return activity_; }

  private:
    ManagerActivity compare(const ManagerSample& now, const ManagerSample* before, double seconds);
    void add_up_kinds(const Sample& now, double seconds);
    const ManagerSample* earlier(std::uint32_t manager) const;

    static constexpr std::size_t history_max = 600;
    std::optional<Sample> before_;
    std::vector<std::optional<std::chrono::steady_clock::time_point>> lost_since_;
    std::vector<std::string> nodes_;
    Activity activity_;
};

}  // namespace ddict::tools
