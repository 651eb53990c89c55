// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <ddict/result.h>

#include "persist/folder.h"
#include "persist/format.h"
#include "persist/place.h"

namespace ddict::persist {

/// One that is being written. The process that has it shows by a lock that it lives; what a dead one has
/// left, the next save into the same folder removes.
class NewCheckpoint {
  public:
    struct Source {
        std::string name;  // of the dictionary
        std::uint64_t dictionary_id = 0;
        std::uint32_t managers = 0;
        std::uint32_t checkpoint = 0;  // its id in memory
    };
    /// Makes the folders, all but the parent of `dir`. Errors: system; timeout if another save holds the
    /// folder's lock for 10 s.
    static Result<NewCheckpoint> begin(const Place& dir, const Source& source);
    NewCheckpoint(NewCheckpoint&& other) noexcept
        : folder_(std::move(other.folder_)),
          store_(other.store_),
          lock_(std::move(other.lock_)),
          is_begun_(std::exchange(other.is_begun_, false)),
          commit_(std::move(other.commit_)) {}
    NewCheckpoint& operator=(NewCheckpoint&&) = delete;
    /// What was not committed is removed.
    ~NewCheckpoint();

    const std::filesystem::path& folder() const noexcept { return folder_; }
    Place place() const { return Place(folder_, store_); }
    std::uint64_t generation() const noexcept { return commit_.generation; }
    /// For the file of a manager.
    FileHeader header(std::uint32_t manager) const noexcept;
    /// `files` are complete, one for each manager, in any order. From when it returns, the checkpoint is
    /// there; after an error it is not.
    Result<Commit> commit(std::vector<CommittedFile> files);

  private:
    NewCheckpoint() = default;
    Result<void> take_folder(const std::filesystem::path& parent);
    Result<void> take_number(const std::filesystem::path& parent);
    Result<void> write_commit() const;

    std::filesystem::path folder_;
    CheckpointStore* store_ = nullptr;  // null: the file system
    FileLock lock_;                     // not open where the file system has no locks
    bool is_begun_ = false;
    Commit commit_;
};

}  // namespace ddict::persist
