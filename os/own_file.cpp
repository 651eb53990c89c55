// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/own_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "os/file_descriptor.h"

namespace ddict::os {
namespace {

Error not_believed(const std::string& why) {
    return Error(Errc::access_denied, why + ", so it is not believed");
}

Error belongs_to(uid_t owner) {
    return not_believed("this file belongs to user " + std::to_string(owner));
}

/// Why it could not be opened.
Error open_error(const std::string& path, int error) {
    if (error == ENOENT) return Error(Errc::not_found, "there is no " + path);
    if (error == ELOOP) return not_believed("this is a link, not a file");
    struct stat info {};
    if (error == EACCES && ::lstat(path.c_str(), &info) == 0 && info.st_uid != ::geteuid())
        return belongs_to(info.st_uid);
    if (error == ENXIO) return Error(Errc::protocol, "this is no file of ddict-launch");  // a socket
    return Error(Errc::system, std::string("it cannot be opened: ") + std::strerror(error));
}

}  // namespace

std::string mode_text(mode_t mode) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777));
    return text.data();
}

Result<std::string> read_own_file(const std::string& path, std::size_t bytes_max) {
    const FileDescriptor file(
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    if (!file.is_open()) return open_error(path, errno);
    struct stat info {};
    if (::fstat(file.fd(), &info) != 0)
        return Error(Errc::system, std::string("cannot look at it: ") + std::strerror(errno));
    if (!S_ISREG(info.st_mode)) return Error(Errc::protocol, "this is no file of ddict-launch");
    if (info.st_uid != ::geteuid()) return belongs_to(info.st_uid);
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return not_believed("others may write to this file (mode " + mode_text(info.st_mode) + ")");
    std::string text;
    std::array<char, 4096> chunk;
    for (;;) {
        const ssize_t got = ::read(file.fd(), chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error(Errc::system, std::string("it cannot be read: ") + std::strerror(errno));
        if (got == 0) return text;
        text.append(chunk.data(), static_cast<std::size_t>(got));
        if (text.size() > bytes_max) return Error(Errc::protocol, "this is no file of ddict-launch");
    }
}

}  // namespace ddict::os
