// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/read_counters.h"

namespace ddict::client {

std::unique_ptr<ReadCounters::Thread> ReadCounters::make() {
    if (!shared_) shared_.emplace(shm::ReadCounts::open(*directory_));
    auto made = std::make_unique<Thread>();
    if (*shared_) return made;
    made->unseen_ = std::make_unique<shm::AtomicWord[]>(directory_->identity().local_managers);
    made->column_ = made->unseen_.get();
    return made;
}

ReadCounters::Thread& ReadCounters::of_this_thread() {
    const std::thread::id self = std::this_thread::get_id();
    const auto known = threads_.find(self);
    if (known != threads_.end()) return *known->second;
    Thread& made = *threads_.emplace(self, make()).first->second;
    if (*shared_) made.column_ = (*shared_)->take_column();
    return made;
}

void ReadCounters::end(std::thread::id thread) noexcept {
    const auto found = threads_.find(thread);
    if (found == threads_.end()) return;
    const Thread& ended = *found->second;
    ended_ += ended.own_.get();
    if (ended.unseen_ == nullptr) (*shared_)->release(ended.column_);
    threads_.erase(found);
}

void ReadCounters::end_all() noexcept {
    while (!threads_.empty())
        end(threads_.begin()->first);
}

std::uint64_t ReadCounters::sum() const noexcept {
    std::uint64_t sum = ended_;
    for (const auto& [thread, reads] : threads_)
        sum += reads->own_.get();
    return sum;
}

}  // namespace ddict::client
