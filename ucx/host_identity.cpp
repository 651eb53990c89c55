// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/host_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "base/hash.h"
#include "os/error.h"
#include "os/host_name.h"
#include "os/process_watch.h"

namespace ddict::ucx {
namespace {

/// Appends the boot id; false if the kernel does not tell.
Result<bool> add_boot(std::string& facts) {
    const char* path = "/proc/sys/kernel/random/boot_id";
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        if (errno == ENOENT || errno == EACCES) return false;
        return os::error_of(errno, std::string("reading ") + path);
    }
    std::array<char, 64> text;
    const ssize_t size = ::read(file, text.data(), text.size());
    ::close(file);
    if (size > 0) facts.append(text.data(), static_cast<std::size_t>(size));
    return size > 0;
}

/// Appends the namespace's number: they are unique within one boot while one of its processes lives.
bool add_namespace(std::string& facts, const char* path) {
    struct stat status {};
    if (::stat(path, &status) != 0) return false;
    facts += std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino) + '\n';
    return true;
}

}  // namespace

Result<ProcessIdentity> own_identity(bool has_shared_memory) {
    ProcessIdentity identity;
    identity.pid = static_cast<std::int32_t>(::getpid());
    const Result<std::uint64_t> start = os::start_time_of(identity.pid);
    // Where /proc does not show this process, it is alone.
    if (!start && start.error().code != Errc::manager_lost) return start.error();
    identity.start_time = start ? *start : 0;
    const Result<bool> watches = os::process_watch_supported();
    if (!watches) return watches.error();
    std::string facts;
    const Result<bool> boot = add_boot(facts);
    if (!boot) return boot.error();
    bool shares = has_shared_memory && *watches && identity.start_time != 0 && *boot;
    for (const char* path : {"/proc/self/ns/ipc", "/proc/self/ns/pid", "/proc/self/ns/net"}) {
        shares = shares && add_namespace(facts, path);
    }
    facts += std::to_string(::geteuid());
    if (!shares) {
        facts += "alone\n" + os::host_name() + '\n' + std::to_string(identity.pid) + '\n' +
                 std::to_string(identity.start_time);
    }
    identity.host_key = hash_of(bytes_of(facts));
    return identity;
}

}  // namespace ddict::ucx
