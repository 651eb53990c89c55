// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a node launcher decides while its managers live: whether what happens cancels the bring-up or ends the
// dictionary, when to show that this node is there, and how hard to press managers that are to end. It is
// told everything, the time by a clock that can be any, and does nothing itself: no process, no descriptor,
// no wait.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "launcher/job_end.h"
#include "launcher/manager_process.h"
#include "os/signals.h"

namespace ddict::launcher {

class Guardian {
  public:
    using Clock = std::chrono::steady_clock;
    using milliseconds = std::chrono::milliseconds;

    struct Options {
        bool in_job = false;
        bool beats = false;  // the launcher learns only from this node launcher that it lives
        milliseconds bring_up_timeout{0};
        /// Whether other processes of the job run on this node: whoever guards it after srun has been killed.
        std::function<bool()> job_runs_here;
        std::function<Clock::time_point()> now = Clock::now;
    };
    explicit Guardian(Options options);

    // ---- what has happened

    /// Signals are sent to all of a job, to make its programs save, and this process is only one of it: what
    /// serves is needed for as long as the lifeline is open. Before that there is nothing to save, and a
    /// signal that asks for an end cancels.
    void on_signal(const os::SignalEvent& signal);
    void on_sign_of_life();
    void on_lifeline_end() { lifeline_open_ = false; }
    /// The pools are to stay when the dictionary ends.
    void on_order_to_keep() { told_to_keep_ = true; }
    void begin_serving() { serving_ = true; }

    // ---- what that means

    bool is_in_job() const { return options_.in_job; }
    bool is_lifeline_open() const { return lifeline_open_; }
    bool told_to_stop() const { return !lifeline_open_ || cancelled_; }
    bool is_told_to_keep() const { return told_to_keep_; }
    /// The launcher's own deadline comes first; this one is for a node launcher that has lost touch with
    /// it.
    bool is_bring_up_overdue() const { return options_.now() > deadline_; }
    /// Once, when Slurm has begun to end the job while this serves.
    bool take_job_end();

    /// What to report of a manager whose state has changed.
    enum class News {
        none,
        started,          ///< for the first time
        reachable_again,  ///< in the place of another: it is to be told what it has to know
        serves_again,
        ended,  ///< though it was to serve; during the bring-up that fails, and that is what is reported
    };
    News news_of(ManagerProcess::State before, ManagerProcess::State now) const;

    // ---- while it serves

    struct Managers {
        bool any_runs = false;
        bool any_serves = false;
        bool any_ended_by_client = false;
    };
    struct Turn {
        bool is_over = false;     // stop the managers
        bool beat = false;        // report that this node is there: nobody else tells the launcher in a job
        milliseconds wait_max{};  // then ask again
    };
    Turn next_turn(const Managers& managers);

    // ---- at the end

    /// The managers have been told to stop.
    void begin_stop();
    bool is_stopping() const { return is_stopping_; }
    enum class Stop { wait, kill, done };
    /// To be asked until it is done. A second signal that asks for an end makes it go by force.
    Stop next_stop(bool any_runs);

    /// The bring-up has failed. Slurm kills the whole step when a member ends before it has left PMIx, and
    /// the others would not get to clean up: so the word goes round before this node leaves.
    void begin_linger();
    bool lingers() const;

  private:
    const Options options_;
    const Clock::time_point deadline_;
    bool serving_ = false;
    bool lifeline_open_ = true;
    bool told_to_keep_ = false;
    bool cancelled_ = false;  // by a signal, before it served
    int end_signals_ = 0;
    JobEnd job_end_;
    bool job_end_taken_ = false;
    Clock::time_point next_beat_;
    std::optional<Clock::time_point> destroyed_until_;  // when this node finishes what a client has begun
    // Of begin_stop() and begin_linger():
    bool is_stopping_ = false;
    int end_signals_max_ = 0;
    bool killed_ = false;
    Clock::time_point stop_until_;
    Clock::time_point linger_until_;
};

}  // namespace ddict::launcher
