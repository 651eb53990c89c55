// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/exec.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "launcher/find_record.h"
#include "launcher/launch_loop.h"
#include "launcher/progress_line.h"
#include "launcher/remote_host.h"
#include "launcher/run_command.h"
#include "os/child_process.h"
#include "os/host_name.h"
#include "os/signals.h"
#include "slurm/srun.h"

namespace ddict::launcher {
namespace {

// As the program ddict ends, for whom this finds dictionaries: 1 would say that a key is not there.
constexpr int exit_several = 2;
constexpr int exit_out_of_reach = 4;
constexpr int exit_other_failure = 6;

int status_of(const Error& error) {
    if (error.code == Errc::not_found) return exit_out_of_reach;
    return error.code == Errc::invalid_argument ? exit_several : exit_other_failure;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return pointers;
}

/// Only if it fails.
int become(std::vector<std::string> argv, const os::Environment& environment) {
    const os::FoundProgram found = os::find_program(argv[0], environment);
    if (found.error != 0) return say_not_runnable(argv[0], found.error);
    std::vector<std::string> variables;
    for (const auto& [name, value] : environment)
        variables.push_back(name + "=" + value);
    if (os::inherited().children_ignored) signal(SIGCHLD, SIG_IGN);
    for (int fd = 0; fd < 3; ++fd)
        if (os::inherited().standard_fd_closed[fd]) close(fd);
    execvpe(found.path.c_str(), pointers_to(argv).data(), pointers_to(variables).data());
    return say_not_runnable(argv[0], errno);
}

/// Whether the managers take clients of this host, on a node of their job or where its launcher is.
bool is_its_host(const RendezvousRecord& record, const os::Environment& environment) {
    const std::string here = os::host_name();
    return here == record.launcher.host ||
           std::find(record.nodes.begin(), record.nodes.end(), here) != record.nodes.end() ||
           (!record.job.empty() && os::value_of(environment, "SLURM_JOB_ID") == record.job &&
            !os::value_of(environment, "SLURMD_NODENAME").empty());
}

}  // namespace

int exec(const Options& options, const os::Environment& environment) {
    const auto found = find_running(options, environment);
    if (!found) {
        say(reason(found.error()));
        return status_of(found.error());
    }
    const RendezvousRecord& record = found->record;
    const bool is_in_job = !record.job.empty();
    const std::string folder = found->path.substr(0, found->path.rfind('/'));
    os::Environment variables = environment;
    const auto set_handle = [&](os::Environment& of) {
        for (const auto& [name, value] : handle_variables(record.handle, record.name, is_in_job))
            of[name] = value;
        // Programs look into the record, too (libclient/seeds.cpp).
        if (!options.state_dir.empty()) of["DDICT_STATE_DIR"] = folder;
    };
    if (is_its_host(record, environment)) {
        set_handle(variables);
        return become(options.command, variables);
    }
    const bool on_terminal = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
    if (record.of_hosts) {
        // The handle is in the record, which that host sees too: no command line is to have it.
        std::vector<std::string> args{"exec", "--name", record.name, "--state-dir", folder, "--"};
        args.insert(args.end(), options.command.begin(), options.command.end());
        return become(on_host(record.launcher.host, args, environment, on_terminal), environment);
    }
    if (!is_in_job) {
        say("'" + record.name + "' runs on " + record.launcher.host +
            ", for clients of that host: run this there");
        return exit_out_of_reach;
    }
    slurm::SrunCommand srun =
        slurm::srun_in_job(record.job, environment, options.command, {.on_terminal = on_terminal});
    set_handle(srun.environment);
    srun.environment["SLURM_EXIT_ERROR"] =
        std::to_string(exit_other_failure);  // of srun itself, not the command
    return become(srun.argv, srun.environment);
}

}  // namespace ddict::launcher
