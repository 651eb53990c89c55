// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/process_watch.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "os/error.h"
#include "os/process_stat.h"

namespace ddict::os {
// glibc 2.36 declares its function for this without C linkage.
FileDescriptor open_pidfd(std::int32_t pid) {
    return FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

Result<ProcessWatch> ProcessWatch::open(const ProcessIdentity& process) {
    const std::string watching = "watching process " + std::to_string(process.pid);
    if (process.pid <= 0) return Error(Errc::bad_handle, watching + ": there is no such number");
    FileDescriptor pidfd = open_pidfd(process.pid);
    if (!pidfd.is_open()) {
        // The last two: the number is a thread's by now.
        if (errno == ESRCH || errno == EINVAL || errno == ENOENT) return process_ended(process.pid);
        return error_of(errno, watching);
    }
    ProcessWatch watch(std::move(pidfd));
    // Read after the descriptor was opened: an equal start time means that the descriptor is of the process
    // meant.
    const Result<ProcessStat> now = process_stat(process.pid);
    if (!watch.alive() || (now && now->start_time != process.start_time)) return process_ended(process.pid);
    if (now) return watch;
    if (now.error().code != Errc::manager_lost) return now.error();
    return Error(Errc::system, watching + ": it lives, but this process may not see it in /proc");
}

bool ProcessWatch::alive() const noexcept {
    // A call that fails (a signal is on its way, memory is short) or that knows no such descriptor tells
    // nothing.
    pollfd entry{pidfd_.fd(), POLLIN, 0};
    return ::poll(&entry, 1, 0) <= 0 || (entry.revents & POLLIN) == 0;
}

}  // namespace ddict::os
