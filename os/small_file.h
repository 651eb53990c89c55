// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <span>
#include <string>

namespace ddict::os {

/// Reads the beginning of a small file, of /proc say, as much as fits. Without stdio, which allocates.
/// Returns the number of bytes, or -errno.
ssize_t read_small_file(const char* path, std::span<char> into) noexcept;
/// Its first line, as far as that fits into 256 bytes; empty if it cannot be read.
std::string first_line_of(const char* path);

}  // namespace ddict::os
