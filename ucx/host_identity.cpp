// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/host_identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "core/hash.h"
#include "ucx/process_watch.h"

namespace ddict::ucx {
namespace {

/// Appends the boot id; false if the kernel does not tell.
bool add_boot(std::string& facts) {
    std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == nullptr) return false;
    std::array<char, 64> text;
    const std::size_t size = std::fread(text.data(), 1, text.size(), file);
    std::fclose(file);
    facts.append(text.data(), size);
    return size != 0;
}

/// Appends the namespace's number: they are unique within one boot while one of its processes lives.
bool add_namespace(std::string& facts, const char* path) {
    struct stat status {};
    if (::stat(path, &status) != 0) return false;
    facts += std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino) + '\n';
    return true;
}

}  // namespace

ProcessIdentity own_identity(bool has_shared_memory) {
    ProcessIdentity identity;
    identity.pid = static_cast<std::int32_t>(::getpid());
    identity.start_time = start_time_of(identity.pid).value_or(0);
    std::string facts;
    bool shares =
        has_shared_memory && process_watch_supported() && identity.start_time != 0 && add_boot(facts);
    for (const char* path : {"/proc/self/ns/ipc", "/proc/self/ns/pid", "/proc/self/ns/net"}) {
        shares = shares && add_namespace(facts, path);
    }
    facts += std::to_string(::geteuid());
    if (!shares) {
        std::array<char, 256> host{};
        ::gethostname(host.data(), host.size() - 1);
        facts += std::string("alone\n") + host.data() + '\n' + std::to_string(identity.pid) + '\n' +
                 std::to_string(identity.start_time);
    }
    identity.host_key = hash_of(bytes_of(facts));
    return identity;
}

}  // namespace ddict::ucx
