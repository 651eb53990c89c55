// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

namespace ddict::os {
namespace {

constexpr int populate_write = 23;  // MADV_POPULATE_WRITE, which headers before 5.14 do not have

Error system_error(int code, const char* what) {
    // Where a touch would be a SIGBUS.
    return Error(code == EFAULT || code == ENOMEM || code == ENOSPC ? Errc::no_space : Errc::system,
                 std::string(what) + ": " + std::generic_category().message(code));
}

std::string text_of(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

Result<void> populate(std::byte* at, std::uint64_t bytes) {
    int failed = 0;
    do {
        failed = ::madvise(at, bytes, populate_write) == 0 ? 0 : errno;
    } while (failed == EINTR);
    return failed == 0 ? Result<void>() : system_error(failed, "filling memory");
}

/// Writes what is there, as one with any other write to that word.
void touch(std::byte* at, std::uint64_t bytes) {
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    for (std::uint64_t offset = 0; offset < bytes; offset += page)
        std::atomic_ref(*reinterpret_cast<std::uint64_t*>(at + offset))
            .fetch_or(0, std::memory_order_relaxed);
}

Result<void> want_huge_pages(std::byte* at, std::uint64_t bytes) {
    if (::madvise(at, bytes, MADV_HUGEPAGE) == 0) return {};
    return system_error(errno, "asking for huge pages");
}

std::string why_no_huge_pages(std::string_view folder, std::string_view mounts, std::string_view setting) {
    if (setting.empty()) return "this kernel has no huge pages for shared memory";
    constexpr const char* file = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    if (setting.find("[deny]") != std::string_view::npos)
        return std::string(file) + " says deny: have root write never or advise to it";
    if (setting.find("[force]") != std::string_view::npos) return {};
    std::string options;  // of what was mounted there last
    std::istringstream lines{std::string(mounts)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::string source;
        std::string target;
        std::string type;
        std::string here;
        if (fields >> source >> target >> type >> here && target == folder) options = "," + here + ",";
    }
    for (const char* const good : {",huge=always,", ",huge=within_size,", ",huge=advise,"})
        if (options.find(good) != std::string::npos) return {};
    return std::string(folder) + " gives none: have root do mount -o remount,huge=advise " +
           std::string(folder);
}

std::string why_no_huge_pages(std::string_view folder) {
    return why_no_huge_pages(folder, text_of("/proc/self/mounts"),
                             text_of("/sys/kernel/mm/transparent_hugepage/shmem_enabled"));
}

}  // namespace ddict::os
