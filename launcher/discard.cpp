// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/discard.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string_view>

#include "launcher/host_file.h"
#include "launcher/launch_loop.h"
#include "launcher/node_check.h"
#include "launcher/node_step.h"
#include "launcher/progress_line.h"
#include "os/child_process.h"
#include "os/host_name.h"
#include "shm/kept_dictionary.h"
#include "slurm/allocation.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

constexpr std::string_view name_argument = "--name=";
constexpr std::string_view count_prefix = "@ddict-discarded ";
constexpr std::chrono::seconds step_timeout{60};

/// How many there were.
Result<std::uint64_t> discard_on_this_host(const std::string& name) {
    const auto all = shm::list_kept();
    if (!all) return all.error();
    std::uint64_t discarded = 0;
    for (const shm::KeptDictionary& kept : *all) {
        if (kept.name != name) continue;
        const auto done = shm::discard_kept(kept.dictionary_id);
        if (!done && done.error().code == Errc::dictionary_gone) continue;  // another has done it
        if (!done && done.error().code == Errc::busy)
            return Error(Errc::busy, "'" + name + "' on " + os::host_name() +
                                         " is being resumed by another process: it is that one's to end");
        if (!done) return done.error();
        ++discarded;
    }
    return discarded;
}

Result<std::uint64_t> discard_on_nodes(const Options& options, const slurm::Allocation& job,
                                       const os::Environment& environment) {
    std::vector<std::string> nodes;
    for (const auto& node : job.nodes)
        nodes.push_back(node.name);
    const slurm::SrunCommand srun =
        short_step(job, options.hosts.empty() ? std::vector<std::string>() : remote_shell(options),
                   environment, nodes, {"--discard-here", std::string(name_argument) + options.name});
    const auto ran = os::capture_output(srun.argv, srun.environment, step_timeout);
    if (!ran) return ran.error();
    if (!ran->status.success()) return Error(Errc::system, last_line(ran->errors));
    std::uint64_t discarded = 0;
    std::istringstream lines(ran->output);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(count_prefix)) continue;
        std::uint64_t count = 0;
        std::from_chars(line.data() + count_prefix.size(), line.data() + line.size(), count);
        discarded += count;
    }
    return discarded;
}

}  // namespace

int discard(const Options& options, const os::Environment& environment) {
    const auto job = find_allocation(options, environment);
    if (!job.has_value()) return say_unprepared(job.error());
    const auto discarded =
        *job ? discard_on_nodes(options, **job, environment) : discard_on_this_host(options.name);
    if (!discarded) {
        say("cannot discard '" + options.name + "': " + reason(discarded.error()));
        return exit_bring_up_failed;
    }
    if (*discarded != 0) return 0;
    say("nothing is kept under the name '" + options.name + "' " +
        (*job ? std::string(options.hosts.empty() ? "on the nodes of this job" : "on these hosts")
              : "on this host"));
    return exit_bring_up_failed;
}

int discard_here(const std::vector<std::string>& args) {
    if (args.size() != 1 || !args[0].starts_with(name_argument)) {
        say("--discard-here is for ddict-launch itself, not for people");
        return exit_usage;
    }
    const auto discarded = discard_on_this_host(args[0].substr(name_argument.size()));
    if (!discarded) {
        say(reason(discarded.error()));
        return exit_bring_up_failed;
    }
    std::cout << count_prefix << *discarded << std::endl;
    return 0;
}

}  // namespace ddict::launcher
