// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Signals as events of a poll loop instead of interruptions, and those that this process was started with.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>

#include <ddict/result.h>

#include "os/file_descriptor.h"

namespace ddict::os {

struct SignalEvent {
    int number = 0;
    // The terminal's own (Ctrl-C): every process of the foreground group has got it too.
    bool from_terminal = false;
    // Sent by order_to_end(), and not by somebody who signals a whole job.
    bool ordered = false;

    /// INT, TERM, HUP or QUIT, or ordered: whoever sends it wants an end.
    bool asks_to_end() const;
};

/// All signals that would end a process which does not care for them, but for those of a program's own fault
/// (SEGV and the like) and PIPE.
sigset_t ending_signals();
/// All that can be blocked, but for those of a program's own fault.
sigset_t outside_signals();
/// Nobody outside can end or stop this process by a signal any more, but for KILL and STOP. What it does
/// itself (a fault, abort()) still ends it. Those that have a handler keep it; outside_signals() should be
/// taken by a SignalFd before.
void ignore_reserved_signals();
/// For a program that is started as this one was: what ignore_reserved_signals() has ignored is not any more.
/// Only system calls.
void restore_reserved_signals();

/// Takes the signals out of ordinary delivery for the rest of the process's life. SIGPIPE is ignored from
/// then on.
class SignalFd {
  public:
    /// Those that this process was started to ignore (nohup) stay ignored.
    static Result<SignalFd> open(const sigset_t& wanted);
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

/// What order_to_end() sends: a real-time signal. One of the others would be lost while the same is pending.
int order_signal();
/// Tells a process to end, in such a way that it knows this for an order, and not for a signal to a whole
/// job. 0, or why it cannot be sent; that the process has ended is not told.
int order_to_end(int pidfd);

/// What this process was started with and a program that it starts for the user must have again: the signals
/// that are ignored although their default is not, and which of the standard descriptors were closed.
struct Inherited {
    bool pipe_ignored = false;
    bool children_ignored = false;
    sigset_t reserved_ignored{};  // of those that ignore_reserved_signals() is about
    bool standard_fd_closed[3] = {};
};
/// At the beginning of main(), before anything is changed.
void remember_inherited();
const Inherited& inherited();

}  // namespace ddict::os
