// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What is in a dictionary's persist path, and what is saved there. See load.cpp for restore().
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include <ddict/dictionary.h>

#include "cluster/handle.h"
#include "libclient/attachment.h"
#include "libclient/checkpoint_progress.h"
#include "libclient/chosen_checkpoint.h"
#include "libclient/persist_path.h"
#include "libclient/read_only.h"
#include "persist/checkpoint.h"
#include "persist/file.h"
#include "persist/folder.h"

namespace ddict {

namespace {

/// Where this host has another folder of that name, it has not the file that ddict-launch holds in it. A
/// folder that is only read has none.
Result<void> check_that_it_is_the_launchers(const Dictionary& dictionary, const std::string& path) {
    if (dictionary.is_read_only()) return {};
    const std::filesystem::path folder = persist::folder_of(path, dictionary.name());
    struct stat status {};
    const std::filesystem::path file = folder / persist::owner_name;
    if (::lstat(file.c_str(), &status) == 0) return {};
    if (errno != ENOENT && errno != ENOTDIR) return persist::file_error(errno, "looking for", file);
    return Error(Errc::system, folder.string() +
                                   " is not here the folder that the dictionary's ddict-launch has: is it "
                                   "shared with this host, and mounted?");
}

}  // namespace

Result<std::string> client::persist_path_of(const Dictionary& dictionary) {
    if (const Result<void> good = dictionary.check_attached(); !good) return good.error();
    std::string path = dictionary.persist_path();
    if (dictionary.checkpoint_store() != nullptr) return path;
    if (!path.empty()) {
        if (const Result<void> shared = check_that_it_is_the_launchers(dictionary, path); !shared)
            return shared.error();
        return path;
    }
    return Error(Errc::invalid_argument,
                 "this dictionary has no persist path: it is given one when it is created, by persist_path, "
                 "ddict-launch --persist-path or DDICT_PERSIST_PATH");
}

Result<void> Dictionary::try_set_checkpoint_store(SharedCheckpointStore store) {
    if (const Result<void> good = check_attached(); !good) return good;
    attachment()->set_checkpoint_store(std::move(store));
    return {};
}

SharedCheckpointStore Dictionary::checkpoint_store() const {
    return attachment() == nullptr ? nullptr : attachment()->checkpoint_store();
}

std::string Dictionary::persist_path() const {
    return attachment() == nullptr ? std::string() : attachment()->handle().persist.path;
}

Result<CheckpointInfo> Dictionary::try_persist(const SaveOptions& options) const {
    const auto persist_it = [&]() -> Result<CheckpointInfo> {
        const Result<std::string> path = client::persist_path_of(*this);
        if (!path) return path.error();
        const Handle& handle = attachment()->handle();
        if (const Result<void> may = client::check_not_read_only(handle); !may) return may.error();
        SaveOptions completed = options;
        completed.replaces = true;
        if (completed.keep == 0) completed.keep = handle.persist.count;
        return try_save(*path, completed);
    };
    return client::outcome_of(Operation::persist, persist_it());
}

bool Dictionary::is_read_only() const {
    return attachment() != nullptr && attachment()->handle().persist.read_only;
}

Result<CheckpointInfo> Dictionary::try_advance(const LoadOptions& options) {
    const auto find_next = [&]() -> Result<std::uint32_t> {
        const Result<std::vector<std::uint32_t>> ids = try_persisted_ids();
        if (!ids) return ids.error();
        if (!is_read_only())
            return Error(Errc::invalid_argument,
                         "the dictionary is not read-only: restore() goes to any checkpoint");
        const Result<std::uint32_t> at = client::chosen_checkpoint(*this, std::nullopt);
        if (!at.has_value()) return at.error();
        const auto next = std::ranges::upper_bound(*ids, *at);
        if (next != ids->end()) return *next;
        return Error(Errc::not_found, "no checkpoint after " + std::to_string(*at) +
                                          " has been persisted to " + persist_path());
    };
    const Result<std::uint32_t> next = find_next();
    if (!next.has_value()) return Error(next.error()).set_operation(Operation::restore);
    return try_restore(*next, options);
}

Result<std::vector<std::uint32_t>> Dictionary::try_persisted_ids() const {
    const auto list_them = [&]() -> Result<std::vector<std::uint32_t>> {
        const Result<std::string> path = client::persist_path_of(*this);
        if (!path) return path.error();
        const std::shared_ptr<CheckpointStore> store = attachment()->checkpoint_store();
        return persist::ids_of_dictionary({*path, store.get()}, name());
    };
    Result<std::vector<std::uint32_t>> ids = list_them();
    return ids ? std::move(ids) : Error(ids.error()).set_operation(Operation::checkpoints);
}

}  // namespace ddict
