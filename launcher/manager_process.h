// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One manager as its node launcher sees it: a child process and the control socket to it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/directory.h"
#include "os/child_process.h"
#include "os/cpus.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "wire/control.h"
#include "wire/manager_summary.h"

namespace ddict::launcher {

struct ManagerStart {
    std::uint32_t manager = 0;
    std::string program;
    std::string pool;  // names of segments
    std::string directory;
    std::vector<std::string> shared_addresses{};  // of several nodes: not to be used
    os::Cpus cpus{};                              // to run on; empty: all
    bool prefault = false;                        // its pool, in the background
    bool huge_pages = false;                      // for its pool
    bool tells_sessions = false;                  // of its clients
    bool takes_over = false;                      // what another has left
    os::Environment environment;
};

/// What a manager has found of one that had been killed.
struct RecoveredPairs {
    std::uint64_t pairs = 0;    // that are there
    std::uint64_t missing = 0;  // that were there before: at least these
};

class ManagerProcess {
  public:
    enum class State {
        starting,  // executed
        started,   // can be reached: entry() is there
        ready,     // serves
        ended,     // in good order: because a client asked, or because it was told to stop
        lost,      // has failed, or died: how() says why. Its process has ended
    };

    static Result<ManagerProcess> start(const ManagerStart& start);

    std::uint32_t manager() const { return manager_; }
    State state() const { return state_; }
    bool running() const { return child_.running(); }
    /// To be polled for input; -1 when there is nothing more to come.
    int control_fd() const { return control_.fd(); }
    int pidfd() const { return child_.running() ? child_.pidfd() : -1; }
    /// Valid from started on.
    const DirectoryEntry& entry() const { return entry_; }
    std::uint32_t ucx_version() const { return ucx_version_; }
    /// Of one that serves in the place of another.
    const std::optional<RecoveredPairs>& recovered() const { return recovered_; }
    /// "was killed by signal 9 (Killed)", or the manager's own words.
    const std::string& how() const { return how_; }
    bool ended_by_client() const { return ended_by_client_; }
    /// And the client wants its pool to stay.
    bool is_to_be_kept() const { return is_to_be_kept_; }
    /// Lost, since a client has asked for a restart.
    bool ended_for_restart() const { return ended_for_restart_; }
    /// Failed, and another one on the same pool would fail as well.
    bool is_hopeless() const { return is_hopeless_; }

    /// That its pool is nearly full, if it has said so since the last call.
    std::optional<PoolFill> take_fill() { return std::exchange(fill_, std::nullopt); }
    /// What it has said of its pool's memory, once that is there, since the last call.
    std::optional<std::string> take_filled() { return std::exchange(filled_, std::nullopt); }
    /// What it has said of its clients' sessions since the last call.
    std::vector<std::string> take_sessions() { return std::exchange(sessions_, {}); }
    /// Of one that has ended and has said how it was.
    const std::optional<ManagerSummary>& summary() const { return summary_; }

    /// Entries of the directory that it has heard of from other managers.
    std::vector<DirectoryEntry> take_entries() { return std::exchange(entries_, {}); }
    /// Has it tell all other managers of a newer entry. Requires that it is ready. False if it cannot be
    /// told. One that takes nothing in, since it is stopped, is told later; of entries of one shard the last
    /// one is enough then.
    bool announce(const DirectoryEntry& entry);
    /// Whether it has not taken in yet what it was told: then its control_fd() is to be polled for output
    /// too.
    bool has_unsent() const { return !unsent_.empty(); }

    /// Takes in what the manager has said, and its end; one that has failed is ended. Goes on telling it what
    /// it has not taken in. None of these calls waits.
    void advance();
    bool tell(Control kind) { return tell(kind, {}); }
    /// Which hosts may connect: addresses, or "all". Before Control::directory.
    void permit(const std::vector<std::string>& hosts);
    /// From now on the manager's end is in good order.
    void stop();
    void kill();

  private:
    bool tell(Control kind, std::string_view payload);
    void flush();
    void on_packet(Bytes packet);
    void on_started(Bytes payload);
    void on_ready(Bytes payload);
    void on_entry(Bytes payload);
    void on_fill(Bytes payload);
    void on_summary(Bytes payload);
    void fail(std::string_view how);

    std::uint32_t manager_ = 0;
    State state_ = State::starting;
    os::ChildProcess child_;
    os::FileDescriptor control_;
    DirectoryEntry entry_;
    std::uint32_t ucx_version_ = 0;
    std::optional<RecoveredPairs> recovered_;
    std::vector<DirectoryEntry> entries_;
    std::optional<PoolFill> fill_;
    std::optional<std::string> filled_;
    std::vector<std::string> sessions_;
    std::optional<ManagerSummary> summary_;
    std::string how_;  // as soon as it is known
    bool takes_over_ = false;
    bool told_to_stop_ = false;
    bool ended_by_client_ = false;
    bool is_to_be_kept_ = false;
    bool ended_for_restart_ = false;
    bool is_hopeless_ = false;
    std::deque<std::string> unsent_;  // packets, the oldest first
};

/// Where ddict-manager is: the one asked for, or beside this program, or in ../libexec/ddict.
Result<std::string> find_manager_program(const std::string& asked_for);

}  // namespace ddict::launcher
