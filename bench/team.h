// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Processes that do the same thing at the same time, and the clock that times them.
//
// The process that measures forks its teams before anything of UCX has been set up in it, and never attaches
// to a dictionary itself. A phase is: every member prepares (connects, warms up) and reports; when all are
// ready the clock starts and all are let go at once; it stops when the last one has done its share. Members
// that wait sleep in the kernel, so a team that is not at work takes nothing from those that are.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"

namespace ddict::bench {

using Nanoseconds = std::chrono::nanoseconds;

/// What the teams can be asked to do; each kind of team knows some of them.
enum class Task : std::uint32_t {
    none = 0,
    // Clients of the dictionary, or of what it is compared with: each does Phase::operations operations,
    // except that those up to erase are shared out among them.
    touch,  // all managers, once
    fill,
    fill_broadcast,
    erase,
    get,
    put,
    mixed,
    batch_get,
    batch_put,
    async_get,
    async_put,
    bget,
    bput,
    copy,  // of memory to memory: no dictionary
    // The owner of the dictionary.
    open,
    describe,
    request,
    empty,
    destroy,
    // Beside a client that goes on: see save_clients.h.
    rest,
    write_file,
    save,
    change,
    step,
    retire,
    // Two processes and UCX alone.
    raw_address,
    raw_connect,
    raw_round_trip,
    raw_get,
    raw_put,
    raw_stream,
    // Two processes and two cache lines.
    flags,
};

struct Phase {
    Task task = Task::none;
    std::uint64_t value_bytes = 0;
    std::uint64_t operations = 0;  ///< of each member
    std::uint64_t warm_up = 0;     ///< operations before the clock starts
    bool by_message = false;       ///< also what could be read from this node's memory
    bool each = false;             ///< the clock is read at every operation, for its latency
    unsigned group = 1;            ///< pairs in a batch; operations under way at once
    unsigned put_percent = 0;      ///< of mixed operations
    std::uint64_t number = 0;      ///< counts the phases of a team; set by it
};

/// What a member has done.
struct Tally {
    std::uint64_t operations = 0;
    Histogram latencies;  ///< of phases that ask for them

    void clear() {
        operations = 0;
        latencies.clear();
    }
};

/// What one member does, in its own process. Throws to report a failure.
class Role {
  public:
    virtual ~Role() = default;
    /// Before the clock starts.
    virtual void prepare(const Phase& phase) = 0;
    /// What the clock measures. Counts what it does; the text, if any, goes to the process that measures.
    virtual std::string run(const Phase& phase, Tally& tally) = 0;
};

struct PhaseResult {
    Nanoseconds elapsed{};  ///< from the common start to the end of the last member
    std::uint64_t operations = 0;
    Histogram latencies;
    std::vector<std::string> texts;  ///< of each member

    double per_second() const {
        return static_cast<double>(operations) * 1e9 / static_cast<double>(elapsed.count());
    }
};

class Team {
  public:
    /// `name` is for error messages ("client"). `make_role(member)` is called in the child. With a
    /// `first_slot` the members are pinned to processors, from that one on: see pin().
    Team(std::string name, unsigned members, std::function<std::unique_ptr<Role>(unsigned)> make_role,
         std::optional<unsigned> first_slot = std::nullopt);
    /// Lets the members go and waits for them; those that do not end within some seconds are killed.
    ~Team();
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    unsigned size() const { return static_cast<unsigned>(pids_.size()); }

    /// Throws std::runtime_error with what a member said when it failed, or when it died, or at the limit.
    PhaseResult run(Phase phase, std::chrono::seconds limit = std::chrono::seconds(300));

  private:
    struct Shared;

    [[noreturn]] void serve(unsigned member, const std::function<std::unique_ptr<Role>(unsigned)>& make_role);
    void serve_phases(unsigned member, Role& role);
    void await_all(std::chrono::steady_clock::time_point deadline);
    void check_members();
    void end_members() noexcept;

    std::string name_;
    std::unique_ptr<Shared> shared_;
    pid_t parent_;
    std::optional<unsigned> first_slot_;
    std::vector<pid_t> pids_;
    bool phase_failed_ = false;
};

}  // namespace ddict::bench
