// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/pool_filler.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "os/pages.h"

namespace ddict::manager {
namespace {

// A few milliseconds of the kernel's: who stops it, or needs the file's lock, waits no longer.
constexpr std::uint64_t piece_bytes = std::uint64_t{8} << 20;
constexpr int least_urgent = 19;

}  // namespace

PoolFiller::PoolFiller(const shm::Segment& memory, bool huge_pages, std::function<void(const Filled&)> on_end)
    : memory_(memory),
      huge_pages_(huge_pages),
      on_end_(std::move(on_end)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void PoolFiller::run(const std::stop_token& stop) {
    // On a core that is the manager's alone, requests come first. Of this thread only, on Linux.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), least_urgent);
    const auto begin = std::chrono::steady_clock::now();
    Filled filled;
    while (filled.bytes < memory_.size() && filled.result) {
        if (stop.stop_requested()) return;
        const std::uint64_t to = std::min(memory_.size(), filled.bytes + piece_bytes);
        filled.result = fill(filled.bytes, to);
        if (filled.result) filled.bytes = to;
    }
    filled.took = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    on_end_(filled);
}

/// Reserving says in words when there is no more. But what is reserved before it is touched is no huge page.
Result<void> PoolFiller::fill(std::uint64_t from, std::uint64_t to) const {
    if (huge_pages_) [[maybe_unused]]
        const bool tried = os::populate(memory_.data() + from, to - from).has_value();
    if (memory_.reserved_bytes() < to) {
        if (const Result<void> reserved = memory_.reserve(from, to); !reserved) return reserved;
    }
    const Result<void> mapped = os::populate(memory_.data() + from, to - from);
    if (!mapped && mapped.error().code == Errc::system) os::touch(memory_.data() + from, to - from);
    return {};
}

}  // namespace ddict::manager
