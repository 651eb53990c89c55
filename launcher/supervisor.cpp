// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/supervisor.h"

#include <unistd.h>

#include <algorithm>

#include "shm/segment.h"
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

/// What is started, and with which environment.
struct Command {
    std::string program;
    std::vector<std::string> argv;
    Environment environment;
};

Result<Command> node_launcher_command(const LaunchPlan& plan, const Environment& environment) {
    const std::string self = own_program();
    const std::vector<std::string> args = node_arguments(node_plan(plan));
    Command command{self, {"ddict-launch"}, environment};
    if (plan.allocation) {
        slurm::NodeLauncherStep step;
        step.program = self;
        step.args = args;
        step.nodes = plan.nodes;
        step.pmix_timeout = std::chrono::ceil<std::chrono::seconds>(plan.timeout) + std::chrono::seconds(5);
        auto srun = slurm::srun_for_node_launchers(*plan.allocation, environment, step);
        if (!srun) return srun.error();
        const FoundProgram found = find_program(srun->argv[0], environment);
        if (found.error != 0)
            return Error(Errc::system,
                         "this is a Slurm job, but there is no srun in PATH: add Slurm's bin folder to it")
                .set_operation(Operation::launch);
        command = {found.path, std::move(srun->argv), std::move(srun->environment)};
    } else {
        command.argv.insert(command.argv.end(), args.begin(), args.end());
    }
    // Not an argument: those everyone can read.
    command.environment[secret_variable] = secret_text(plan.identity.secret);
    return command;
}

std::string of(std::size_t have, std::size_t want, std::string_view noun) {
    return std::to_string(have) + " of " + std::to_string(want) + " " + std::string(noun) +
           (want == 1 ? "" : "s");
}

}  // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::start(const LaunchPlan& plan,
                                                      const Environment& environment) {
    std::unique_ptr<Supervisor> supervisor(new Supervisor(plan));
    if (const auto launched = supervisor->launch(environment); !launched) return launched.error();
    return supervisor;
}

Result<void> Supervisor::launch(const Environment& environment) {
    const auto command = node_launcher_command(plan_, environment);
    if (!command) return command.error();
    auto lifeline = make_pipe();
    auto events = make_pipe();
    auto errors = make_pipe();
    if (!lifeline || !events || !errors) return (!lifeline ? lifeline : !events ? events : errors).error();

    SpawnOptions options;
    options.program = command->program;
    options.argv = command->argv;
    options.environment = command->environment;
    options.standard_fds = {lifeline->read_end.fd(), events->write_end.fd(), errors->write_end.fd()};
    options.close_other_fds = true;
    // Ctrl-C at the terminal is for the user's command; srun above all must not see it.
    options.own_process_group = true;
    auto child = ChildProcess::spawn(options);
    if (!child) return child.error();
    child_ = *std::move(child);
    lifeline_ = std::move(lifeline->write_end);
    events_ = std::move(events->read_end);
    errors_ = std::move(errors->read_end);
    set_non_blocking(events_.fd());
    set_non_blocking(errors_.fd());
    start_deadline_ = Clock::now() + plan_.timeout;
    return {};
}

Supervisor::~Supervisor() {
    if (!child_.running()) return;
    child_.signal_group(SIGKILL);
}

void Supervisor::add_poll_entries(std::vector<pollfd>& fds) const {
    fds.push_back({events_.fd(), POLLIN, 0});
    fds.push_back({errors_.fd(), POLLIN, 0});
    fds.push_back({child_.running() ? child_.pidfd() : -1, POLLIN, 0});
}

int Supervisor::wait_ms() const {
    switch (stage_) {
        case Stage::starting: {
            const auto left = std::chrono::ceil<milliseconds>(start_deadline_ - Clock::now()).count();
            return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
        }
        case Stage::ready:
            return destroyed_ ? 50 : 3'600'000;
        case Stage::stopping:
            return 50;
        case Stage::ended:
            return 0;
    }
    return 0;
}

void Supervisor::advance() {
    if (stage_ == Stage::ended) return;
    // The child's last words are in the pipes before it can be found dead.
    const auto status = child_.reap();
    read_errors();
    read_events();
    if (status) on_child_ended(*status);
    apply_deadlines();
}

void Supervisor::read_events() {
    if (!events_.is_open()) return;
    std::vector<std::string> lines;
    const auto state = event_lines_.read_from(events_.fd(), lines);
    for (const std::string& line : lines) {
        if (const auto event = parse_event(line)) {
            on_event(*event);
        } else if (!line.empty()) {
            notices_.push_back(line);
        }
    }
    if (state == LineReader::State::ended) events_.reset();
}

/// Managers' and node launchers' words go on to the user; srun's are kept, since the end of a step is no
/// news.
void Supervisor::read_errors() {
    if (!errors_.is_open()) return;
    std::vector<std::string> lines;
    const auto state = error_lines_.read_from(errors_.fd(), lines);
    for (std::string& line : lines) {
        if (plan_.allocation && slurm::is_srun_chatter(line)) continue;
        const bool of_slurm =
            plan_.allocation && (line.starts_with("srun: ") || line.starts_with("slurmstepd"));
        if (of_slurm) slurm_error_ = line;
        const bool wanted = stage_ == Stage::ready && line.find("error: ") != std::string::npos;
        if (!of_slurm || wanted) notices_.push_back(std::move(line));
    }
    if (state == LineReader::State::ended) errors_.reset();
}

void Supervisor::on_event(const Event& event) {
    switch (event.kind) {
        case Event::Kind::node:
            nodes_[event.index] = event.node;
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
        case Event::Kind::error:
            // Of a node that failed at the last moment, when others were ready already, somebody must hear.
            if (stage_ == Stage::ready)
                note("the node launcher on " + event.node + " has failed: " + event.text +
                     ": its managers are gone");
            return fail(event.node.empty() ? event.text : event.node + ": " + event.text, event.code);
        case Event::Kind::lost:
            lost_[event.manager] = event.node + ": " + event.text;
            if (stage_ == Stage::ready)
                note("manager " + std::to_string(event.manager) + " on " + event.node + " " + event.text +
                     ": its keys are lost (manager_lost); those of the other managers still work");
            return;
        case Event::Kind::stopped:
            if (event.text == stopped_by_client && !destroyed_) {
                destroyed_ = was_ready_;
                destroyed_at_ = Clock::now();
            }
            if (stage_ == Stage::ready && event.text != stopped_by_client)
                note("the node launcher on " + event.node + " was ended from outside (" + event.text +
                     "): its managers are gone");
            return;
    }
}

void Supervisor::on_child_ended(const ExitStatus& status) {
    child_ended_ = Clock::now();
    const std::string who = plan_.allocation ? "srun" : "the node launcher";
    disorderly_ = status.signalled;
    if (stage_ == Stage::starting) {
        fail(who + " " + status.describe() + last_words());
    } else if (stage_ == Stage::ready) {
        if (!destroyed_) note(who + " " + status.describe() + ": the dictionary is gone");
        stop();
    }
}

void Supervisor::apply_deadlines() {
    const auto now = Clock::now();
    if (stage_ == Stage::starting && now >= start_deadline_) {
        fail("not ready within " + std::to_string(plan_.timeout.count() / 1000) + " s: " + missing() +
                 last_words() + "; see ddict-launch --check, or raise --timeout",
             Errc::timeout);
    }
    if (stage_ == Stage::ready && destroyed_ && now - destroyed_at_ >= destroy_grace) stop();
    if (stage_ != Stage::stopping) return;
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
        finish();
    }
}

void Supervisor::fail(const std::string& reason, Errc code) {
    if (stage_ != Stage::starting) return;  // the first reason is the one that matters
    failure_ = reason;
    failure_code_ = code;
    stop();
}

void Supervisor::stop() {
    if (stage_ == Stage::stopping || stage_ == Stage::ended) return;
    stage_ = Stage::stopping;
    stop_began_ = Clock::now();
    lifeline_.reset();
}

void Supervisor::force() {
    stop();
    if (stage_ == Stage::ended) return;
    if (stop_pressure_ < 2) forced_at_ = Clock::now();
    stop_pressure_ = 2;
    disorderly_ = true;
    child_.signal_group(SIGKILL);
}

void Supervisor::finish() {
    stage_ = Stage::ended;
    // On other nodes the next start does it.
    if (disorderly_) shm::remove_stale_segments();
}

std::string Supervisor::progress() const {
    return of(nodes_.size(), plan_.nodes, "node") + ", " + of(managers_.size(), plan_.managers(), "manager");
}

std::string Supervisor::missing() const {
    std::string text = progress() + " came up";
    if (nodes_.size() < plan_.nodes && plan_.allocation) {
        for (std::uint32_t i = 0; i < plan_.nodes; ++i) {
            if (!nodes_.contains(i)) return text + ", nothing from " + plan_.allocation->nodes[i].name;
        }
    }
    for (std::uint32_t i = 0; i < plan_.managers(); ++i) {
        const auto node = nodes_.find(i / plan_.managers_per_node);
        if (!managers_.contains(i) && node != nodes_.end())
            return text + ", manager " + std::to_string(i) + " on " + node->second + " does not answer";
    }
    return text;
}

std::string Supervisor::last_words() const {
    return slurm_error_.empty() ? std::string() : " (" + slurm_error_ + ")";
}

std::vector<std::string> Supervisor::take_notices() {
    return std::exchange(notices_, {});
}

}  // namespace ddict::launcher
