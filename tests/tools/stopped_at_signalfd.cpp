// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// To be preloaded: stops a process when it first makes a descriptor of signals, which "ddict queue take ...
// -- COMMAND" does between an item and its value.
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

extern "C" int signalfd(int fd, const sigset_t* mask, int flags) noexcept {
    static bool is_first = true;
    if (is_first) ::kill(::getpid(), SIGSTOP);
    is_first = false;
    constexpr std::size_t kernel_set_bytes = 8;
    return static_cast<int>(::syscall(SYS_signalfd4, fd, mask, kernel_set_bytes, flags));
}
