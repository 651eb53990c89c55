// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/unshared_descriptor.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace ddict::os {
namespace {

struct Registry {
    std::mutex mutex;
    std::vector<int> descriptors;
};

/// Never destroyed: objects of other files may outlive those of this one.
Registry& registry() {
    static Registry* const made = new Registry;
    return *made;
}

// While the library is loaded: then no other thread has begun to use the registry. Closing is one of the few
// things that are allowed between fork and exec.
[[maybe_unused]] const int closed_in_children =
    ::pthread_atfork([] { registry().mutex.lock(); }, [] { registry().mutex.unlock(); },
                     [] {
                         for (const int fd : registry().descriptors)
                             ::close(fd);
                         registry().descriptors.clear();
                         registry().mutex.unlock();
                     });

}  // namespace

UnsharedDescriptor::UnsharedDescriptor(FileDescriptor descriptor) : descriptor_(std::move(descriptor)) {
    if (!descriptor_.is_open()) return;
    const std::lock_guard lock(registry().mutex);
    registry().descriptors.push_back(descriptor_.fd());
}

UnsharedDescriptor UnsharedDescriptor::make(const std::function<FileDescriptor()>& open) {
    const std::lock_guard lock(registry().mutex);
    registry().descriptors.reserve(registry().descriptors.size() + 1);
    UnsharedDescriptor made;
    made.descriptor_ = open();
    if (made.is_open()) registry().descriptors.push_back(made.fd());
    return made;
}

void UnsharedDescriptor::reset() noexcept {
    if (!descriptor_.is_open()) return;
    const std::lock_guard lock(registry().mutex);
    std::erase(registry().descriptors, descriptor_.fd());
    descriptor_.reset();
}

}  // namespace ddict::os
