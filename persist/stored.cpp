// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/stored.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "persist/file.h"
#include "persist/folder.h"
#include "persist/place.h"

namespace ddict::persist {
namespace {

namespace fs = std::filesystem;

std::string prefix_of(const fs::path& path) {
    const std::string name = path.generic_string();
    return name.empty() || name.ends_with('/') ? name : name + "/";
}

}  // namespace

Result<Commit> read_stored_commit(CheckpointStore& store, const fs::path& folder) {
    const fs::path path = folder / commit_name;
    const Result<std::shared_ptr<const Input>> input = open_input(Place(path, &store));
    if (!input) return input.error();
    const Result<std::uint64_t> bytes = (*input)->size();
    if (!bytes.has_value()) return bytes.error();
    if (*bytes > commit_bytes_max)
        return about(Error(Errc::protocol, "damaged: the commit file is too large"), path);
    std::vector<std::byte> content(*bytes);
    if (const Result<void> read = (*input)->read(0, content); !read) return read.error();
    return commit_in_bytes(content, folder, path);
}

Result<std::vector<Listed>> list_stored(CheckpointStore& store, const fs::path& path) {
    const Result<std::vector<std::string>> names = store.list(prefix_of(path));
    if (!names) return names.error();
    std::map<std::pair<fs::path, std::uint64_t>, bool> folders;  // whether it has a commit object
    for (const std::string& name : *names) {
        const fs::path folder = fs::path(name).parent_path();
        const auto generation = generation_of(folder);
        if (!generation || !name.starts_with(prefix_of(path))) continue;
        bool& has_commit = folders[{folder.parent_path(), *generation}];
        has_commit = has_commit || fs::path(name).filename() == commit_name;
    }
    std::vector<Listed> listed;
    for (const auto& [at, has_commit] : folders) {
        Listed one{.folder = at.first / generation_name(at.second),
                   .state = CheckpointState::unfinished,
                   .commit = {},
                   .why = {}};
        if (has_commit) {
            Result<Commit> commit = read_stored_commit(store, one.folder);
            one.state = commit ? CheckpointState::committed : CheckpointState::damaged;
            if (commit)
                one.commit = *std::move(commit);
            else
                one.why = commit.error();
        }
        listed.push_back(std::move(one));
    }
    return listed;
}

Result<void> remove_stored(CheckpointStore& store, const fs::path& folder) {
    if (const Result<void> removed = store.remove((folder / commit_name).generic_string()); !removed)
        return removed;
    const Result<std::vector<std::string>> names = store.list(prefix_of(folder));
    if (!names) return names.error();
    for (const std::string& name : *names) {
        if (const Result<void> removed = store.remove(name); !removed) return removed;
    }
    return {};
}

}  // namespace ddict::persist
