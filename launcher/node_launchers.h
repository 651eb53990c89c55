// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The node launchers as the process that started them sees them: one child (srun, or the only node launcher),
// its events, its lifeline, and the stages starting -> ready -> stopping -> ended. The wrapper, start and
// serve all drive one of these.
//
// Never waits; belongs to one thread. Poll add_poll_entries() for at most wait_ms(), then call advance().
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/ids.h"
#include "launcher/aftermath.h"
#include "launcher/end_summary.h"
#include "launcher/events.h"
#include "launcher/exchange.h"
#include "launcher/lifeline.h"
#include "launcher/moved_managers.h"
#include "launcher/plan.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

class NodeLaunchers {
  public:
    using Clock = std::chrono::steady_clock;
    enum class Stage {
        starting,
        ready,     // handle() is there; the dictionary serves
        stopping,  // asked to end, or failed
        ended,     // nothing of it runs any more
    };

    /// `environment`: the user's own.
    static Result<std::unique_ptr<NodeLaunchers>> start(const LaunchPlan& plan,
                                                        const os::Environment& environment);
    /// Ends the node launchers by force if they have not ended.
    ~NodeLaunchers();
    NodeLaunchers(const NodeLaunchers&) = delete;
    NodeLaunchers& operator=(const NodeLaunchers&) = delete;

    Stage stage() const { return stage_; }
    void add_poll_entries(std::vector<pollfd>& fds) const;
    int wait_ms() const;
    void advance();

    /// Ends the dictionary in good order; by force when that takes too long.
    void stop();
    /// Ends it by force, now.
    void force();

    const LaunchPlan& plan() const { return plan_; }
    /// Its seeds are where they are now, as far as their node launchers have told.
    const std::string& handle() const { return handle_; }
    /// Slurm's "JOB.STEP"; empty without Slurm.
    const std::string& step() const { return step_; }
    /// Host names.
    const std::map<NodeId, std::string>& nodes() const { return nodes_; }
    /// Managers that have died for good, with "node: how".
    const std::map<ShardId, std::string>& lost() const { return lost_; }
    /// Grows when handle() or lost() change, which are in the dictionary's record.
    std::uint64_t record_version() const { return record_version_; }
    bool all_lost() const { return lost_.size() == plan_.managers(); }
    /// Managers, nodes, or the whole dictionary have gone while it served, other than by a client's
    /// destroy(); or nobody knows, of nodes that are not heard.
    bool has_lost_keys() const { return has_lost_keys_ || unheard_managers() != 0; }
    /// Why it never became ready; empty if it did, or if it was stopped before.
    const std::string& failure() const { return failure_; }
    Errc failure_code() const { return failure_code_; }
    /// When the dictionary ends, its pools are to stay.
    void keep() { is_to_be_kept_ = true; }
    /// Whether they have, on all nodes.
    bool has_kept() const { return kept_.size() == plan_.nodes; }
    /// Became ready, and then ended because a client destroyed it.
    bool destroyed_by_client() const { return destroyed_; }
    /// What all managers have said at their end; and what has come of them.
    const EndSummary& end_summary() const { return end_summary_; }
    Ending ending() const {
        return {.managers = plan_.managers(),
                .lost = static_cast<std::uint32_t>(lost_.size()),
                .unheard = unheard_managers(),
                .has_lost_keys = has_lost_keys_};
    }
    /// "2 of 4 nodes, 3 of 8 managers".
    std::string progress() const;
    /// What the user should read now: whole lines.
    std::vector<std::string> take_notices();

  private:
    NodeLaunchers(const LaunchPlan& plan, const os::Environment& environment)
        : plan_(plan),
          environment_(environment),
          exchanges_(plan.nodes),
          foreign_lines_(plan.nodes * ForeignLines::of_a_host) {}

    Result<void> launch();
    void read_events();
    void read_errors();
    void on_event(const Event& event);
    void pass_on(const Event& part);
    void on_tasks_ended(const std::vector<std::string>& nodes, const std::string& how);
    void on_dead(const std::vector<NodeId>& nodes, const std::string& how);
    void on_child_ended(const os::ExitStatus& status);
    void clear_up();
    void say_what_is_gone();
    void apply_deadlines();
    void show_life();
    void listen_for_beats();
    std::string what_is_left() const;
    std::uint32_t unheard_managers() const;
    std::string name_managers(const std::vector<NodeId>& nodes) const;
    std::vector<std::string> allocated_names(const std::vector<NodeId>& nodes) const;
    void fail(const std::string& reason, Errc code = Errc::system);
    void finish();
    /// The user, of what the log has already.
    void tell(const std::string& text) { notices_.push_back("ddict-launch: " + text); }
    void tell_loss(const std::string& text) {
        has_lost_keys_ = true;
        tell(text);
    }
    void note(const std::string& text, LogLevel level = LogLevel::warning) {
        tell(text);
        log_.add({.level = level, .kind = "notice", .text = text});
    }
    std::string missing() const;
    std::string last_words() const;

    const LaunchPlan plan_;
    const os::Environment environment_;
    Stage stage_ = Stage::starting;
    os::ChildProcess child_;
    LifelineWriter lifeline_;
    MovedManagers moved_;
    std::uint64_t record_version_ = 0;
    ExchangeBoard exchanges_;
    os::FileDescriptor events_;
    os::FileDescriptor errors_;
    LineReader event_lines_;
    LineReader error_lines_;
    ForeignLines foreign_lines_;
    Clock::time_point start_deadline_{};
    Clock::time_point stop_began_{};
    Clock::time_point forced_at_{};
    Clock::time_point child_ended_{};
    Clock::time_point destroyed_at_{};
    int stop_pressure_ = 0;  // 0: lifeline closed, 1: SIGTERM sent, 2: SIGKILL sent
    bool was_ready_ = false;
    bool destroyed_ = false;
    bool has_lost_keys_ = false;
    bool is_to_be_kept_ = false;
    bool disorderly_ = false;  // something may have been left behind
    bool child_has_ended_ = false;
    Aftermath aftermath_;
    std::string how_child_ended_;  // to be told when it is known what that means
    std::string handle_;
    std::string step_;
    std::string failure_;
    Errc failure_code_ = Errc::system;
    std::string slurm_error_;  // its last word
    std::map<NodeId, std::string> nodes_;
    std::set<NodeId> ended_;  // node launchers that have cleaned up and ended
    std::set<NodeId> dead_;   // that have ended otherwise, as Slurm says
    std::set<NodeId> kept_;   // that have left their pools
    std::map<NodeId, int> missed_beats_;
    Clock::time_point next_beats_{};
    std::set<ShardId> managers_;
    std::map<ShardId, std::string> lost_;
    std::map<ShardId, std::uint32_t> warned_;  // how full its pool was said to be
    EndSummary end_summary_;
    Log log_;
    std::optional<Clock::time_point> next_sign_of_life_;  // while the job ends
    std::vector<std::string> notices_;
};

}  // namespace ddict::launcher
