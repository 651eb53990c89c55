// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/host_identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "os/boot_id.h"
#include "os/environment.h"
#include "os/host_name.h"
#include "os/process_stat.h"

namespace ddict::samehost {
namespace {

constexpr const char* variable = "DDICT_SAME_HOST";

}  // namespace

bool is_switched_off() noexcept {
    const char* const value = std::getenv(variable);
    return value != nullptr && std::string_view(value) == "0";
}

Result<ProcessIdentity> own_identity() {
    if (const Result<bool> flag = os::flag_in_environment(variable, true); !flag.has_value())
        return flag.error();
    ProcessIdentity identity;
    identity.pid = static_cast<std::int32_t>(::getpid());
    const Result<os::ProcessStat> self = os::process_stat(identity.pid);
    // Where /proc does not show this process, its start is not known.
    if (!self && self.error().code != Errc::manager_lost) return self.error();
    identity.start_time = self ? self->start_time : 0;
    struct stat pid_namespace {};
    if (self && ::stat("/proc/self/ns/pid", &pid_namespace) == 0)
        identity.pid_namespace = static_cast<std::uint32_t>(pid_namespace.st_ino);
    const Result<std::string> boot = os::boot_id();
    if (!boot) return boot.error();
    // Each mount of a tmpfs is a device of its own, also where it is bound into another namespace.
    struct stat shared_memory {};
    const bool shares = !is_switched_off() && !boot->empty() && ::stat("/dev/shm", &shared_memory) == 0;
    std::string facts =
        *boot + '\n' + std::to_string(shared_memory.st_dev) + '\n' + std::to_string(::geteuid());
    if (!shares) {
        facts += "\nalone\n" + os::host_name() + '\n' + std::to_string(identity.pid) + '\n' +
                 std::to_string(identity.start_time);
    }
    identity.host_key = hash_of(bytes_of(facts));
    return identity;
}

}  // namespace ddict::samehost
