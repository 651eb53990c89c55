// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_launchers.h"

#include <unistd.h>

#include <algorithm>

#include "base/counted.h"
#include "launcher/job_end.h"
#include "launcher/launch_loop.h"
#include "launcher/log_entries.h"
#include "launcher/node_step.h"
#include "launcher/sizes.h"
#include "launcher/sweep.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "shm/segment.h"
#include "slurm/hostlist.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;

// A node launcher gives its managers manager_stop_grace, and as much again after killing them.
constexpr milliseconds terminate_after = limits::manager_stop_grace + milliseconds(2'000);
// When a client has ended the managers of one node, it is ending them all; this is for one that was killed on
// the way.
constexpr milliseconds destroy_grace{3'000};
constexpr milliseconds kill_after = terminate_after + milliseconds(3'000);
constexpr milliseconds unkillable_after{5'000};
// After the child has ended: for its managers, which hold its standard error until they have cleaned up.
constexpr milliseconds orphans_grace{3'000};
constexpr int missed_beats_max = 3;

std::string of(std::size_t have, std::size_t want, std::string_view noun) {
    return std::to_string(have) + " of " + counted(want, noun);
}

}  // namespace

Result<std::unique_ptr<NodeLaunchers>> NodeLaunchers::start(const LaunchPlan& plan,
                                                            const os::Environment& environment) {
    std::unique_ptr<NodeLaunchers> launchers(new NodeLaunchers(plan, environment));
    if (const auto launched = launchers->launch(); !launched) return launched.error();
    return launchers;
}

Result<void> NodeLaunchers::launch() {
    const auto step = node_step(plan_, environment_, "--node");
    if (!step) return step.error();
    auto lifeline = os::make_pipe();
    auto events = os::make_pipe();
    auto errors = os::make_pipe();
    if (!lifeline || !events || !errors) return (!lifeline ? lifeline : !events ? events : errors).error();

    os::SpawnOptions options;
    options.program = step->program;
    options.argv = step->argv;
    options.environment = step->environment;
    options.standard_fds = {lifeline->read_end.fd(), events->write_end.fd(), errors->write_end.fd()};
    options.close_other_fds = true;
    // Ctrl-C at the terminal is for the user's command; srun above all must not see it.
    options.own_process_group = true;
    auto child = os::ChildProcess::start(options);
    if (!child) return child.error();
    child_ = *std::move(child);
    lifeline_.open(std::move(lifeline->write_end));
    lifeline_.say(step->first_lines);
    events_ = std::move(events->read_end);
    errors_ = std::move(errors->read_end);
    os::set_non_blocking(events_.fd());
    os::set_non_blocking(errors_.fd());
    start_deadline_ = Clock::now() + plan_.timeout;
    if (const auto trouble = log_.open(plan_.log, environment_)) note("there is no log: " + *trouble);
    log_.add({.kind = "start", .text = start_text(plan_)});
    return {};
}

NodeLaunchers::~NodeLaunchers() {
    if (!child_.running()) return;
    child_.signal_group(SIGKILL);
}

void NodeLaunchers::add_poll_entries(std::vector<pollfd>& fds) const {
    fds.push_back({events_.fd(), POLLIN, 0});
    fds.push_back({errors_.fd(), POLLIN, 0});
    fds.push_back({child_.running() ? child_.pidfd() : -1, POLLIN, 0});
    fds.push_back({aftermath_.poll_fd(), POLLIN, 0});
    fds.push_back({lifeline_.poll_fd(), POLLOUT, 0});
    fds.push_back({log_.complaints_fd(), POLLIN, 0});
}

int NodeLaunchers::wait_ms() const {
    switch (stage_) {
        case Stage::starting: {
            const auto left = std::chrono::ceil<milliseconds>(start_deadline_ - Clock::now()).count();
            return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
        }
        case Stage::ready:
            if (destroyed_) return 50;
            if (next_sign_of_life_) return static_cast<int>(sign_of_life_interval.count() / 2);
            return plan_.allocation ? static_cast<int>(milliseconds(beat_interval).count() / 2) : 3'600'000;
        case Stage::stopping:
            return 50;
        case Stage::ended:
            return 0;
    }
    return 0;
}

void NodeLaunchers::advance() {
    if (stage_ == Stage::ended) return;
    // The child's last words are in the pipes before it can be found dead.
    const auto status = child_.reap();
    read_errors();
    read_events();
    lifeline_.flush();
    if (status) on_child_ended(*status);
    aftermath_.advance();
    if (!how_child_ended_.empty() && (aftermath_.step_is_over() || !aftermath_.is_running()))
        say_what_is_gone();
    show_life();
    listen_for_beats();
    apply_deadlines();
    log_.advance();
    for (std::string& complaint : log_.take_complaints())
        notices_.push_back(std::move(complaint));
}

void NodeLaunchers::read_events() {
    if (!events_.is_open()) return;
    std::vector<std::string> lines;
    const auto state = event_lines_.read_from(events_.fd(), lines);
    for (const std::string& line : lines) {
        if (const auto event = parse_event(line)) {
            on_event(*event);
        } else if (!line.empty() && foreign_lines_.admits()) {
            notices_.push_back(line);
        }
    }
    if (state == LineReader::State::ended) events_.reset();
}

/// Managers' and node launchers' words go on to the user; srun's are kept, since the end of a step is no
/// news.
void NodeLaunchers::read_errors() {
    if (!errors_.is_open()) return;
    std::vector<std::string> lines;
    const auto state = error_lines_.read_from(errors_.fd(), lines);
    for (std::string& line : lines) {
        if (plan_.allocation && slurm::is_srun_chatter(line)) continue;
        const bool of_slurm =
            plan_.allocation && (line.starts_with("srun: ") || line.starts_with("slurmstepd"));
        if (of_slurm) slurm_error_ = line;
        if (const auto tasks = slurm::tasks_ended(line); of_slurm && tasks && stage_ == Stage::ready) {
            on_tasks_ended(tasks->nodes, tasks->how);
            continue;
        }
        const bool wanted = stage_ == Stage::ready && line.find("error: ") != std::string::npos;
        if (of_slurm && !wanted) continue;
        log_.add({.level = LogLevel::warning, .kind = "said", .text = line});
        notices_.push_back(std::move(line));
    }
    if (state == LineReader::State::ended) errors_.reset();
}

void NodeLaunchers::on_event(const Event& event) {
    if (const auto entry = log_entry(event)) log_.add(*entry);
    const bool was_silent = std::exchange(missed_beats_[event.node_id], 0) >= missed_beats_max;
    if (was_silent && stage_ == Stage::ready) note("the node launcher on " + event.node + " is heard again");
    switch (event.kind) {
        case Event::Kind::node:
            nodes_[event.node_id] = event.node;
            step_ = event.step;
            return;
        case Event::Kind::manager:
            managers_.insert(event.manager);
            return;
        case Event::Kind::handle:
            handle_ += event.text;
            return;
        case Event::Kind::ready:
            step_ = event.step;
            if (stage_ != Stage::starting) return;
            stage_ = Stage::ready;
            was_ready_ = true;
            return;
        case Event::Kind::ending:
            if (!next_sign_of_life_) next_sign_of_life_ = Clock::now();
            return;
        case Event::Kind::beat:
            return;
        case Event::Kind::error:
            ended_.insert(event.node_id);
            // Of a node that failed at the last moment, when others were ready already, somebody must hear.
            if (stage_ == Stage::ready)
                tell_loss("the node launcher on " + event.node + " has failed: " + event.text +
                          ": its managers are gone");
            return fail(event.node.empty() ? event.text : event.node + ": " + event.text, event.code);
        case Event::Kind::lost:
            lost_[event.manager] = event.node + ": " + event.text;
            ++record_version_;
            if (stage_ == Stage::ready)
                tell_loss("manager " + std::to_string(number_of(event.manager)) + " on " + event.node + " " +
                          event.text + ": its keys are lost (manager_lost); " + what_is_left());
            return;
        case Event::Kind::back:
            if (stage_ != Stage::ready) return;
            event.missing == 0 ? tell(back_notice(event)) : tell_loss(back_notice(event));
            return;
        case Event::Kind::resumed:
            event.missing == 0 ? tell(resumed_notice(event)) : tell_loss(resumed_notice(event));
            return;
        case Event::Kind::fill: {
            // One that has taken the place of another says it again.
            std::uint32_t& warned = warned_[event.manager];
            if (event.fill.percent > std::exchange(warned, std::max(warned, event.fill.percent)))
                tell(fill_text(number_of(event.manager), event.node, event.fill));
            return;
        }
        case Event::Kind::filled:
            if (event.text.find("no more") != std::string::npos)
                tell("manager " + std::to_string(number_of(event.manager)) + " on " + event.node +
                     " has only part of its pool: " + event.text);
            return;
        case Event::Kind::gone:
            if (stage_ == Stage::starting) return fail(event.node + ": " + event.text);
            if (stage_ == Stage::ready && plan_.allocation) on_dead({event.node_id}, event.text);
            return;
        case Event::Kind::part:
            if (stage_ == Stage::starting) pass_on(event);
            return;
        case Event::Kind::session:
            return;  // for the log
        case Event::Kind::summary:
            end_summary_.add(event.summary);
            return;
        case Event::Kind::moved:
            if (const auto renewed = moved_.add(event, handle_)) {
                handle_ = *renewed;
                ++record_version_;
            }
            return;
        case Event::Kind::stopped:
            ended_.insert(event.node_id);
            if (event.kept) {
                kept_.insert(event.node_id);
                // Whoever has ended it may be killed before all have heard: then the others hear it from
                // here.
                keep();
            }
            if (event.text == stopped_by_client && !destroyed_) {
                destroyed_ = was_ready_;
                destroyed_at_ = Clock::now();
            }
            if (stage_ == Stage::ready && event.text != stopped_by_client)
                tell_loss("the node launcher on " + event.node + " was ended from outside (" + event.text +
                          "): its managers are gone");
            return;
    }
}

void NodeLaunchers::pass_on(const Event& part) {
    const auto complete = exchanges_.add(part);
    complete ? lifeline_.say(*complete) : fail(reason(complete.error()), complete.error().code);
}

void NodeLaunchers::on_child_ended(const os::ExitStatus& status) {
    child_ended_ = Clock::now();
    child_has_ended_ = true;
    const std::string how = (plan_.in_job()     ? "srun "
                             : plan_.allocation ? "what has started the node launchers "
                                                : "the node launcher ") +
                            status.describe();
    const bool has_run = status.exec_error == 0;
    if (has_run && (status.signalled || ended_.size() < nodes_.size())) disorderly_ = true;
    if (stage_ == Stage::starting) {
        fail(how + last_words() +
             (nodes_.empty() && plan_.bootstrap == Bootstrap::pmix
                  ? "; where Slurm's PMIx does not work, --bootstrap streams does without"
                  : ""));
    } else if (stage_ == Stage::ready) {
        if (!destroyed_) {
            how_child_ended_ = how;
            has_lost_keys_ = true;
        }
        stop();
    }
    if (disorderly_ && plan_.allocation) clear_up();
}

/// srun may have ended alone: then the managers serve on, cut off from everyone.
void NodeLaunchers::clear_up() {
    std::vector<NodeId> left;
    for (const auto& [id, name] : nodes_) {
        if (!ended_.contains(id)) left.push_back(id);
    }
    if (!how_child_ended_.empty() && dead_.size() + ended_.size() < nodes_.size())
        note(how_child_ended_ + ": ending the managers that it has left" +
             (step_.empty() ? "" : " (scancel " + step_ + ")"));
    const std::vector<std::string> nodes = allocated_names(left);
    std::vector<std::string> args = sweep_arguments(plan_.identity.dictionary_id);
    args.insert(args.begin(), "--sweep");
    aftermath_.begin({.step = step_,
                      .nodes = nodes,
                      .sweep = short_step(*plan_.allocation, plan_.rsh, environment_, nodes, args)},
                     environment_);
}

void NodeLaunchers::say_what_is_gone() {
    note(how_child_ended_ + ": the dictionary is gone", LogLevel::error);
    how_child_ended_.clear();
}

std::vector<std::string> NodeLaunchers::allocated_names(const std::vector<NodeId>& nodes) const {
    std::vector<std::string> names;
    for (const NodeId node : nodes) {
        if (plan_.allocation && number_of(node) < plan_.allocation->nodes.size())
            names.push_back(plan_.allocation->nodes[number_of(node)].name);
    }
    return names;
}

/// "manager 3", "managers 2-3 and 6-7".
std::string NodeLaunchers::name_managers(const std::vector<NodeId>& nodes) const {
    std::vector<std::string> runs;
    for (std::size_t i = 0; i < nodes.size();) {
        std::size_t next = i + 1;
        while (next < nodes.size() && number_of(nodes[next]) == number_of(nodes[next - 1]) + 1)
            ++next;
        const std::uint32_t first = number_of(plan_.first_manager(nodes[i]));
        const std::uint32_t last =
            number_of(plan_.first_manager(nodes[next - 1])) + plan_.managers_per_node - 1;
        runs.push_back(std::to_string(first) + (first == last ? "" : "-" + std::to_string(last)));
        i = next;
    }
    std::string text = nodes.size() * plan_.managers_per_node == 1 ? "manager " : "managers ";
    for (std::size_t i = 0; i < runs.size(); ++i)
        text += (i == 0 ? "" : i + 1 == runs.size() ? " and " : ", ") + runs[i];
    return text;
}

/// Slurm tells of tasks, and by its names of nodes. A node launcher that is dead takes its managers along.
void NodeLaunchers::on_tasks_ended(const std::vector<std::string>& nodes, const std::string& how) {
    std::vector<NodeId> ids;
    for (std::uint32_t i = 0; i < plan_.nodes; ++i) {
        if (std::find(nodes.begin(), nodes.end(), plan_.allocation->nodes[i].name) != nodes.end())
            ids.push_back(NodeId{i});
    }
    on_dead(ids, how);
}

void NodeLaunchers::on_dead(const std::vector<NodeId>& nodes, const std::string& how) {
    std::vector<NodeId> ended;
    for (const NodeId node : nodes) {
        if (number_of(node) >= plan_.nodes || ended_.contains(node) || !dead_.insert(node).second) continue;
        ended.push_back(node);
        for (std::uint32_t k = 0; k < plan_.managers_per_node; ++k)
            lost_.try_emplace(
                ShardId{number_of(plan_.first_manager(node)) + k},
                plan_.allocation->nodes[number_of(node)].name + ": its node launcher has ended: " + how);
    }
    if (ended.empty()) return;
    const bool one = ended.size() == 1;
    has_lost_keys_ = true;
    ++record_version_;
    note("the node launcher" + std::string(one ? "" : "s") + " on " +
             slurm::compress_hostlist(allocated_names(ended)) + (one ? " has" : " have") + " ended (" +
             (plan_.in_job() ? "Slurm says: " : "") + how + "), and with " + (one ? "it " : "them ") +
             name_managers(ended) + ": the keys there are lost (manager_lost); " + what_is_left(),
         LogLevel::error);
}

/// Of the others it is known only that nobody has told of their end.
std::string NodeLaunchers::what_is_left() const {
    return all_lost() ? "no manager is left" : "those of the other managers are not affected";
}

/// While Slurm ends the job, node launchers cannot know whether this process still lives.
void NodeLaunchers::show_life() {
    const auto now = Clock::now();
    if (!next_sign_of_life_ || now < *next_sign_of_life_ || !lifeline_.is_open()) return;
    next_sign_of_life_ = now + sign_of_life_interval;
    // A pipe that is full has signs enough in it.
    if (lifeline_.poll_fd() < 0) lifeline_.say(sign_of_life);
}

/// srun does not notice a node that is gone, nor the end of Slurm's daemon there. Looked for by our own
/// turns: a job that was suspended has not waited.
void NodeLaunchers::listen_for_beats() {
    const auto now = Clock::now();
    if (stage_ != Stage::ready || !plan_.allocation || now < next_beats_) return;
    const bool first = next_beats_ == Clock::time_point();
    next_beats_ = now + beat_interval;
    if (first) return;
    std::vector<NodeId> silent;
    for (const auto& [id, name] : nodes_) {
        if (ended_.contains(id) || dead_.contains(id)) continue;
        if (++missed_beats_[id] == missed_beats_max) silent.push_back(id);
    }
    if (silent.empty()) return;
    const auto seconds = missed_beats_max * std::chrono::seconds(beat_interval).count();
    note("nothing heard from " + slurm::compress_hostlist(allocated_names(silent)) + " for " +
         std::to_string(seconds) + " s: the node, its network" +
         (plan_.in_job() ? " or Slurm's step daemon there" : "") + " may be gone, and " +
         name_managers(silent) + " with it; ddict stats shows which managers answer");
}

/// Those of nodes that have been silent for too long, and at the end of all that have not told theirs:
/// whether their keys were there to the last, nobody knows.
std::uint32_t NodeLaunchers::unheard_managers() const {
    if (!was_ready_ || destroyed_) return 0;
    std::uint32_t managers = 0;
    for (const auto& [id, name] : nodes_) {
        const auto missed = missed_beats_.find(id);
        const bool is_silent =
            stage_ == Stage::ended || (missed != missed_beats_.end() && missed->second >= missed_beats_max);
        if (!is_silent || ended_.contains(id) || dead_.contains(id)) continue;
        for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i)
            managers += lost_.contains(ShardId{number_of(plan_.first_manager(id)) + i}) ? 0U : 1U;
    }
    return managers;
}

void NodeLaunchers::apply_deadlines() {
    const auto now = Clock::now();
    if (stage_ == Stage::starting && now >= start_deadline_) {
        fail("not ready within " + format_seconds(plan_.timeout) + " s: " + missing() + last_words() +
                 "; see ddict-launch --check, or raise --timeout",
             Errc::timeout);
    }
    if (stage_ == Stage::ready && destroyed_ && now - destroyed_at_ >= destroy_grace) stop();
    if (stage_ != Stage::stopping || aftermath_.is_running()) return;
    if (!child_.running()) {
        const bool silent = !events_.is_open() && !errors_.is_open();
        if (silent || now - child_ended_ >= orphans_grace) finish();
        return;
    }
    if (stop_pressure_ < 1 && now - stop_began_ >= terminate_after) {
        stop_pressure_ = 1;
        child_.signal_group(SIGTERM);
    }
    if (stop_pressure_ < 2 && now - stop_began_ >= kill_after) force();
    if (stop_pressure_ == 2 && now - forced_at_ >= unkillable_after) {
        note("process " + std::to_string(child_.pid()) +
             " does not end, not even when killed: leaving it behind");
        child_.abandon();
        if (plan_.allocation) clear_up();
        if (!aftermath_.is_running()) finish();
    }
}

void NodeLaunchers::fail(const std::string& reason, Errc code) {
    if (stage_ != Stage::starting) return;  // the first reason is the one that matters
    failure_ = reason;
    log_.add({.level = LogLevel::error, .kind = "failed", .text = reason});
    failure_code_ = code;
    stop();
}

void NodeLaunchers::stop() {
    if (stage_ == Stage::stopping || stage_ == Stage::ended) return;
    stage_ = Stage::stopping;
    stop_began_ = Clock::now();
    // Nobody reads from a pipe that is full: those are about to be killed.
    if (is_to_be_kept_ && was_ready_) lifeline_.say(std::string(order_to_keep) + "\n");
    lifeline_.end();
}

void NodeLaunchers::force() {
    stop();
    if (stage_ == Stage::ended) return;
    if (child_has_ended_) return aftermath_.abandon();
    if (stop_pressure_ < 2) forced_at_ = Clock::now();
    stop_pressure_ = 2;
    disorderly_ = true;
    child_.signal_group(SIGKILL);
}

void NodeLaunchers::finish() {
    stage_ = Stage::ended;
    log_.add({.level = has_lost_keys() ? LogLevel::error : LogLevel::info,
              .kind = "end",
              .text = end_text(ending(), was_ready_)});
    if (!how_child_ended_.empty()) say_what_is_gone();
    if (!aftermath_.failure().empty()) note(aftermath_.failure());
    if (const auto foreign = foreign_lines_.left_out(); !foreign.empty()) tell(foreign);
    // On other nodes the next start does it.
    if (disorderly_) shm::remove_stale_segments();
    log_.close();
}

std::string NodeLaunchers::progress() const {
    return of(nodes_.size(), plan_.nodes, "node") + ", " + of(managers_.size(), plan_.managers(), "manager");
}

std::string NodeLaunchers::missing() const {
    std::string text = progress() + " came up";
    if (nodes_.size() < plan_.nodes && plan_.allocation) {
        for (std::uint32_t i = 0; i < plan_.nodes; ++i) {
            if (!nodes_.contains(NodeId{i}))
                return text + ", nothing from " + plan_.allocation->nodes[i].name;
        }
    }
    for (std::uint32_t i = 0; i < plan_.managers(); ++i) {
        const auto node = nodes_.find(plan_.node_of(ShardId{i}));
        if (!managers_.contains(ShardId{i}) && node != nodes_.end())
            return text + ", manager " + std::to_string(i) + " on " + node->second + " does not answer";
    }
    const std::string waiting = exchanges_.waiting_for([&](std::uint32_t node) {
        const auto known = nodes_.find(NodeId{node});
        return known != nodes_.end() ? known->second : "node " + std::to_string(node);
    });
    return text + (waiting.empty() ? "" : ", " + waiting);
}

std::string NodeLaunchers::last_words() const {
    return slurm_error_.empty() ? std::string() : " (" + slurm_error_ + ")";
}

std::vector<std::string> NodeLaunchers::take_notices() {
    return std::exchange(notices_, {});
}

}  // namespace ddict::launcher
