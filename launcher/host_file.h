// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Where there is no Slurm: the hosts of a file, as Open MPI and MPICH read them and as PBS (PBS_NODEFILE) and
// LSF (LSB_DJOB_HOSTFILE) write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "launcher/options.h"
#include "os/environment.h"
#include "slurm/allocation.h"

namespace ddict::launcher {

/// A host a line: its name, and after it what counts slots ("slots=4", "max_slots=8", "4", "name:4"), which
/// is passed over; '#' begins a comment. Each host once, where it stands first. invalid_argument, naming the
/// line.
Result<std::vector<std::string>> parse_host_file(std::string_view text);

/// Whether this command, which is not empty, is OpenSSH's client.
bool is_ssh(const std::vector<std::string>& shell);

/// The words of --rsh. Of ssh, with what keeps it from asking questions, and has it notice a host that is
/// gone, behind the user's own options, which win.
std::vector<std::string> remote_shell(const Options& options);

/// The line by which such a shell runs this program, with these variables besides those that are there.
std::string remote_line(const os::Environment& variables, const std::vector<std::string>& args);

/// Whether this name means the host that this process runs on.
bool is_this_host(std::string_view name);

/// The nodes to choose from: those of --hosts, whose job_id is empty, or those of a job of Slurm; none: this
/// machine. invalid_argument if that cannot be understood, or both are there.
Result<std::optional<slurm::Allocation>> find_allocation(const Options& options,
                                                         const os::Environment& environment);

}  // namespace ddict::launcher
