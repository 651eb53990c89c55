// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/own_host/own_host.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace ddict::testing {
namespace {

bool write_file(const char* path, const std::string& text) {
    std::ofstream file(path);
    return static_cast<bool>(file << text << std::flush);
}

std::string failure(const char* call) {
    return std::string(call) + ": " + std::strerror(errno);
}

/// /tmp stays: the programs, or the source, may lie there.
std::string make_own_temporary_folder() {
    constexpr const char* folder = "/mnt";
    for (const char* needed : {"/proc/self/exe", "/proc/self/cwd"}) {
        std::error_code none;
        const auto path = std::filesystem::read_symlink(needed, none).string();
        if (path.starts_with("/mnt/")) return {};
    }
    if (mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0)
        return failure("mount of /mnt");
    setenv("TMPDIR", folder, 1);
    return {};
}

}  // namespace

std::string enter_own_host() {
    const uid_t user = geteuid();
    const gid_t group = getegid();
    const int own = CLONE_NEWNS | CLONE_NEWIPC;
    if (unshare(user == 0 ? own : own | CLONE_NEWUSER) != 0) return failure("unshare");
    if (user != 0) {
        write_file("/proc/self/setgroups", "deny");
        if (!write_file("/proc/self/uid_map", std::to_string(user) + " " + std::to_string(user) + " 1"))
            return failure("uid_map");
        if (!write_file("/proc/self/gid_map", std::to_string(group) + " " + std::to_string(group) + " 1"))
            return failure("gid_map");
    }
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failure("mount of /");
    if (mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0)
        return failure("mount of /dev/shm");
    return make_own_temporary_folder();
}

void enter_own_host_or_say_why_not() {
    if (const std::string why = enter_own_host(); !why.empty())
        std::fprintf(
            stderr,
            "no /dev/shm of its own for this test (%s): dictionaries that others run here can disturb it\n",
            why.c_str());
}

}  // namespace ddict::testing
