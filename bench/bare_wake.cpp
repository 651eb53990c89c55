// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/bare_wake.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <thread>

#include "os/file_descriptor.h"

namespace ddict::bench {
namespace {

constexpr int look_every_ms = 1000;

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

os::FileDescriptor new_event() {
    os::FileDescriptor event(::eventfd(0, EFD_CLOEXEC));
    if (event.fd() < 0) fail("eventfd");
    return event;
}

void signal(const os::FileDescriptor& event) {
    const std::uint64_t one = 1;
    if (::write(event.fd(), &one, sizeof(one)) != sizeof(one)) fail("write to an eventfd");
}

void wait_for(const os::FileDescriptor& event) {
    pollfd entry{.fd = event.fd(), .events = POLLIN, .revents = 0};
    while (::poll(&entry, 1, look_every_ms) != 1) {
    }
    std::uint64_t count = 0;
    if (::read(event.fd(), &count, sizeof(count)) != sizeof(count)) fail("read from an eventfd");
}

std::chrono::nanoseconds time_of_this_thread() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

BareWake time_of_bare_wake(std::chrono::duration<double> idle) {
    const os::FileDescriptor request = new_event();
    const os::FileDescriptor reply = new_event();
    std::chrono::duration<double> used{};
    std::thread sleeper([&] {
        const std::chrono::nanoseconds before = time_of_this_thread();
        wait_for(request);
        signal(reply);
        used = time_of_this_thread() - before;
    });
    std::this_thread::sleep_for(idle);
    const auto asked = std::chrono::steady_clock::now();
    signal(request);
    wait_for(reply);
    const auto answered = std::chrono::steady_clock::now();
    sleeper.join();
    return {.there_and_back = answered - asked, .percent_of_a_core = 100 * used / idle};
}

}  // namespace ddict::bench
