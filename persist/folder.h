// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What is in the folders of checkpoints, and who holds them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "os/file_descriptor.h"
#include "persist/format.h"

namespace ddict::persist {

inline constexpr const char* commit_name = "commit";
inline constexpr const char* new_commit_name = "commit.new";
inline constexpr const char* writing_name = "writing";  // locked by who writes the checkpoint
inline constexpr const char* lock_name = ".lock";       // locked while folders come and go

/// What the folder of a dictionary is called: its name, with %XX for what a folder cannot be called.
std::string folder_name(std::string_view dictionary);
/// "000012", and back.
std::string generation_name(std::uint64_t generation);
std::optional<std::uint64_t> generation_of(const std::filesystem::path& folder);

/// Folders in this one, in the order of their names; without those that begin with a dot.
Result<std::vector<std::filesystem::path>> folders_in(const std::filesystem::path& folder);
bool has_commit(const std::filesystem::path& folder);
Result<Commit> read_commit(const std::filesystem::path& folder);

enum class Holder { nobody, somebody, unknown };
/// Who writes the checkpoint in this folder.
Holder holder_of(const std::filesystem::path& folder);
/// Makes the file and locks it. Errors: system, also where the file system has no locks.
Result<os::FileDescriptor> hold(const std::filesystem::path& folder);
/// The lock of a dictionary's folder; not open where the file system has no locks. Errors: system; timeout.
Result<os::FileDescriptor> lock_folder(const std::filesystem::path& folder);

/// Removes the files of a checkpoint, first what makes it one, and then its folder. invalid_argument where
/// something else is in it.
Result<void> remove_files(const std::filesystem::path& folder);

}  // namespace ddict::persist
