// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a program inherits, and hands on.
#pragma once

namespace ddict::os {

/// Opens /dev/null on those of 0, 1 and 2 that are closed, so that no descriptor of ours, or of a library,
/// ever gets their numbers. For the first line of main(). Closed they stay for what is executed, and reading
/// or writing them fails as before (EBADF): output that nobody can have must not look as if it were written.
void ensure_standard_descriptors();

/// Marks an open descriptor to be closed by exec.
void close_on_exec(int fd) noexcept;

/// Marks all descriptors from `first` on to be closed by exec. Only system calls: allowed between fork and
/// exec.
void close_on_exec_from(int first);

/// Closes all descriptors from `first` on but `kept`.
void close_all_from(int first, int kept);

/// A descriptor above 2 for the same file, closed on exec; `fd` itself if it is above 2, else `fd` is closed.
/// -1 with errno set if there is none to be had; `fd` is closed then too.
int above_standard(int fd);

}  // namespace ddict::os
