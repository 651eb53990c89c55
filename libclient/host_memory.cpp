// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/host_memory.h"

#include <link.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>

#include <ddict/codec.h>

#include "libclient/coarse_clock.h"

namespace ddict::client {
namespace {

// Of CUDA, ROCm and Level Zero: without one of them no address in this process is a GPU's.
constexpr std::array<std::string_view, 5> gpu_libraries{"libcuda.so", "libamdhip64.so", "libhsa-runtime64.so",
                                                        "libze_loader.so", "libze_intel_gpu.so"};
// A runtime takes longer to begin than this.
constexpr std::int64_t nanoseconds_between_looks = 4'000'000;
// A thread whose last look was longer ago calls so seldom that it can look each time.
constexpr std::int64_t nanoseconds_of_often = 1'000'000;
constexpr std::uintptr_t page_bytes = 4096;  // the least that there are
// Of a buffer that is used again and again: how often it counts as good before the kernel is asked again.
constexpr unsigned uses_of_good_page = 16;

constinit thread_local std::int64_t last_look = 0;
constinit thread_local std::uintptr_t good_page = 0;
constinit thread_local unsigned uses_left = 0;
std::atomic<std::int64_t> next_look{0};
std::atomic<unsigned long long> libraries_seen{0};

bool is_of_gpu(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    return std::any_of(gpu_libraries.begin(), gpu_libraries.end(),
                       [name](std::string_view library) { return name.starts_with(library); });
}

/// A system call that reads some bytes from the address, and then finds that it has no descriptor to use them
/// with.
bool can_be_read(Bytes memory) noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::uintptr_t page = first / page_bytes;
    if (page == good_page && uses_left > 0) {
        --uses_left;
        return true;
    }
    const int before = errno;
    // What it reads is within the page, which begins and ends where the value may not.
    const std::uintptr_t at = std::min(first, (page + 1) * page_bytes - sizeof(epoll_event));
    const bool is_readable = ::syscall(SYS_epoll_ctl, -1, EPOLL_CTL_ADD, -1, at) == 0 || errno != EFAULT;
    errno = before;
    good_page = page;
    uses_left = is_readable ? uses_of_good_page : 0;
    return is_readable;
}

struct Look {
    unsigned long long seen;
    unsigned long long now = 0;
    bool has_gpu = false;
};

int look_at(dl_phdr_info* library, std::size_t, void* to) {
    Look& look = *static_cast<Look*>(to);
    look.now = library->dlpi_adds;
    if (look.now == look.seen) return 1;  // no library was loaded since the last look
    look.has_gpu = look.has_gpu || (library->dlpi_name != nullptr && is_of_gpu(library->dlpi_name));
    return look.has_gpu ? 1 : 0;
}

}  // namespace

void GpuWatch::look(std::chrono::steady_clock::time_point time) noexcept {
    const std::int64_t now = time.time_since_epoch().count();
    std::int64_t next = next_look.load(std::memory_order_relaxed);
    if (now < next || memory_probe.load(std::memory_order_relaxed) != nullptr) return;
    if (!next_look.compare_exchange_strong(next, now + nanoseconds_between_looks, std::memory_order_relaxed))
        return;
    Look look{.seen = libraries_seen.load(std::memory_order_relaxed)};
    ::dl_iterate_phdr(look_at, &look);
    libraries_seen.store(look.now, std::memory_order_relaxed);
    if (look.has_gpu) memory_probe.store(can_be_read, std::memory_order_relaxed);
}

void GpuWatch::look_at_clock() noexcept {
    const auto now = coarse_now();
    const std::int64_t passed = now.time_since_epoch().count() - last_look;
    calls_until_look_ = passed < nanoseconds_of_often ? calls_between_looks : 0;
    last_look += passed;
    look(now);
}

}  // namespace ddict::client

namespace ddict::detail {

bool can_be_read(std::span<const std::byte> memory) noexcept {
    return client::can_be_sent(memory);
}

Result<void> check_target(std::span<const std::byte> memory) {
    client::GpuWatch::look_at_times();
    if (is_host_memory(memory)) return {};
    return no_host_memory_to_receive();
}

}  // namespace ddict::detail
