// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/boot_id.h"

#include <array>
#include <cerrno>
#include <string_view>

#include "os/error.h"
#include "os/small_file.h"

namespace ddict::os {

Result<std::string> boot_id() {
    constexpr const char* path = "/proc/sys/kernel/random/boot_id";
    std::array<char, 64> buffer;
    const ssize_t bytes = read_small_file(path, buffer);
    if (bytes == -ENOENT || bytes == -EACCES) return std::string();
    if (bytes < 0) return error_of(static_cast<int>(-bytes), std::string("reading ") + path);
    const std::string_view text(buffer.data(), static_cast<std::size_t>(bytes));
    return std::string(text.substr(0, text.find('\n')));
}

}  // namespace ddict::os
