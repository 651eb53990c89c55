// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/restart.h"

#include <poll.h>

#include <string>

#include "launcher/find_record.h"
#include "launcher/launch_loop.h"
#include "launcher/run_command.h"
#include "os/child_process.h"

namespace ddict::launcher {

int restart(const Options& options, const os::Environment& environment) {
    const auto found = find_running(options, environment);
    if (!found) {
        say(reason(found.error()));
        return exit_bring_up_failed;
    }
    os::SpawnOptions spawn;
    spawn.program = ddict_program();
    spawn.argv = {"ddict", "restart", std::to_string(options.manager)};
    spawn.environment = environment;
    spawn.environment["DDICT_HANDLE"] = found->record.handle;
    spawn.as_inherited = true;
    auto child = os::ChildProcess::spawn(spawn);
    if (!child) {
        say(spawn.program + ": " + reason(child.error()));
        return exit_bring_up_failed;
    }
    for (;;) {
        if (const auto status = child->reap()) return status->for_shell();
        pollfd end{child->pidfd(), POLLIN, 0};
        poll(&end, 1, -1);
    }
}

}  // namespace ddict::launcher
