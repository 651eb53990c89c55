// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/deferred_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "tools/escapes.h"
#include "tools/standard_streams.h"

namespace ddict::tools {
namespace {

constexpr int of_output[] = {SIGPIPE, SIGXFSZ};
constexpr int ending[] = {SIGHUP,  SIGINT,  SIGQUIT,   SIGTERM, SIGALRM, SIGUSR1,
                          SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR};

volatile std::sig_atomic_t caught = 0;
// Open for reading only.
volatile std::sig_atomic_t unwritable_fd = -1;

/// A write that waits is interrupted; each that begins later fails.
void refuse_output(int number) {
    const int error = errno;
    caught = number;
    ::dup2(unwritable_fd, STDOUT_FILENO);
    errno = error;
}

}  // namespace

DeferredSignals::DeferredSignals() {
    unwritable_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    handle(of_output, action);
    action.sa_handler = refuse_output;
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // without SA_RESTART
    handle(ending, action);
}

DeferredSignals::~DeferredSignals() {
    restore();
    if (caught != 0) ::raise(caught);
    ::close(unwritable_fd);
}

void DeferredSignals::handle(std::span<const int> numbers, const struct sigaction& action) {
    for (const int number : numbers) {
        struct sigaction before {};
        if (::sigaction(number, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
        if (::sigaction(number, &action, nullptr) == 0) changed_.push_back({number, before});
    }
}

void DeferredSignals::restore() const {
    for (const Changed& changed : changed_)
        ::sigaction(changed.number, &changed.before, nullptr);
}

void DeferredSignals::fail(const std::string& why) const {
    if (caught != 0) {
        std::cerr << "ddict: " << printable_text(why) << '\n';
        restore();
        ::raise(caught);
    }
    throw OutputError(why);
}

}  // namespace ddict::tools
