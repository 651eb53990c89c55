// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ddict::persist {
namespace {

// What is given to the kernel at once: it takes no more than 2 GiB.
constexpr std::size_t bytes_at_once_max = std::size_t{1} << 30;

Result<os::FileDescriptor> open_path(const std::filesystem::path& path, int flags, std::string_view doing) {
    int fd = -1;
    do
        fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return file_error(errno, doing, path);
    return os::FileDescriptor(fd);
}

}  // namespace

Error file_error(int error, std::string_view doing, const std::filesystem::path& path) {
    std::string text(doing);
    text.append(" ").append(path.string()).append(": ");
    text.append(error == ELOOP ? "it is a link, which somebody else may have put there: remove it"
                               : std::strerror(error));
    return Error(Errc::system, text);
}

Error about(Error error, const std::filesystem::path& path) {
    error.set_detail(path.string() + ": " + std::string(error.detail.data()));
    return error;
}

Result<os::FileDescriptor> create_file(const std::filesystem::path& path) {
    return open_path(path, O_WRONLY | O_CREAT | O_EXCL, "creating");
}

Result<os::FileDescriptor> open_file(const std::filesystem::path& path) {
    return open_path(path, O_RDONLY | O_NONBLOCK, "opening");  // it may be a pipe, which would wait
}

os::FileDescriptor open_no_link(const std::filesystem::path& path, int flags) noexcept {
    int fd = -1;
    do
        fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | flags, 0666);
    while (fd < 0 && errno == EINTR);
    os::FileDescriptor file(fd);
    struct stat status {};
    if (!file.is_open() || ::fstat(file.fd(), &status) != 0) return {};
    if (S_ISREG(status.st_mode)) return file;
    file.reset();
    errno = EINVAL;
    return {};
}

Result<std::uint64_t> size_of(const os::FileDescriptor& file, const std::filesystem::path& path) {
    struct stat status {};
    if (::fstat(file.fd(), &status) != 0) return file_error(errno, "reading", path);
    if (!S_ISREG(status.st_mode)) return about(Error(Errc::protocol, "it is no file"), path);
    return static_cast<std::uint64_t>(status.st_size);
}

Result<void> write_at(const os::FileDescriptor& file, std::uint64_t offset, Bytes bytes,
                      const std::filesystem::path& path) {
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(file.fd(), bytes.data(), std::min(bytes.size(), bytes_at_once_max),
                                         static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return file_error(written < 0 ? errno : ENOSPC, "writing", path);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
    return {};
}

Result<void> read_at(const os::FileDescriptor& file, std::uint64_t offset, MutableBytes bytes,
                     const std::filesystem::path& path) {
    while (!bytes.empty()) {
        const ssize_t read = ::pread(file.fd(), bytes.data(), std::min(bytes.size(), bytes_at_once_max),
                                     static_cast<off_t>(offset));
        if (read < 0 && errno == EINTR) continue;
        if (read < 0) return file_error(errno, "reading", path);
        if (read == 0) return about(Error(Errc::protocol, "damaged: it ends too early"), path);
        bytes = bytes.subspan(static_cast<std::size_t>(read));
        offset += static_cast<std::uint64_t>(read);
    }
    return {};
}

Result<void> sync(const os::FileDescriptor& file, const std::filesystem::path& path) {
    while (::fsync(file.fd()) != 0) {
        // A file system that cannot do it for a folder says EINVAL.
        if (errno == EINVAL) return {};
        if (errno != EINTR) return file_error(errno, "writing", path);
    }
    return {};
}

Result<void> sync_folder(const std::filesystem::path& path) {
    const Result<os::FileDescriptor> folder = open_path(path, O_RDONLY | O_DIRECTORY, "opening");
    if (!folder) return folder.error();
    return sync(*folder, path);
}

Result<void> make_folder(const std::filesystem::path& path) {
    if (::mkdir(path.c_str(), 0777) == 0)
        return sync_folder(path.has_parent_path() ? path.parent_path() : ".");
    const int error = errno;
    std::error_code none;
    if (error == EEXIST && std::filesystem::is_directory(path, none)) return {};
    return file_error(error, "creating the folder", path);
}

}  // namespace ddict::persist
