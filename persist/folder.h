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
#include <utility>
#include <vector>

#include <ddict/result.h>

#include "os/file_descriptor.h"
#include "persist/format.h"

namespace ddict::persist {

inline constexpr const char* commit_name = "commit";
inline constexpr const char* new_commit_name = "commit.new";
inline constexpr const char* writing_name = "writing";  // locked by who writes the checkpoint
inline constexpr const char* lock_name = ".lock";       // locked while folders come and go
/// In the folder of a dictionary: of the ddict-launch that has it.
inline constexpr const char* owner_name = ".ddict-launch";

/// What the folder of a dictionary is called: its name, with %XX for what a folder cannot be called.
std::string folder_name(std::string_view dictionary);
/// Where the checkpoints of that dictionary are.
inline std::filesystem::path folder_of(const std::filesystem::path& dir, std::string_view dictionary) {
    return dir / folder_name(dictionary);
}
/// "000012", and back.
std::string generation_name(std::uint64_t generation);
std::optional<std::uint64_t> generation_of(const std::filesystem::path& folder);

/// A folder in another one, or what may be one: `known` is the error of a file system that does not say.
struct Subfolder {
    std::filesystem::path path;
    Result<void> known{};
};
/// Folders in this one, in the order of their names; without those that begin with a dot. Errors: not_found
/// if nothing of that name is found; system.
Result<std::vector<Subfolder>> folders_in(const std::filesystem::path& folder);
/// Success if nothing has been saved at `folder`, which is DIR/NAME, for certain: it is not there, and either
/// DIR or the folder above DIR is. Errors: system: its file system may be away.
Result<void> require_never_made(const std::filesystem::path& folder);
/// What makes the folder a checkpoint. Not knowing is not the same as its not being there.
enum class Presence { there, absent, unknown };
Presence commit_in(const std::filesystem::path& folder);
/// Whether anything in the folder is of a checkpoint.
bool has_files_of_checkpoint(const std::filesystem::path& folder);
Result<Commit> read_commit(const std::filesystem::path& folder);
/// Of these bytes, read from `path`: what is wrong is said of that.
Result<Commit> commit_in_bytes(Bytes content, const std::filesystem::path& folder,
                               const std::filesystem::path& path);

/// A lock that ends with this object, whatever copies of its descriptor a fork has made.
class FileLock {
  public:
    FileLock() = default;
    explicit FileLock(os::FileDescriptor file) noexcept : file_(std::move(file)) {}
    FileLock(FileLock&&) noexcept = default;
    FileLock& operator=(FileLock&& other) noexcept;
    ~FileLock() { release(); }

    bool is_open() const noexcept { return file_.is_open(); }
    void release() noexcept;

  private:
    os::FileDescriptor file_;
};

/// `none`: there is no file that a save holds, so nobody has begun to write here, or all is written.
enum class Holder { none, nobody, somebody, unknown };
/// Who writes the checkpoint in this folder.
Holder holder_of(const std::filesystem::path& folder);
/// Makes the file and locks it. Requires the lock of the parent. Errors: system; timeout if others look at
/// the file all the time.
Result<FileLock> hold(const std::filesystem::path& folder);
/// The lock of a dictionary's folder; not open where the file system has no locks. Errors: system; timeout.
Result<FileLock> lock_folder(const std::filesystem::path& folder);

/// Removes the files of a checkpoint, first what makes it one, and then its folder. What is left of it if
/// this is killed in between is known as such. invalid_argument where something else is in it.
Result<void> remove_files(const std::filesystem::path& folder);

}  // namespace ddict::persist
