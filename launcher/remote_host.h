// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionaries of --hosts that were started on another host: what is asked there goes by the remote shell of
// whoever asks (--rsh, DDICT_RSH, or ssh), never by one that a record names.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "launcher/rendezvous_file.h"
#include "os/environment.h"

namespace ddict::launcher {

/// The command that runs ddict-launch with these arguments on a host; on_terminal: where a terminal can be
/// had there (ssh), on one.
std::vector<std::string> on_host(const std::string& host, const std::vector<std::string>& args,
                                 const os::Environment& environment, bool on_terminal = false);

/// What other hosts say of processes there. Each host is asked once, for some seconds at most: at the first
/// question, of all processes there that were foreseen.
class OtherHosts {
  public:
    explicit OtherHosts(const os::Environment& environment) : environment_(environment) {}

    /// There will be a question about this dictionary, if it is one of another host of --hosts.
    void foresee(const RendezvousRecord& record);
    /// Whether that process lives on its host.
    Verdict ask(const ProcessRecord& process);

  private:
    struct Asked {
        ProcessRecord process;
        std::optional<Verdict> verdict;
    };
    Asked& find(const ProcessRecord& process);
    void ask_host(const std::string& host);

    const os::Environment& environment_;
    std::deque<Asked> asked_;
};

/// ddict-launch --lives: of processes of this host, six words each. Prints a line for each, and returns 0.
int print_liveness(const std::vector<std::string>& args);

}  // namespace ddict::launcher
