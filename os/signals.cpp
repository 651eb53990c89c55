// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/signals.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ddict::os {
namespace {

constexpr int order_value = 0x64646963;

// The kernel sends them for what the program itself does, and waits for no mask.
constexpr int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
// Stopping and continuing are between a shell and its job; the others end nobody.
constexpr int not_ending[] = {SIGSTOP, SIGTSTP, SIGTTIN,  SIGTTOU, SIGCONT,
                              SIGCHLD, SIGURG,  SIGWINCH, SIGPIPE, SIGKILL};

Inherited& remembered() {
    static Inherited inherited;
    return inherited;
}

bool is_ignored(int number) {
    struct sigaction now {};
    return sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

/// What the kernel takes for rt_sigaction. All but the handler is zero in each of its layouts.
struct KernelAction {
    void (*handler)(int);
    unsigned long rest[8];
};

/// glibc keeps two signals to itself, and its own calls refuse their numbers.
void change_handler(int number, void (*from)(int), void (*to)(int)) {
    constexpr std::size_t mask_bytes = 8;
    KernelAction now{};
    if (syscall(SYS_rt_sigaction, number, nullptr, &now, mask_bytes) != 0 || now.handler != from) return;
    const KernelAction wanted{to, {}};
    syscall(SYS_rt_sigaction, number, &wanted, nullptr, mask_bytes);
}

/// Calls `change` for the signals that ignore_reserved_signals() is about.
template <class Change>
void for_each_reserved(const Change& change) {
    for (const int number : faults)
        change(number);
    for (int number = __SIGRTMIN; number < SIGRTMIN; ++number)
        change(number);
}

}  // namespace

bool SignalEvent::asks_to_end() const {
    return ordered || number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT;
}

sigset_t outside_signals() {
    sigset_t set;
    sigfillset(&set);
    for (const int number : faults)
        sigdelset(&set, number);
    return set;
}

sigset_t ending_signals() {
    sigset_t set = outside_signals();
    for (const int number : not_ending)
        sigdelset(&set, number);
    return set;
}

void ignore_reserved_signals() {
    // A fault of this process is delivered all the same: the kernel insists.
    for_each_reserved([](int number) { change_handler(number, SIG_DFL, SIG_IGN); });
}

void restore_reserved_signals() {
    for_each_reserved([](int number) {
        if (sigismember(&remembered().reserved_ignored, number) != 1)
            change_handler(number, SIG_IGN, SIG_DFL);
    });
}

Result<SignalFd> SignalFd::open(std::initializer_list<int> numbers) {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int number : numbers)
        sigaddset(&wanted, number);
    return open(wanted);
}

Result<SignalFd> SignalFd::open(const sigset_t& wanted) {
    sigset_t taken = wanted;
    for (int number = 1; number <= SIGRTMAX; ++number) {
        if (is_ignored(number)) sigdelset(&taken, number);
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
    return SignalEvent{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL,
                       info.ssi_signo == static_cast<unsigned>(order_signal()) && info.ssi_code == SI_QUEUE &&
                           info.ssi_int == order_value};
}

int order_signal() {
    return SIGRTMAX;
}

int order_to_end(int pidfd) {
    siginfo_t info{};
    info.si_signo = order_signal();
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = order_value;
    const bool sent = syscall(SYS_pidfd_send_signal, pidfd, order_signal(), &info, 0) == 0;
    return sent || errno == ESRCH ? 0 : errno;
}

void remember_inherited() {
    Inherited& inherited = remembered();
    inherited.pipe_ignored = is_ignored(SIGPIPE);
    inherited.children_ignored = is_ignored(SIGCHLD);
    sigemptyset(&inherited.reserved_ignored);
    for_each_reserved([&](int number) {
        if (is_ignored(number)) sigaddset(&inherited.reserved_ignored, number);
    });
    for (int fd = 0; fd < 3; ++fd)
        inherited.standard_fd_closed[fd] = fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

const Inherited& inherited() {
    return remembered();
}

}  // namespace ddict::os
