// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Files and folders as checkpoints need them: every call that fails says what of which path, and why. All of
// it may take as long as the file system does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include <ddict/result.h>

#include "base/bytes.h"
#include "os/file_descriptor.h"

namespace ddict::persist {

/// Errc::system. `doing`: "writing".
Error file_error(int error, std::string_view doing, const std::filesystem::path& path);
/// The error, with the name of the file that it is about.
Error about(Error error, const std::filesystem::path& path);

/// For writing; must not be there yet.
Result<os::FileDescriptor> create_file(const std::filesystem::path& path);
Result<os::FileDescriptor> open_file(const std::filesystem::path& path);
/// For reading and writing, whoever may write to its folder: a link to another file is refused, and what is
/// no file. `flags`: O_CREAT or O_EXCL with it. On failure errno says why; it is ELOOP for a link.
os::FileDescriptor open_no_link(const std::filesystem::path& path, int flags = 0) noexcept;
Result<std::uint64_t> size_of(const os::FileDescriptor& file, const std::filesystem::path& path);
Result<void> write_at(const os::FileDescriptor& file, std::uint64_t offset, Bytes bytes,
                      const std::filesystem::path& path);
/// All of them; protocol where the file ends before.
Result<void> read_at(const os::FileDescriptor& file, std::uint64_t offset, MutableBytes bytes,
                     const std::filesystem::path& path);
/// Returns when what was written is on the medium.
Result<void> sync(const os::FileDescriptor& file, const std::filesystem::path& path);
Result<void> sync_folder(const std::filesystem::path& path);
/// No error if it is there.
Result<void> make_folder(const std::filesystem::path& path);

}  // namespace ddict::persist
