// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints that are there: DIR/NAME/GENERATION/ holds one, with a file of each manager, and the commit
// file, which is written last: without it there is no checkpoint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "persist/file_reader.h"
#include "persist/format.h"
#include "persist/place.h"
#include "persist/record.h"

namespace ddict::persist {

/// One that is there.
struct Checkpoint {
    std::filesystem::path folder;
    Commit commit;
    CheckpointStore* store = nullptr;  // where the folder is; null: in the file system
};

enum class CheckpointState {
    committed,
    damaged,     // has a commit file that cannot be read
    writing,     // a save is under way
    unfinished,  // has no commit file, and no save that lives is known of
};

struct Listed {
    std::filesystem::path folder;
    CheckpointState state{};
    Commit commit;     // of one that is committed
    Result<void> why;  // what is wrong with it
};

/// Those at this path: of all dictionaries (DIR), of one (DIR/NAME), or the very one (DIR/NAME/GENERATION);
/// in the order of names and generations. Errors: system; not_found if there is no such folder.
Result<std::vector<Listed>> list_checkpoints(const Place& path);
/// The newest that is committed, at a path as above. Errors: not_found; invalid_argument if there are some of
/// several dictionaries; protocol, incompatible if it cannot be read: an older one has to be named then.
Result<Checkpoint> find_checkpoint(const Place& path);

/// Those of the dictionary of this name that were saved to `dir`, oldest first. None only where that is
/// certain: `dir`/NAME is empty, or is not there although `dir`, or the folder above it, is. Errors: system:
/// it could not be found out.
Result<std::vector<Listed>> list_of_dictionary(const Place& dir, std::string_view name);
/// The ids in memory of those that are committed, each once, in order. A damaged one has none. Errors: system
/// also where one cannot be looked at, incompatible: its id is not known.
Result<std::vector<std::uint32_t>> ids_of_dictionary(const Place& dir, std::string_view name);
/// Of those that are committed and have this id the newest. Errors: as above; not_found names the ids that
/// there are.
Result<Checkpoint> find_with_id(const Place& dir, std::string_view name, std::uint32_t id);
/// Removes the older committed ones of that dictionary that have the same id in memory as this one. Errors:
/// of the first that could not be removed.
Result<void> remove_superseded(const Place& dir, const Commit& by);
/// Removes the committed checkpoints of that dictionary but for the newest `keep` (at least 1); unfinished
/// and damaged ones stay. Errors: of the first that could not be removed.
Result<void> keep_newest(const Place& dir, std::string_view name, std::size_t keep);

/// Of bytes that have been read; false: stop. Called after each extent.
using Progress = std::function<bool(std::uint64_t bytes)>;
/// Reads all of it, and says what is wrong first. Errors: as FileReader; protocol as well for a file in its
/// folder that is none of it; timeout when it was stopped.
Result<void> verify(const Checkpoint& checkpoint, const Progress& progress);
/// Every record of a checkpoint, in the order of managers and shard hashes.
Result<void> for_each(const Checkpoint& checkpoint, const std::function<Result<void>(const Record&)>& visit);

/// The checkpoint in this folder, whole or not, is gone: first its commit file. Errors: system; not_found;
/// invalid_argument for what is no folder of a checkpoint; busy while a save writes it. A file that is none
/// of a checkpoint's stays, and its folder with it, which is told as invalid_argument.
Result<void> remove_checkpoint(const Place& folder);

}  // namespace ddict::persist
