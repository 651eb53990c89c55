// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace ddict::launcher {

Result<SignalFd> SignalFd::open(std::initializer_list<int> numbers) {
    sigset_t taken;
    sigemptyset(&taken);
    for (const int number : numbers) {
        struct sigaction now {};
        sigaction(number, nullptr, &now);
        if (now.sa_handler != SIG_IGN) sigaddset(&taken, number);
    }
    SignalFd signals;
    sigprocmask(SIG_BLOCK, &taken, &signals.original_);
    signal(SIGPIPE, SIG_IGN);
    signals.fd_ = FileDescriptor(signalfd(-1, &taken, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!signals.fd_.is_open())
        return Error(Errc::system, "no signalfd to be had: raise the limit of open files (ulimit -n)")
            .set_operation(Operation::launch);
    return signals;
}

std::optional<SignalEvent> SignalFd::next() const {
    signalfd_siginfo info;
    if (read(fd_.fd(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
    return SignalEvent{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL};
}

}  // namespace ddict::launcher
