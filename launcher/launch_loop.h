// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the wrapper, start and serve have in common: a plan from the options, and the loop that drives the
// node launchers while signals and a few other descriptors are watched.
#pragma once

#include <unistd.h>

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "launcher/node_launchers.h"
#include "launcher/options.h"
#include "launcher/plan.h"
#include "launcher/progress_line.h"
#include "os/environment.h"
#include "os/signals.h"

namespace ddict::launcher {

inline constexpr int exit_bring_up_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_keys_lost = 3;
inline constexpr int exit_not_known = 3;  // of status
inline constexpr int exit_cannot_execute = 126;
inline constexpr int exit_not_found = 127;

/// For the user: what an error says, without the words that only programs need.
std::string reason(const Error& error);

/// Detects the job, chooses a random identity, and plans. Says the plan's remarks.
Result<LaunchPlan> prepare(const Options& options, const os::Environment& environment);

/// What programs find a dictionary by. In a job the handle is there twice: whatever --export or
/// SLURM_EXPORT_ENV leave out, srun hands on each variable whose name begins with SLURM.
std::vector<std::pair<std::string, std::string>> handle_variables(const std::string& handle,
                                                                  const std::string& name, bool in_job);

/// Says why prepare() has failed. Returns the exit status: exit_usage where the options do not fit.
int say_unprepared(const Error& error);

class LaunchLoop {
  public:
    LaunchLoop(NodeLaunchers& launchers, const os::SignalFd& signals)
        : launchers_(launchers), signals_(signals) {}

    struct Turn {
        std::vector<os::SignalEvent> signals;
        bool extra = false;  // an extra descriptor has something
    };
    /// Waits until something happens, lets the node launchers take it in, and says their notices.
    Turn turn(std::span<const int> extra_fds, int wait_ms_max);
    Turn turn(int extra_fd, int wait_ms_max) { return turn(std::span(&extra_fd, 1), wait_ms_max); }

    struct BringUp {
        bool ready = false;
        int signal = 0;          // cancelled by it
        bool abandoned = false;  // cancelled by the end of cancel_fd
        std::string reason;      // failed
        Errc code = Errc::system;
    };
    enum class Signals { cancel, do_nothing };
    /// Until ready, or it cannot be; shows progress on a terminal. A signal that asks for an end cancels,
    /// others do nothing. Failed or cancelled, the node launchers are stopping.
    BringUp bring_up(int cancel_fd, Signals meaning = Signals::cancel);

    /// Ends the dictionary and waits until nothing of it runs. The second signal that asks for an end,
    /// bring_up()'s included, makes it go by force, unless signals are to do nothing.
    void tear_down(Signals meaning = Signals::cancel);

  private:
    NodeLaunchers& launchers_;
    const os::SignalFd& signals_;
    ProgressLine progress_;
    int end_signals_ = 0;  // that have asked for an end
};

/// Reads what there is; true at the end of the file.
bool at_end(int fd);

}  // namespace ddict::launcher
