// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Descriptors that a library has opened for itself, without close-on-exec, found by the epoll sets that it
// waits on: Linux lists what is registered in a set in /proc/thread-self/fdinfo. So they are told from those
// of the program, however many other threads open at that moment.
//
// Another thread may close one of them after it was listed, and its number be somebody else's then. So each
// is compared with the list just before it is marked, by its inode. What is left of that race is the time
// between two system calls.
#pragma once

namespace ddict::os {

/// The epoll descriptor of this process that `fd` is registered in, -1 if there is none or that cannot be
/// found out. `fd` has an inode of its own, as sockets and pipes have. Costs some microseconds for each
/// descriptor of the process.
int epoll_set_with(int fd);

/// How far to go.
enum class Registered {
    in_set,          ///< what is registered in the set itself
    in_nested_sets,  ///< and in sets in it
};

/// Marks what is registered in an epoll set, but not the set, to be closed by exec. Never allocates. Returns
/// 0, or the errno of what kept it from finding out. Costs some microseconds, and less than one for each.
int close_registered_on_exec(int epoll, Registered which) noexcept;

/// Marks the other ends of the pipes that are registered in an epoll set to be closed by exec. Returns 0, or
/// the errno of what kept it from finding out. Costs a microsecond for each descriptor of the process.
int close_other_pipe_ends_on_exec(int epoll);

}  // namespace ddict::os
