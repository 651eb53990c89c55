// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/small_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "os/file_descriptor.h"

namespace ddict::os {

ssize_t read_small_file(const char* path, std::span<char> into) noexcept {
    const FileDescriptor file(::open(path, O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) return -errno;
    const ssize_t bytes = ::read(file.fd(), into.data(), into.size());
    return bytes < 0 ? -errno : bytes;
}

std::string first_line_of(const char* path) {
    std::array<char, 256> buffer;
    const ssize_t bytes = read_small_file(path, buffer);
    const std::string_view text(buffer.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    return std::string(text.substr(0, text.find('\n')));
}

}  // namespace ddict::os
