// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The least that a process must do which sleeps until it is asked: what an idle manager, and the first
// request after that, are compared with. How long a processor takes to wake up is the host's doing, from some
// microseconds to milliseconds where it is a virtual one.
#pragma once

#include <chrono>

namespace ddict::bench {

struct BareWake {
    std::chrono::nanoseconds there_and_back;
    /// Of one core, by a thread that slept through all of it but for one look a second.
    double percent_of_a_core;
};

/// A thread of this process sleeps for `idle`, looks up once in a second as a manager does, and is then woken
/// up by a message and answers it. Throws std::system_error.
BareWake time_of_bare_wake(std::chrono::duration<double> idle);

}  // namespace ddict::bench
