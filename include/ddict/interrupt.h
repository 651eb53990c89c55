// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How a program ends calls that wait, before their deadline: an interpreter whose user presses Ctrl-C, an
// event loop that shuts down.
#pragma once

namespace ddict {

/// Asked now and then by a thread that waits in a call, about ten times a second, from inside the call: it
/// must not call the dictionary, nor throw. True ends the call as if its deadline were now: its error is
/// timeout, in doubt if it was a change that has been sent. Operations that were begun (put_async) go on,
/// also if it was their wait() that was ended, and so does what a call of several messages has left to send,
/// until it waits again. create() is not asked.
using InterruptCheck = bool (*)();

/// The check of this process, for all dictionaries and threads from now on; null for none. Returns the one
/// before. Any thread. Cost: none to calls that do not wait.
InterruptCheck set_interrupt_check(InterruptCheck check) noexcept;

}  // namespace ddict
