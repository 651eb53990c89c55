// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/new_checkpoint.h"

#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

#include "persist/file.h"
#include "persist/folder.h"
#include "persist/stored.h"

namespace ddict::persist {
namespace {

namespace fs = std::filesystem;

std::uint64_t now() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(since).count());
}

/// Only what a dead save has left: there is no commit, that is known, and there is the file that it held. Of
/// one that died before it made that file there is an empty folder. Requires the lock of the parent: between
/// the folder and its own lock there is a moment.
void remove_if_abandoned(const fs::path& folder) {
    if (commit_in(folder) != Presence::absent) return;
    switch (holder_of(folder)) {
        case Holder::nobody:
            // What cannot be removed now is tried again by the next save.
            return static_cast<void>(remove_files(folder));
        case Holder::none:
            return static_cast<void>(::rmdir(folder.c_str()));
        default:
            return;
    }
}

}  // namespace

Result<NewCheckpoint> NewCheckpoint::begin(const Place& place, const Source& source) {
    const fs::path& dir = place.path;
    NewCheckpoint checkpoint;
    checkpoint.commit_.name = source.name;
    checkpoint.commit_.dictionary_id = source.dictionary_id;
    checkpoint.commit_.managers = source.managers;
    checkpoint.commit_.checkpoint = source.checkpoint;
    checkpoint.commit_.began = now();
    if (::getrandom(&checkpoint.commit_.save_id, sizeof checkpoint.commit_.save_id, 0) !=
        sizeof checkpoint.commit_.save_id)
        return file_error(errno, "reading random bytes for", dir);
    const fs::path parent = folder_of(dir, source.name);
    checkpoint.store_ = place.store;
    if (place.store != nullptr) {
        if (const Result<void> taken = checkpoint.take_number(parent); !taken) return taken.error();
        return checkpoint;
    }
    for (const fs::path& folder : {dir, parent}) {
        if (const Result<void> made = make_folder(folder); !made) return made.error();
    }
    if (const Result<void> taken = checkpoint.take_folder(parent); !taken) return taken.error();
    return checkpoint;
}

Result<void> NewCheckpoint::take_folder(const fs::path& parent) {
    const Result<FileLock> lock = lock_folder(parent);
    if (!lock) return lock.error();
    const Result<std::vector<Subfolder>> folders = folders_in(parent);
    if (!folders) return folders.error();
    for (const auto& [folder, known] : *folders) {
        const auto generation = generation_of(folder);
        if (!generation) continue;
        commit_.generation = std::max(commit_.generation, *generation);
        if (lock->is_open() && known) remove_if_abandoned(folder);
    }
    // Where the file system has no locks, another save may take the same number.
    do {
        folder_ = parent / generation_name(++commit_.generation);
        if (::mkdir(folder_.c_str(), 0777) == 0) {
            Result<FileLock> held = hold(folder_);
            if (!held) {
                ::rmdir(folder_.c_str());
                return held.error();
            }
            lock_ = *std::move(held);
            is_begun_ = true;
            return sync_folder(parent);
        }
    } while (errno == EEXIST);
    return file_error(errno, "creating the folder", folder_);
}

/// What dead saves have left goes: one process at a time saves under one name.
Result<void> NewCheckpoint::take_number(const fs::path& parent) {
    const Result<std::vector<Listed>> listed = list_stored(*store_, parent);
    if (!listed) return listed.error();
    for (const Listed& one : *listed) {
        commit_.generation = std::max(commit_.generation, generation_of(one.folder).value_or(0));
        // What cannot be removed now is tried again by the next save.
        if (one.state == CheckpointState::unfinished) static_cast<void>(remove_stored(*store_, one.folder));
    }
    folder_ = parent / generation_name(++commit_.generation);
    is_begun_ = true;
    return {};
}

NewCheckpoint::~NewCheckpoint() {
    if (!is_begun_) return;
    static_cast<void>(store_ != nullptr ? remove_stored(*store_, folder_) : remove_files(folder_));
}

FileHeader NewCheckpoint::header(std::uint32_t manager) const noexcept {
    return {.dictionary_id = commit_.dictionary_id,
            .save_id = commit_.save_id,
            .generation = commit_.generation,
            .manager = manager,
            .managers = commit_.managers};
}

Result<Commit> NewCheckpoint::commit(std::vector<CommittedFile> files) {
    std::sort(files.begin(), files.end(),
              [](const CommittedFile& a, const CommittedFile& b) { return a.manager < b.manager; });
    bool complete = files.size() == commit_.managers;
    for (std::size_t i = 0; complete && i < files.size(); ++i)
        complete = files[i].manager == i;
    if (!complete) return Error(Errc::invalid_argument, "a checkpoint has one file of each manager");
    commit_.files = std::move(files);
    commit_.ended = now();
    if (const Result<void> written = write_commit(); !written) return written.error();
    is_begun_ = false;
    if (store_ != nullptr) return commit_;
    ::unlink((folder_ / writing_name).c_str());
    lock_.release();
    return commit_;
}

Result<void> NewCheckpoint::write_commit() const {
    std::vector<std::byte> bytes;
    pack(commit_, bytes);
    if (store_ != nullptr) {
        const Result<std::unique_ptr<Output>> output = create_output(place().in(commit_name));
        if (!output) return output.error();
        if (const Result<void> written = (*output)->write(bytes); !written) return written;
        return (*output)->finish();
    }
    const fs::path fresh = folder_ / new_commit_name;
    const fs::path path = folder_ / commit_name;
    if (const Result<void> synced = sync_folder(folder_); !synced) return synced;
    const Result<os::FileDescriptor> file = create_file(fresh);
    if (!file) return file.error();
    if (const Result<void> written = write_at(*file, 0, bytes, fresh); !written) return written;
    for (const CommittedFile& named : commit_.files) {
        struct stat status {};
        const fs::path there = folder_ / named.name;
        if (::lstat(there.c_str(), &status) != 0) return file_error(errno, "committing", there);
        if (static_cast<std::uint64_t>(status.st_size) != named.bytes)
            return about(Error(Errc::system, "it has another size than was written"), there);
    }
    if (const Result<void> synced = sync(*file, fresh); !synced) return synced;
    if (::rename(fresh.c_str(), path.c_str()) != 0) return file_error(errno, "renaming", fresh);
    if (const Result<void> synced = sync_folder(folder_); !synced) return synced;
    return sync_folder(folder_.parent_path());
}

}  // namespace ddict::persist
