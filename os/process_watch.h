// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A watch on another process of this host: the kernel's own word on whether it lives.
#pragma once

#include <cstdint>

#include <ddict/result.h>

#include "base/process_identity.h"

namespace ddict::os {

/// When a process was started, in clock ticks after the host's boot, whatever the time namespace. Errors:
/// manager_lost: there is no such process; system: it could not be found out.
Result<std::uint64_t> start_time_of(std::int32_t pid);

/// Whether this kernel can watch processes at all (Linux 5.3), and lets this one. Errors: system: it could
/// not be found out.
Result<bool> process_watch_supported();

/// Owns a pidfd: a file descriptor that becomes readable when the process ends, and is never fooled by a
/// reused pid.
class ProcessWatch {
  public:
    /// Errors: manager_lost: the process has ended, also if its pid is another process's now; bad_handle:
    /// there cannot be such a process; system: whether it lives could not be found out.
    static Result<ProcessWatch> open(const ProcessIdentity& process);

    ProcessWatch(ProcessWatch&& other) noexcept : fd_(other.fd_), pid_(other.pid_) { other.fd_ = -1; }
    ProcessWatch& operator=(ProcessWatch&& other) noexcept;
    ~ProcessWatch();

    int fd() const noexcept { return fd_; }
    /// False only if the kernel says that it has ended: what could not be found out is asked again next time.
    bool alive() const noexcept;
    /// Whether it has been stopped, by a signal or a debugger; also if that could not be found out.
    bool may_be_stopped() const;

  private:
    ProcessWatch(int fd, std::int32_t pid) noexcept : fd_(fd), pid_(pid) {}
    int fd_ = -1;
    std::int32_t pid_ = 0;
};

}  // namespace ddict::os
