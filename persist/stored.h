// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints in a store of the program's own: what folder.h and checkpoint.h do in the file system. There
// are no locks: one process at a time saves under one name.
#pragma once

#include <filesystem>
#include <vector>

#include <ddict/checkpoint_store.h>
#include <ddict/result.h>

#include "persist/checkpoint.h"

namespace ddict::persist {

/// Those whose objects' names begin with this path and a slash, in the order of paths and generations.
/// Without their commit object they are unfinished: of a save that is under way, or has died.
Result<std::vector<Listed>> list_stored(CheckpointStore& store, const std::filesystem::path& path);
/// Removes the objects of a checkpoint, first the one that makes it one.
Result<void> remove_stored(CheckpointStore& store, const std::filesystem::path& folder);
/// Reads the commit object. Errors: those of the store; protocol, incompatible.
Result<Commit> read_stored_commit(CheckpointStore& store, const std::filesystem::path& folder);

}  // namespace ddict::persist
