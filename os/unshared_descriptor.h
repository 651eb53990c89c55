// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "os/file_descriptor.h"

namespace ddict::os {

/// A file descriptor that a child of fork() does not have: it is closed there before fork() returns. So the
/// other end of a socket learns when this process ends, whatever its children do. In the child the number is
/// free for others; an object of this class must not be destroyed there.
///
/// Threads: objects may be made and destroyed in any; a fork waits meanwhile. Cost: a lock and a short list.
class UnsharedDescriptor {
  public:
    UnsharedDescriptor() = default;
    /// std::bad_alloc if memory is missing; the descriptor is closed then.
    explicit UnsharedDescriptor(FileDescriptor descriptor);
    /// What `open` returns, while no thread can fork: a child never has it, not even for a moment. errno is
    /// that of `open`.
    static UnsharedDescriptor make(const std::function<FileDescriptor()>& open);
    UnsharedDescriptor(UnsharedDescriptor&&) noexcept = default;
    UnsharedDescriptor& operator=(UnsharedDescriptor&&) noexcept = default;
    ~UnsharedDescriptor() { reset(); }

    int fd() const noexcept { return descriptor_.fd(); }
    bool is_open() const noexcept { return descriptor_.is_open(); }
    void reset() noexcept;

  private:
    FileDescriptor descriptor_;
};

}  // namespace ddict::os
