// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// To be preloaded: kills a node launcher before a call that changes which names there are. Which call says
// DDICT_TEST_KILL_AT, counted from 1. Other programs are let alone.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace {

bool is_node_launcher() {
    char line[256] = {};
    const int fd = ::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? 0 : ::read(fd, line, sizeof line - 1);
    if (fd >= 0) ::close(fd);
    const std::size_t program = std::strlen(line);
    return got > static_cast<ssize_t>(program + 1) && std::strcmp(line + program + 1, "--node") == 0;
}

void count_call() {
    static const char* const given = std::getenv("DDICT_TEST_KILL_AT");
    static const bool counts = given != nullptr && is_node_launcher();
    static long calls = 0;
    if (counts && ++calls == std::atol(given)) ::kill(::getpid(), SIGKILL);
}

template <class F>
F next(const char* name) {
    return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int link(const char* from, const char* to) noexcept {
    count_call();
    return next<int (*)(const char*, const char*)>("link")(from, to);
}
int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
    count_call();
    return next<int (*)(int, const char*, int, const char*, int)>("linkat")(from_folder, from, to_folder, to,
                                                                            flags);
}
int unlink(const char* path) noexcept {
    count_call();
    return next<int (*)(const char*)>("unlink")(path);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
    count_call();
    return next<int (*)(int, const char*, int)>("unlinkat")(folder, path, flags);
}
}
