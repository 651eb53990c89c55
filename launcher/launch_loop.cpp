// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/launch_loop.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "launcher/bootstrap.h"
#include "launcher/client_hosts.h"
#include "launcher/host_file.h"
#include "launcher/output.h"
#include "launcher/progress_line.h"
#include "os/environment.h"
#include "shm/kept_dictionary.h"

namespace ddict::launcher {
namespace {

constexpr int progress_ms = 100;
constexpr std::chrono::milliseconds last_words_grace{1'000};

/// On this host, which need not be one of the dictionary's. Kept too, it could not be told from that one.
void warn_of_kept(LaunchPlan& plan) {
    const Result<std::vector<shm::KeptDictionary>> all = shm::list_kept();
    if (!all) {
        plan.remarks.push_back("cannot tell whether another dictionary named '" + plan.name +
                               "' is kept in memory: " + reason(all.error()));
        return;
    }
    if (std::any_of(all->begin(), all->end(),
                    [&](const shm::KeptDictionary& kept) { return kept.name == plan.name; }))
        plan.remarks.push_back("another dictionary named '" + plan.name +
                               "' is kept in memory: --resume goes on with it, ddict-launch discard gives it "
                               "back");
}

}  // namespace

std::string reason(const Error& error) {
    return error.detail[0] != '\0' ? std::string(error.detail.data()) : error.message();
}

Result<LaunchPlan> prepare(const Options& options, const os::Environment& environment) {
    const auto allocation = find_allocation(options, environment);
    if (!allocation.has_value()) return allocation.error();
    const auto identity = make_identity();
    if (!identity) return identity.error();
    auto plan =
        plan_launch(options, *allocation, *identity, static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
    if (plan && plan->allocation) {
        plan->bootstrap =
            plan->in_job() ? choose_bootstrap(options.bootstrap, environment) : Bootstrap::streams;
        ClientHosts hosts = find_client_hosts(*plan, **allocation, environment);
        plan->client_hosts = std::move(hosts.hosts);
        plan->hosts_trouble = hosts.trouble;
        if (!hosts.trouble.empty()) plan->remarks.push_back(hosts.trouble);
    }
    if (plan && !options.resume && options.verb != Verb::check) warn_of_kept(*plan);
    if (plan) {
        for (const std::string& remark : plan->remarks)
            say(remark);
        const auto tasks = environment.find("SLURM_STEP_NUM_TASKS");
        const auto rank = environment.find("SLURM_PROCID");
        if (options.verb == Verb::run && tasks != environment.end() && tasks->second != "1" &&
            rank != environment.end() && rank->second == "0")
            say("each of the " + tasks->second +
                " tasks of this step starts a dictionary of its own: for one that all share, ddict-launch -- "
                "srun ...");
    }
    return plan;
}

int say_unprepared(const Error& error) {
    say(reason(error));
    return error.code == Errc::invalid_argument ? exit_usage : exit_bring_up_failed;
}

std::vector<std::pair<std::string, std::string>> handle_variables(const std::string& handle,
                                                                  const std::string& name, bool in_job) {
    std::vector<std::pair<std::string, std::string>> variables{{"DDICT_HANDLE", handle},
                                                               {"DDICT_NAME", name}};
    if (in_job) variables.emplace_back("SLURM_DDICT_HANDLE", handle);
    return variables;
}

LaunchLoop::Turn LaunchLoop::turn(std::span<const int> extra_fds, int wait_ms_max) {
    std::vector<pollfd> fds{{signals_.fd(), POLLIN, 0}, {standard_error().poll_fd(), POLLOUT, 0}};
    for (const int fd : extra_fds)
        fds.push_back({fd, POLLIN, 0});
    const std::size_t own = fds.size();
    launchers_.add_poll_entries(fds);
    poll(fds.data(), fds.size(), std::min(wait_ms_max, launchers_.wait_ms()));
    Turn happened;
    if (fds[0].revents != 0) {
        while (const auto signal = signals_.next())
            happened.signals.push_back(*signal);
    }
    for (std::size_t i = own - extra_fds.size(); i < own; ++i)
        happened.extra = happened.extra || fds[i].revents != 0;
    if (fds[1].revents != 0) standard_error().flush();
    launchers_.advance();
    if (const auto notices = launchers_.take_notices(); !notices.empty()) {
        progress_.clear();
        for (const std::string& notice : notices)
            standard_error().add(notice + "\n");
    }
    return happened;
}

LaunchLoop::BringUp LaunchLoop::bring_up(int cancel_fd, Signals meaning) {
    const auto began = NodeLaunchers::Clock::now();
    BringUp result;
    while (launchers_.stage() == NodeLaunchers::Stage::starting) {
        const Turn happened = turn(cancel_fd, progress_.active() ? progress_ms : 60'000);
        const auto seconds =
            std::chrono::duration_cast<std::chrono::seconds>(NodeLaunchers::Clock::now() - began);
        progress_.show("ddict: " + launchers_.progress() + ", " + std::to_string(seconds.count()) + " s");
        result.abandoned = happened.extra && at_end(cancel_fd);
        int end_signals = 0;
        for (const os::SignalEvent& signal : happened.signals) {
            if (meaning == Signals::cancel && signal.asks_to_end() && ++end_signals == 1)
                result.signal = signal.number;
        }
        if (result.abandoned || result.signal != 0) {
            progress_.clear();
            launchers_.stop();
            end_signals_ = 1;
            if (end_signals > 1) launchers_.force();
            return result;
        }
    }
    progress_.clear();
    result.ready = launchers_.stage() == NodeLaunchers::Stage::ready;
    result.reason = launchers_.failure();
    result.code = launchers_.failure_code();
    return result;
}

void LaunchLoop::tear_down(Signals meaning) {
    launchers_.stop();
    while (launchers_.stage() != NodeLaunchers::Stage::ended) {
        for (const os::SignalEvent& signal : turn(-1, 1'000).signals) {
            if (meaning == Signals::cancel && signal.asks_to_end() && ++end_signals_ > 1) launchers_.force();
        }
    }
    standard_error().flush_within(last_words_grace);
}

bool at_end(int fd) {
    char ignored[256];
    const ssize_t got = read(fd, ignored, sizeof ignored);
    return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

}  // namespace ddict::launcher
