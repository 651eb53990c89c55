// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/ending.h"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>

#include "os/host_name.h"
#include "shm/directory_segment.h"
#include "shm/reader.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

enum class Trace {
    serving,  // or not known
    ended,    // a manager says so, or its pool is gone
    none,     // no directory: what was here has been removed
};

Trace trace_of(const Handle& handle) {
    const auto directory = shm::DirectorySegment::open(handle.dictionary_id);
    if (!directory) return directory.error().code == Errc::dictionary_gone ? Trace::none : Trace::serving;
    const shm::DirectoryIdentity& identity = directory->identity();
    std::uint32_t gone = 0;
    for (std::uint32_t i = 0; i < identity.local_managers; ++i) {
        const auto pool = shm::PoolReader::open({.dictionary_id = handle.dictionary_id,
                                                 .secret = handle.secret,
                                                 .manager = identity.first_local_manager + i});
        if (pool && (*pool)->ended_with_dictionary()) return Trace::ended;
        if (!pool && pool.error().code == Errc::dictionary_gone) ++gone;
    }
    return gone > 0 && gone == identity.local_managers ? Trace::ended : Trace::serving;
}

/// Whether a process has the same /dev/shm as this one.
bool shares_memory_with(std::int64_t pid) {
    const std::string folder = "/dev/shm";
    const std::string its_root = "/proc/" + std::to_string(pid) + "/root";
    struct stat here {};
    struct stat there {};
    return stat(folder.c_str(), &here) == 0 && stat((its_root + folder).c_str(), &there) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

}  // namespace

bool is_ending(const RendezvousRecord& record) {
    const auto handle = Handle::parse(record.handle);
    const bool has_manager_here =
        std::find(record.nodes.begin(), record.nodes.end(), os::host_name()) != record.nodes.end();
    if (!handle || !has_manager_here) return false;
    const Trace trace = trace_of(*handle);
    return trace == Trace::ended || (trace == Trace::none && shares_memory_with(record.launcher.pid));
}

bool has_ended_here(const Handle& handle) {
    return handle.nodes == 1 && !handle.seeds.empty() && handle.seeds.front().node == os::host_name() &&
           trace_of(handle) != Trace::serving;
}

bool wait_until_gone(const std::string& path, const std::string& dictionary,
                     const os::FileDescriptor& process, milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    constexpr int look_again_ms = 50;
    for (;;) {
        if (!process.is_open()) {
            const auto record = read_record(path);
            if (record ? record->dictionary != dictionary : record.error().code == Errc::not_found)
                return true;
        }
        const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) return false;
        pollfd waiting{process.fd(), POLLIN, 0};
        // Over a network file system there is nothing to wait on but the file itself.
        const int wait_ms = static_cast<int>(process.is_open() ? left : std::min<long>(left, look_again_ms));
        if (poll(&waiting, 1, wait_ms) > 0) return true;
    }
}

}  // namespace ddict::launcher
