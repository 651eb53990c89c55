// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/client/platforms.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

namespace ddict::platforms {
namespace {

std::string why(const char* what) {
    return std::string(what) + ": " + std::strerror(errno);
}

/// From now on the call fails so in this process. `first_argument`: only where it has that value.
std::string refuse(unsigned call, int error, const unsigned* first_argument = nullptr) {
    std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0),
                                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    if (first_argument != nullptr) {
        program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, *first_argument, 1, 0));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)));
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return why("a filter of system calls");
    return {};
}

bool write_file(const char* path, const std::string& text) {
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    const bool written =
        fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (fd >= 0) ::close(fd);
    return written;
}

std::string unshared(int kinds, const char* what) {
    return ::unshare(kinds) == 0 ? std::string() : why(what);
}

std::string user_namespace_as(const std::string& inner_user, const std::string& inner_group) {
    const std::string user = std::to_string(::geteuid());
    const std::string group = std::to_string(::getegid());
    if (::unshare(CLONE_NEWUSER) != 0) return why("a user namespace");
    write_file("/proc/self/setgroups", "deny");
    if (!write_file("/proc/self/uid_map", inner_user + " " + user + " 1") ||
        !write_file("/proc/self/gid_map", inner_group + " " + group + " 1"))
        return why("a user of a user namespace");
    return {};
}

/// Of a namespace of processes the first child is the first member: this process waits for it, and ends as it
/// ends.
void go_on_in_child() {
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        return;
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

constexpr int new_time_namespace = 0x80;  // CLONE_NEWTIME

}  // namespace

std::string nothing() {
    return {};
}

// ---- system calls ----

std::string no_process_vm_readv() {
    return refuse(SYS_process_vm_readv, ENOSYS);
}

std::string process_vm_readv_not_permitted() {
    return refuse(SYS_process_vm_readv, EPERM);
}

std::string no_memfd_create() {
    return refuse(SYS_memfd_create, ENOSYS);
}

std::string no_unix_sockets() {
    constexpr unsigned family = AF_UNIX;
    return refuse(SYS_socket, EAFNOSUPPORT, &family);
}

// ---- namespaces ----

std::string user_namespace() {
    return user_namespace_as(std::to_string(::geteuid()), std::to_string(::getegid()));
}

std::string pid_namespace() {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return why("a PID namespace");
    go_on_in_child();
    if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) return why("/proc of a PID namespace");
    return {};
}

std::string network_namespace() {
    return unshared(CLONE_NEWNET, "a network namespace");
}

std::string ipc_namespace() {
    return unshared(CLONE_NEWIPC, "an IPC namespace");
}

std::string time_namespace() {
    if (::unshare(new_time_namespace) != 0) return why("a time namespace");
    if (!write_file("/proc/self/timens_offsets", "monotonic 1000000 0\nboottime 1000000 0\n"))
        return why("/proc/self/timens_offsets");
    go_on_in_child();
    return {};
}

std::string cgroup_namespace() {
    return unshared(CLONE_NEWCGROUP, "a cgroup namespace");
}

std::string container() {
    for (const Change change : {user_namespace, network_namespace, ipc_namespace, cgroup_namespace,
                                time_namespace, pid_namespace}) {
        if (std::string failure = change(); !failure.empty()) return failure;
    }
    return {};
}

// ---- the rest of the host ----

std::string another_group() {
    constexpr gid_t group = 65534;
    return ::setresgid(group, group, group) == 0 ? std::string() : why("another group, which takes root");
}

std::string many_interfaces() {
    constexpr int pairs = 125;
    // A program that is executed keeps the rights of root alone.
    if (const std::string failure = ::geteuid() == 0 ? "" : user_namespace_as("0", "0"); !failure.empty())
        return failure;
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return why("a network namespace");
    // UCX looks for devices there.
    if (::mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return why("/sys of a network namespace");
    std::FILE* const ip = ::popen("ip -batch -", "w");
    if (ip == nullptr) return why("ip");
    std::fputs("link set lo up\n", ip);
    for (int i = 0; i < pairs; ++i) {
        std::fprintf(ip, "link add a%d type veth peer name b%d\n", i, i);
        for (const char end : {'a', 'b'}) {
            std::fprintf(ip, "link set %c%d up\naddr add 10.%d.%d.1/24 dev %c%d\n", end, i,
                         end == 'a' ? 1 : 2, i, end, i);
        }
    }
    return ::pclose(ip) == 0 ? std::string() : "ip -batch failed";
}

std::string own_shared_memory() {
    if (::unshare(CLONE_NEWNS) != 0) return why("a mount namespace");
    return ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777") == 0 ? std::string() : why("/dev/shm");
}

std::string little_shared_memory() {
    if (::unshare(CLONE_NEWNS) != 0) return why("a mount namespace");
    return ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=64m,mode=1777") == 0 ? std::string()
                                                                               : why("/dev/shm");
}

std::string few_descriptors() {
    const rlimit few{.rlim_cur = 64, .rlim_max = 64};
    return ::setrlimit(RLIMIT_NOFILE, &few) == 0 ? std::string() : why("ulimit -n");
}

std::string no_standard_descriptors() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::close(fd);
    return {};
}

}  // namespace ddict::platforms
