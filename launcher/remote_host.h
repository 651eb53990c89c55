// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionaries of --hosts that were started on another host: what is asked there goes by the remote shell of
// whoever asks (--rsh, DDICT_RSH, or ssh), never by one that a record names.
#pragma once

#include <string>
#include <vector>

#include "launcher/rendezvous_file.h"
#include "os/environment.h"

namespace ddict::launcher {

/// The command that runs ddict-launch with these arguments on a host; on_terminal: where a terminal can be
/// had there (ssh), on one.
std::vector<std::string> on_host(const std::string& host, const std::vector<std::string>& args,
                                 const os::Environment& environment, bool on_terminal = false);

/// Whether that process lives on its host, which is asked for some seconds at most.
Verdict ask_host(const ProcessRecord& process, const os::Environment& environment);

/// ddict-launch --lives: of a process of this host. Prints alive or stale, and returns 0.
int print_liveness(const std::vector<std::string>& args);

}  // namespace ddict::launcher
