// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Signals as events of a poll loop instead of interruptions.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>

#include <ddict/result.h>

#include "launcher/file_descriptor.h"

namespace ddict::launcher {

struct SignalEvent {
    int number = 0;
    // The terminal's own (Ctrl-C): every process of the foreground group has got it too.
    bool from_terminal = false;
};

/// Takes the signals out of ordinary delivery for the rest of the process's life. SIGPIPE is ignored from
/// then on.
class SignalFd {
  public:
    /// Those that this process was started to ignore (nohup) stay ignored.
    static Result<SignalFd> open(std::initializer_list<int> numbers);

    int fd() const { return fd_.fd(); }
    /// The next one, if there is one; does not wait.
    std::optional<SignalEvent> next() const;
    /// What was blocked before; children are started with it.
    const sigset_t& original_mask() const { return original_; }

  private:
    FileDescriptor fd_;
    sigset_t original_{};
};

}  // namespace ddict::launcher
