// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A watch on another process of this host: the kernel's own word on whether it lives.
#pragma once

#include <cstdint>
#include <utility>

#include <ddict/result.h>

#include "base/process_identity.h"
#include "os/file_descriptor.h"

namespace ddict::os {

/// Closed if there is no such process, or this kernel has none of these; errno says why.
FileDescriptor open_pidfd(std::int32_t pid);

/// Owns a pidfd: a file descriptor that becomes readable when the process ends, and is never fooled by a
/// reused pid.
class ProcessWatch {
  public:
    /// Errors: manager_lost: the process has ended, also if its pid is another process's now; bad_handle:
    /// there cannot be such a process; system: whether it lives could not be found out.
    static Result<ProcessWatch> open(const ProcessIdentity& process);

    int fd() const noexcept { return pidfd_.fd(); }
    /// False only if the kernel says that it has ended: what could not be found out is asked again next time.
    bool alive() const noexcept;

  private:
    explicit ProcessWatch(FileDescriptor pidfd) noexcept : pidfd_(std::move(pidfd)) {}
    FileDescriptor pidfd_;
};

}  // namespace ddict::os
