// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The rendezvous file of a command's dictionary. A process of its own writes it, and removes it when the
// wrapper has ended, also by a kill: so a file system that does not answer holds up no command, and nothing
// stays behind but where that process is killed too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launcher/node_launchers.h"
#include "launcher/options.h"
#include "launcher/rendezvous_file.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

/// What there is to say of a dictionary that is ready, and that this process has launched.
RendezvousRecord record_of(const NodeLaunchers& launchers, const os::Environment& environment);

/// The wrapper's side. One thread.
class RecordKeeper {
  public:
    /// Starts the process; if it cannot be, publish() says why.
    RecordKeeper(const Options& options, const os::Environment& environment);
    /// Has the file removed, and waits for that a second at most.
    ~RecordKeeper();
    RecordKeeper(const RecordKeeper&) = delete;
    RecordKeeper& operator=(const RecordKeeper&) = delete;

    /// Has the file written; waits for that a second at most. Why it is not there; nothing if it is.
    std::optional<std::string> publish(const RendezvousRecord& record);
    /// Has it written anew. Does not wait, and does not say whether it could be.
    void update(const RendezvousRecord& record);

  private:
    bool send(const RendezvousRecord& record, NodeLaunchers::Clock::time_point deadline);

    os::ChildProcess process_;
    os::FileDescriptor records_;  // to the process
    bool is_cut_ = false;         // a record was sent in part
    os::FileDescriptor answers_;  // from it
    std::string trouble_;         // why there is no process
};

/// ddict-launch --keep-record FOLDER: reads records from its standard input, each with a NUL behind it, and
/// answers the first one with a line, empty or what has gone wrong.
int keep_record(const std::vector<std::string>& args, const os::Environment& environment);

}  // namespace ddict::launcher
