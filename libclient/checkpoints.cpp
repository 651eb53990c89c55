// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/checkpoint.h>

#include <chrono>
#include <functional>
#include <utility>

#include "libclient/checkpoint_progress.h"
#include "persist/checkpoint.h"

namespace ddict {
namespace {

std::chrono::system_clock::time_point time_of(std::uint64_t nanoseconds) {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(nanoseconds)));
}

CheckpointState state_of(persist::CheckpointState state) {
    switch (state) {
        case persist::CheckpointState::committed:
            return CheckpointState::committed;
        case persist::CheckpointState::damaged:
            return CheckpointState::damaged;
        case persist::CheckpointState::writing:
            return CheckpointState::writing;
        default:
            return CheckpointState::unfinished;
    }
}

}  // namespace

std::string_view name(CheckpointState state) noexcept {
    switch (state) {
        case CheckpointState::committed:
            return "committed";
        case CheckpointState::damaged:
            return "damaged";
        case CheckpointState::writing:
            return "writing";
        case CheckpointState::unfinished:
            return "unfinished";
    }
    return "?";
}

CheckpointInfo client::info_of(const persist::Checkpoint& checkpoint) {
    const persist::Commit& commit = checkpoint.commit;
    CheckpointInfo info;
    info.path = checkpoint.folder.string();
    info.name = commit.name;
    info.generation = commit.generation;
    info.checkpoint = commit.checkpoint;
    info.managers = commit.managers;
    info.pairs = commit.pairs();
    info.value_bytes = commit.value_bytes();
    info.bytes = commit.bytes();
    info.began = time_of(commit.began);
    info.ended = time_of(commit.ended);
    return info;
}

namespace {

Result<std::vector<CheckpointInfo>> list_at(const persist::Place& place) {
    const Result<std::vector<persist::Listed>> listed = persist::list_checkpoints(place);
    if (!listed) return listed.error();
    std::vector<CheckpointInfo> infos;
    for (const persist::Listed& one : *listed) {
        CheckpointInfo info = client::info_of({.folder = one.folder, .commit = one.commit});
        info.state = state_of(one.state);
        if (!one.why) info.error = one.why.error();
        infos.push_back(std::move(info));
    }
    return infos;
}

Result<CheckpointInfo> find_at(const persist::Place& place) {
    const Result<persist::Checkpoint> found = persist::find_checkpoint(place);
    if (!found) return found.error();
    return client::info_of(*found);
}

Result<void> verify_at(const persist::Place& place, const OnCheckpointProgress& progress) {
    const Result<persist::Checkpoint> found = persist::find_checkpoint(place);
    if (!found) return found.error();
    CheckpointProgress all{.pairs = 0, .bytes = 0, .bytes_in_all = found->commit.bytes()};
    return persist::verify(*found, [&](std::uint64_t bytes) {
        all.bytes += bytes;
        return !progress || progress(all);
    });
}

}  // namespace

Result<std::vector<CheckpointInfo>> Checkpoints::list(std::string_view path) {
    return list_at(path);
}

Result<std::vector<CheckpointInfo>> Checkpoints::list(CheckpointStore& store, std::string_view path) {
    return list_at({path, &store});
}

Result<CheckpointInfo> Checkpoints::find(std::string_view path) {
    return find_at(path);
}

Result<CheckpointInfo> Checkpoints::find(CheckpointStore& store, std::string_view path) {
    return find_at({path, &store});
}

Result<void> Checkpoints::verify(std::string_view path, const OnCheckpointProgress& progress) {
    return verify_at(path, progress);
}

Result<void> Checkpoints::verify(CheckpointStore& store, std::string_view path,
                                 const OnCheckpointProgress& progress) {
    return verify_at({path, &store}, progress);
}

Result<void> Checkpoints::for_each(std::string_view path,
                                   const std::function<Result<void>(const CheckpointPair&)>& visit) {
    const Result<persist::Checkpoint> found = persist::find_checkpoint(path);
    if (!found) return found.error();
    return persist::for_each(*found, [&](const persist::Record& record) {
        return visit({.key = record.key,
                      .value = record.value,
                      .value_type = record.value_type,
                      .checkpoint = record.checkpoint,
                      .broadcast = record.broadcast,
                      .placed_by_hand = record.placement.is_by_hand(),
                      .placement = record.placement.value});
    });
}

Result<void> Checkpoints::remove(std::string_view path) {
    return persist::remove_checkpoint(path);
}

Result<void> Checkpoints::remove(CheckpointStore& store, std::string_view path) {
    return persist::remove_checkpoint({path, &store});
}

}  // namespace ddict
