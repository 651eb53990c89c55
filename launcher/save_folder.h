// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The folder of --save. One ddict-launch at a time saves there under one name: two would load, and remove,
// what the other has saved. Who has it holds a lock (flock) on DIR/NAME/.ddict-launch for its life, has
// written there who it is, and touches the file every few seconds.
//
// What that relies on: 1. Among the processes of one kernel its lock is certain: where it can be had, the
// owner named in the file has ended. 2. So it is among hosts where the file system's locks join them (NFS
// with its lock service, Lustre mounted with "flock", CephFS, Storage Scale). Where they do not, or where
// there are no locks, an owner that lives is known by its touches: one of another host that has not touched
// the file for `dead_after` has died. 3. Of two that begin at the same moment on hosts that no lock joins,
// the one that has written last has it: the other learns that from check(), or from its next touch.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <ddict/result.h>

#include "os/environment.h"

namespace ddict::launcher {

/// Whether the folder of --save can be saved to; makes it if its parent is there. It is better to fail at
/// once than at the end of a long job.
Result<void> prepare_save_folder(const std::string& folder);

/// For one thread. A thread of its own touches the file, so that nobody else waits for the file system.
class SaveFolder {
  public:
    struct Timing {
        std::chrono::milliseconds touch{4'000};
        std::chrono::milliseconds dead_after{14'000};
    };
    /// Makes DIR/NAME. Waits for `dead_after` only if the last owner was of another host, or where there are
    /// no locks, and has not said that it ended. Errors: busy, naming the owner's job, host and process;
    /// system.
    static Result<SaveFolder> take(const std::string& dir, const std::string& name,
                                   const os::Environment& environment, const Timing& timing);
    static Result<SaveFolder> take(const std::string& dir, const std::string& name,
                                   const os::Environment& environment) {
        return take(dir, name, environment, Timing());
    }
    SaveFolder(SaveFolder&&) noexcept = default;
    SaveFolder& operator=(SaveFolder&&) = delete;
    /// Releases it, unless the file system does not answer: then the end of the process does.
    ~SaveFolder();

    /// Reads whose it is. Errors: busy, if another one has written there meanwhile; system.
    Result<void> check() const;
    /// Readable when another one has been found to have it: take_notice() says so once.
    int fd() const;
    std::optional<std::string> take_notice();

  private:
    struct State;
    explicit SaveFolder(std::shared_ptr<State> state);
    static void touch_it(const std::shared_ptr<State>& state, std::chrono::milliseconds interval);

    std::shared_ptr<State> state_;  // shared with the thread, which a file system may hold up
};

}  // namespace ddict::launcher
