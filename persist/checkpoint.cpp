// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/checkpoint.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/hash.h"
#include "cluster/placement.h"
#include "persist/file.h"
#include "persist/folder.h"
#include "persist/stored.h"

namespace ddict::persist {
namespace {

namespace fs = std::filesystem;

Listed look_at(const Subfolder& at) {
    const fs::path& folder = at.path;
    Listed listed{.folder = folder, .state = CheckpointState::unfinished, .commit = {}, .why = at.known};
    if (!at.known) {
        listed.state = CheckpointState::damaged;
        return listed;
    }
    const Presence presence = commit_in(folder);
    if (presence == Presence::unknown) {
        listed.state = CheckpointState::damaged;
        listed.why = file_error(errno, "looking for", folder / commit_name);
    } else if (presence == Presence::there) {
        Result<Commit> commit = read_commit(folder);
        listed.state = commit ? CheckpointState::committed : CheckpointState::damaged;
        if (commit) {
            listed.commit = *std::move(commit);
        } else {
            listed.why = commit.error();
        }
    } else if (holder_of(folder) == Holder::somebody) {
        listed.state = CheckpointState::writing;
    }
    return listed;
}

/// By number: from the millionth on the names are longer.
void append_generations(const std::vector<Subfolder>& folders, std::vector<Listed>& listed) {
    std::vector<Subfolder> generations;
    for (const Subfolder& folder : folders) {
        if (generation_of(folder.path)) generations.push_back(folder);
    }
    std::sort(generations.begin(), generations.end(), [](const Subfolder& a, const Subfolder& b) {
        return generation_of(a.path) < generation_of(b.path);
    });
    for (const Subfolder& folder : generations)
        listed.push_back(look_at(folder));
}

bool is_generation(const fs::path& folder) {
    return generation_of(folder).has_value();
}

/// Of all dictionaries in `folders`. Whether there are some in a folder that cannot be read is not known.
void append_dictionaries(const std::vector<Subfolder>& folders, std::vector<Listed>& listed) {
    for (const Subfolder& folder : folders) {
        Result<void> known = folder.known;
        if (known) {
            const Result<std::vector<Subfolder>> inside = folders_in(folder.path);
            if (inside) append_generations(*inside, listed);
            if (!inside && inside.error().code != Errc::not_found) known = inside.error();
        }
        if (!known)
            listed.push_back(
                {.folder = folder.path, .state = CheckpointState::damaged, .commit = {}, .why = known});
    }
}

Result<void> for_each_extent(const Checkpoint& checkpoint,
                             const std::function<Result<void>(const Extent&, Bytes)>& visit) {
    ExtentBuffer buffer;
    for (const CommittedFile& file : checkpoint.commit.files) {
        const Result<FileReader> reader =
            FileReader::open(Place(checkpoint.folder, checkpoint.store), checkpoint.commit, file);
        if (!reader) return reader.error();
        for (const Extent& extent : reader->extents()) {
            const Result<Bytes> records = reader->read(extent, buffer);
            if (!records) return records.error();
            const Result<void> visited = visit(extent, *records);
            if (!visited && visited.error().code == Errc::protocol)
                return about(visited.error(), checkpoint.folder / file.name);
            if (!visited) return visited;
        }
    }
    return {};
}

Result<void> for_each_record(const Extent& extent, Bytes bytes,
                             const std::function<Result<void>(const Record&)>& visit) {
    RecordReader records(bytes);
    Record record;
    std::uint64_t count = 0;
    std::uint64_t hash = extent.first_hash;
    bool ordered = true;
    for (; ordered && records.next(record); ++count) {
        const std::uint64_t last = std::exchange(hash, shard_hash(hash_of(record.key)));
        ordered = hash >= last && hash <= extent.last_hash;
        if (!ordered || visit == nullptr) continue;
        if (const Result<void> visited = visit(record); !visited) return visited;
    }
    if (!ordered || !records.at_end() || count != extent.pairs)
        return Error(Errc::protocol, "damaged: the records of an extent make no sense");
    return {};
}

/// Those below a path, or the very one.
Result<std::vector<Listed>> list_in_store(const Place& place) {
    if (!is_generation(place.path)) return list_stored(*place.store, place.path);
    Result<std::vector<Listed>> listed = list_stored(*place.store, place.path.parent_path());
    if (listed) std::erase_if(*listed, [&](const Listed& one) { return one.folder != place.path; });
    return listed;
}

/// Files that are none of it.
Result<void> find_foreign(const Checkpoint& checkpoint) {
    if (checkpoint.store != nullptr) return {};
    std::error_code error;
    for (fs::directory_iterator entry(checkpoint.folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        const bool known = name == commit_name || name == writing_name ||
                           std::any_of(checkpoint.commit.files.begin(), checkpoint.commit.files.end(),
                                       [&](const CommittedFile& file) { return file.name == name; });
        if (!known) return about(Error(Errc::protocol, "it is no file of this checkpoint"), entry->path());
    }
    if (error) return file_error(error.value(), "reading the folder", checkpoint.folder);
    return {};
}

}  // namespace

Result<std::vector<Listed>> list_checkpoints(const Place& place) {
    const fs::path& given = place.path;
    if (place.store != nullptr) return list_in_store(place);
    const fs::path path = given.has_filename() ? given : given.parent_path();
    const Result<std::vector<Subfolder>> folders = folders_in(path);
    if (!folders) return folders.error();
    std::vector<Listed> listed;
    const auto has_generation = [](const Subfolder& folder) { return is_generation(folder.path); };
    if (commit_in(path) == Presence::there || is_generation(fs::absolute(path))) {
        listed.push_back(look_at({path}));
    } else if (std::any_of(folders->begin(), folders->end(), has_generation)) {
        append_generations(*folders, listed);
    } else {
        append_dictionaries(*folders, listed);
    }
    return listed;
}

Result<Checkpoint> find_checkpoint(const Place& place) {
    const fs::path& path = place.path;
    Result<std::vector<Listed>> listed = list_checkpoints(place);
    if (!listed) return listed.error();
    Listed* newest = nullptr;
    for (Listed& one : *listed) {
        // What cannot be read may be newer, or of another dictionary.
        if (!one.why && !is_generation(fs::absolute(one.folder))) return one.why.error();
        if (one.state != CheckpointState::committed && one.state != CheckpointState::damaged) continue;
        if (newest != nullptr && newest->folder.parent_path() != one.folder.parent_path())
            return Error(Errc::invalid_argument, "there are checkpoints of several dictionaries: name one, " +
                                                     newest->folder.parent_path().string() + " or " +
                                                     one.folder.parent_path().string());
        newest = &one;
    }
    if (newest == nullptr) return Error(Errc::not_found, "there is no checkpoint in " + path.string());
    if (!newest->why) return newest->why.error();
    return Checkpoint{.folder = newest->folder, .commit = std::move(newest->commit), .store = place.store};
}

Result<std::vector<Listed>> list_of_dictionary(const Place& place, std::string_view name) {
    const fs::path& dir = place.path;
    if (place.store != nullptr) return list_stored(*place.store, folder_of(dir, name));
    std::error_code error;
    const fs::path folder =
        folder_of(fs::absolute(dir.has_filename() ? dir : dir.parent_path(), error), name);
    if (error) return file_error(error.value(), "looking for", dir);
    const Result<std::vector<Subfolder>> folders = folders_in(folder);
    std::vector<Listed> listed;
    if (!folders && folders.error().code == Errc::not_found) {
        if (const Result<void> sure = require_never_made(folder); !sure) return sure.error();
        return listed;
    }
    if (!folders) return folders.error();
    append_generations(*folders, listed);
    return listed;
}

namespace {

/// The first `count`, oldest first.
Result<void> remove_oldest(CheckpointStore* store, const std::vector<Listed>& listed, std::size_t count) {
    Result<void> outcome;
    for (std::size_t i = 0; i < count; ++i) {
        const Result<void> removed = remove_checkpoint(Place(listed[i].folder, store));
        // Another save may have removed it meanwhile.
        if (!removed && removed.error().code != Errc::not_found && outcome) outcome = removed;
    }
    return outcome;
}

Result<std::vector<Listed>> committed_of(const Place& dir, std::string_view name) {
    Result<std::vector<Listed>> listed = list_of_dictionary(dir, name);
    if (listed)
        std::erase_if(*listed, [](const Listed& one) { return one.state != CheckpointState::committed; });
    return listed;
}

/// Oldest first.
Result<std::vector<Listed>> known_of(const Place& dir, std::string_view name) {
    Result<std::vector<Listed>> listed = list_of_dictionary(dir, name);
    if (!listed) return listed;
    for (const Listed& one : *listed) {
        if (!one.why && one.why.error().code != Errc::protocol) return about(one.why.error(), one.folder);
    }
    return listed;
}

std::string list_of(const std::vector<std::uint32_t>& ids) {
    constexpr std::size_t named_max = 20;
    std::string text;
    for (std::size_t i = ids.size() - std::min(ids.size(), named_max); i < ids.size(); ++i)
        text += (text.empty() ? "" : ", ") + std::to_string(ids[i]);
    return ids.size() > named_max ? "..., " + text : text;
}

}  // namespace

Result<std::vector<std::uint32_t>> ids_of_dictionary(const Place& dir, std::string_view name) {
    const Result<std::vector<Listed>> listed = known_of(dir, name);
    if (!listed) return listed.error();
    std::set<std::uint32_t> ids;
    for (const Listed& one : *listed) {
        if (one.state == CheckpointState::committed) ids.insert(one.commit.checkpoint);
    }
    return std::vector<std::uint32_t>(ids.begin(), ids.end());
}

Result<Checkpoint> find_with_id(const Place& dir, std::string_view name, std::uint32_t id) {
    Result<std::vector<Listed>> listed = known_of(dir, name);
    if (!listed) return listed.error();
    std::string damaged;
    std::reverse(listed->begin(), listed->end());
    for (Listed& one : *listed) {
        if (one.state == CheckpointState::committed && one.commit.checkpoint == id)
            return Checkpoint{.folder = one.folder, .commit = std::move(one.commit), .store = dir.store};
        if (one.state == CheckpointState::damaged) damaged = "; " + one.folder.string() + " is damaged";
    }
    const Result<std::vector<std::uint32_t>> ids = ids_of_dictionary(dir, name);
    if (!ids) return ids.error();
    return Error(Errc::not_found,
                 "checkpoint " + std::to_string(id) + " is not in " + folder_of(dir.path, name).string() +
                     (ids->empty() ? ", nor is any other" : ", which has " + list_of(*ids)) + damaged);
}

Result<void> remove_superseded(const Place& dir, const Commit& by) {
    Result<std::vector<Listed>> listed = committed_of(dir, by.name);
    if (!listed) return listed.error();
    std::erase_if(*listed, [&](const Listed& one) {
        return one.commit.checkpoint != by.checkpoint || one.commit.generation >= by.generation;
    });
    return remove_oldest(dir.store, *listed, listed->size());
}

Result<void> keep_newest(const Place& dir, std::string_view name, std::size_t keep) {
    const Result<std::vector<Listed>> listed = committed_of(dir, name);
    if (!listed) return listed.error();
    return remove_oldest(dir.store, *listed,
                         listed->size() - std::min(listed->size(), std::max<std::size_t>(keep, 1)));
}

Result<void> verify(const Checkpoint& checkpoint, const Progress& progress) {
    if (const Result<void> none = find_foreign(checkpoint); !none) return none;
    return for_each_extent(checkpoint, [&](const Extent& extent, Bytes bytes) -> Result<void> {
        if (const Result<void> good = for_each_record(extent, bytes, nullptr); !good) return good;
        if (progress && !progress(aligned(extent.bytes))) return Error(Errc::timeout, "it was stopped");
        return {};
    });
}

Result<void> for_each(const Checkpoint& checkpoint, const std::function<Result<void>(const Record&)>& visit) {
    return for_each_extent(
        checkpoint, [&](const Extent& extent, Bytes bytes) { return for_each_record(extent, bytes, visit); });
}

Result<void> remove_checkpoint(const Place& place) {
    const fs::path& given = place.path;
    if (place.store != nullptr) return remove_stored(*place.store, given);
    const fs::path folder = given.has_filename() ? given : given.parent_path();
    if (const Result<std::vector<Subfolder>> there = folders_in(folder); !there) return there.error();
    if (!is_generation(fs::absolute(folder)))
        return Error(Errc::invalid_argument, "no checkpoint is in " + folder.string() +
                                                 ": name the folder of one, DIR/NAME/GENERATION");
    const Result<FileLock> lock = lock_folder(fs::absolute(folder).parent_path());
    if (!lock) return lock.error();
    const Presence presence = commit_in(folder);
    if (presence == Presence::unknown) return file_error(errno, "looking for", folder / commit_name);
    if (!has_files_of_checkpoint(folder))
        return Error(Errc::invalid_argument, "nothing of a checkpoint is in " + folder.string());
    const Holder holder = presence == Presence::there ? Holder::nobody : holder_of(folder);
    if (holder == Holder::somebody) return Error(Errc::busy, "a save writes " + folder.string());
    if (holder == Holder::unknown)
        return Error(Errc::busy, "its file system has no locks, so a save may be writing it; remove " +
                                     folder.string() + " by hand");
    return remove_files(folder);
}

}  // namespace ddict::persist
