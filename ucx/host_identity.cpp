// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/host_identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/hash.h"
#include "os/boot_id.h"
#include "os/host_name.h"
#include "os/process_stat.h"
#include "os/process_watch.h"

namespace ddict::ucx {
namespace {

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
    const Result<os::ProcessStat> self = os::process_stat(identity.pid);
    // Where /proc does not show this process, it is alone.
    if (!self && self.error().code != Errc::manager_lost) return self.error();
    identity.start_time = self ? self->start_time : 0;
    const Result<bool> watches = os::process_watch_supported();
    if (!watches) return watches.error();
    const Result<std::string> boot = os::boot_id();
    if (!boot) return boot.error();
    std::string facts = boot->empty() ? std::string() : *boot + '\n';
    bool shares = has_shared_memory && *watches && identity.start_time != 0 && !boot->empty();
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
