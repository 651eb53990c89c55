// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionary::load() and restore(), and what is loaded from another dictionary rather than from files:
// clone_to(), synchronize_from(). See pair_load.h.
#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ddict/dictionary.h>

#include "libclient/attachment.h"
#include "libclient/checkpoint_progress.h"
#include "libclient/chosen_checkpoint.h"
#include "libclient/pair_load.h"
#include "libclient/pair_source.h"
#include "libclient/persist_path.h"
#include "libclient/read_only.h"
#include "persist/folder.h"

namespace ddict {
namespace {

using client::CheckpointSource;
using client::LiveSource;
using client::PairLoad;

Error in_doubt(Error error) {
    error.in_doubt = true;
    return error;
}

/// Of what has been read and measured.
Result<void> store(const Dictionary& dict, PairLoad& load) {
    const Result<std::vector<ManagerStats>> stats = dict.try_stats();
    if (!stats) return stats.error();
    if (const Result<void> fits = load.check_that_it_fits(*stats); !fits) return fits.error();
    if (const Result<void> stored = load.store(); !stored) return in_doubt(stored.error());
    return {};
}

bool is_empty(const std::vector<ManagerStats>& stats) {
    return std::ranges::all_of(stats, [](const ManagerStats& one) { return one.keys == 0; });
}

/// Whether all of it is stored, by reading each extent once. If not, nothing of it is: the dictionary is as
/// empty as it was. Errors: it could not be found out whether it is empty; in doubt, it could not be emptied.
Result<bool> is_stored_at_once(const Dictionary& dict, PairLoad& load) {
    const Result<std::vector<ManagerStats>> stats = dict.try_stats();
    if (!stats) return stats.error();
    if (!is_empty(*stats) || !load.open()) return false;
    const Result<void> stored = load.store_unread();
    if (stored) return true;
    if (const Result<void> cleared = dict.try_clear(); !cleared) return in_doubt(cleared.error());
    if (stored.error().code != Errc::timeout) return false;
    Error stopped = stored.error();  // by the caller, or it took too long: not to be begun once more
    stopped.in_doubt = false;
    return stopped;
}

/// Before anything is read, which may take minutes. Who freezes it later is noticed while pairs are stored.
Result<void> check_that_it_may_change(const Dictionary& dict) {
    const Result<std::vector<ManagerStats>> stats = dict.try_stats();
    if (!stats) return stats.error();
    for (const ManagerStats& one : *stats) {
        if (one.frozen)
            return Error(Errc::frozen, "nothing was changed").set_manager(one.manager).set_node(one.node);
    }
    return {};
}

/// What is wrong with a checkpoint has been found out when anything is left of it: then the error is in
/// doubt.
Result<CheckpointInfo> load_one(const detail::Shared<client::Attachment>& attachment, const Dictionary& dict,
                                const persist::Checkpoint& checkpoint, const LoadOptions& options,
                                std::uint32_t id) {
    if (const Result<void> may = client::check_not_read_only(attachment->handle()); !may) return may.error();
    if (const Result<void> may = check_that_it_may_change(dict); !may) return may.error();
    if (options.exclusive) {
        CheckpointSource source(checkpoint);
        PairLoad at_once(attachment, source, options, id);
        const Result<bool> stored = is_stored_at_once(dict, at_once);
        if (!stored.has_value()) return stored.error();
        if (*stored) return client::info_of(checkpoint);
    }
    CheckpointSource source(checkpoint);
    PairLoad load(attachment, source, options, id);
    if (const Result<void> read = load.read(); !read) return read.error();
    if (const Result<void> stored = store(dict, load); !stored) return stored.error();
    return client::info_of(checkpoint);
}

/// Nothing is left at any checkpoint, and this one is the only one.
Result<void> begin_at(const detail::Shared<client::Attachment>& attachment, std::uint32_t id) {
    Request clear;
    clear.verb = wire::Verb::clear;
    clear.flags = wire::clear_begins;
    clear.checkpoint = id;
    return client::tell_all_to_restore(*attachment, clear);
}

/// What the source has takes the place of everything.
Result<void> replace_all(const detail::Shared<client::Attachment>& attachment, client::PairSource& source,
                         const std::vector<ManagerStats>& stats, const LoadOptions& options,
                         std::uint32_t id) {
    PairLoad load(attachment, source, options, id);
    if (const Result<void> read = load.read(); !read) return read;
    if (const Result<void> fits = load.check_that_it_fits_alone(stats); !fits) return fits;
    Result<void> done = client::set_frozen_to_restore(*attachment, false);
    if (done) done = begin_at(attachment, id);
    if (!done) return in_doubt(done.error());
    attachment->checkpoint_id() = id;
    done = load.store();
    if (done) done = client::set_frozen_to_restore(*attachment, true);
    return done ? done : Result<void>(in_doubt(done.error()));
}

Result<CheckpointInfo> restore_one(const detail::Shared<client::Attachment>& attachment,
                                   const Dictionary& dict, const persist::Checkpoint& checkpoint,
                                   const LoadOptions& options) {
    const std::uint32_t id = checkpoint.commit.checkpoint;
    const Result<std::vector<ManagerStats>> stats = dict.try_stats();
    if (!stats) return stats.error();
    const bool read_only = attachment->handle().persist.read_only;
    if (options.exclusive && !read_only && is_empty(*stats)) {
        if (const Result<void> begun = begin_at(attachment, id); !begun) return begun.error();
        attachment->checkpoint_id() = id;
        return load_one(attachment, dict, checkpoint, options, id);
    }
    if (const Result<void> may = read_only ? Result<void>() : check_that_it_may_change(dict); !may)
        return may.error();
    CheckpointSource source(checkpoint);
    const Result<void> done = replace_all(attachment, source, *stats, options, id);
    return done ? client::info_of(checkpoint) : Result<CheckpointInfo>(done.error());
}

}  // namespace

Result<CheckpointInfo> Dictionary::try_load(std::string_view path, const LoadOptions& options) const {
    const auto load_it = [&]() -> Result<CheckpointInfo> {
        if (const Result<void> good = check_attached(); !good) return good.error();
        const std::shared_ptr<CheckpointStore> store = attachment()->checkpoint_store();
        const Result<persist::Checkpoint> checkpoint = persist::find_checkpoint({path, store.get()});
        if (!checkpoint) return checkpoint.error();
        return load_one(attachment(), *this, *checkpoint, options, checkpoint_id());
    };
    return client::outcome_of(Operation::load, load_it());
}

Result<CheckpointInfo> Dictionary::try_load_latest(std::string_view dir, const LoadOptions& options) const {
    const auto load_it = [&]() -> Result<CheckpointInfo> {
        if (const Result<void> good = check_attached(); !good) return good.error();
        const std::shared_ptr<CheckpointStore> store = attachment()->checkpoint_store();
        Result<std::vector<persist::Listed>> listed = persist::list_of_dictionary({dir, store.get()}, name());
        if (!listed) return listed.error();
        std::optional<Error> of_newest;
        std::reverse(listed->begin(), listed->end());
        for (persist::Listed& one : *listed) {
            using persist::CheckpointState;
            if (one.state != CheckpointState::committed && one.state != CheckpointState::damaged) continue;
            const persist::Checkpoint checkpoint{
                .folder = one.folder, .commit = std::move(one.commit), .store = store.get()};
            const Result<CheckpointInfo> loaded =
                one.why ? load_one(attachment(), *this, checkpoint, options, checkpoint_id())
                        : Result<CheckpointInfo>(one.why.error());
            // An older one would hide a file system that is away for a while, or keys that meet.
            if (loaded || loaded.error().code != Errc::protocol || loaded.error().in_doubt) return loaded;
            if (!of_newest) of_newest = loaded.error();
            if (!options.on_damaged) continue;
            CheckpointInfo info = client::info_of(checkpoint);
            info.state = ddict::CheckpointState::damaged;
            info.error = loaded.error();
            options.on_damaged(info);
        }
        if (of_newest) return *of_newest;
        return Error(Errc::not_found,
                     "nothing has been saved yet to " + persist::folder_of(dir, name()).string());
    };
    return client::outcome_of(Operation::load, load_it());
}

Result<CheckpointInfo> Dictionary::try_restore(std::uint32_t checkpoint, const LoadOptions& options) {
    const auto restore_it = [&]() -> Result<CheckpointInfo> {
        const Result<std::string> path = client::persist_path_of(*this);
        if (!path) return path.error();
        const std::shared_ptr<CheckpointStore> store = attachment()->checkpoint_store();
        const Result<persist::Checkpoint> found =
            persist::find_with_id({*path, store.get()}, name(), checkpoint);
        if (!found) return found.error();
        return restore_one(attachment(), *this, *found, options);
    };
    return client::outcome_of(Operation::restore, restore_it());
}

Result<void> Dictionary::try_clone_to(Dictionary& target, const LoadOptions& options) const {
    const auto clone = [&]() -> Result<void> {
        for (const Dictionary* one : {this, static_cast<const Dictionary*>(&target)})
            if (const Result<void> good = one->check_attached(); !good) return good;
        const detail::Shared<client::Attachment>& to = target.attachment();
        if (attachment()->handle().dictionary_id == to->handle().dictionary_id)
            return Error(Errc::invalid_argument, "a dictionary cannot be cloned to itself");
        if (const Result<void> may = client::check_not_read_only(to->handle()); !may) return may;
        if (const Result<void> may = check_that_it_may_change(target); !may) return may;
        const Result<std::uint32_t> id = client::chosen_checkpoint(*this, options.checkpoint);
        if (!id.has_value()) return id.error();
        const Result<std::vector<ManagerStats>> stats = target.try_stats();
        if (!stats) return stats.error();
        LiveSource source(attachment(), *id);
        return replace_all(to, source, *stats, options, *id);
    };
    const Result<void> done = clone();
    return done ? done : Result<void>(Error(done.error()).set_operation(Operation::load));
}

Result<void> Dictionary::try_synchronize_from(const Dictionary& source, const LoadOptions& options) const {
    const auto synchronize = [&]() -> Result<void> {
        for (const Dictionary* one : {this, &source})
            if (const Result<void> good = one->check_attached(); !good) return good;
        if (attachment()->handle().dictionary_id == source.attachment()->handle().dictionary_id)
            return Error(Errc::invalid_argument, "a dictionary cannot be filled from itself");
        if (const Result<void> may = client::check_not_read_only(attachment()->handle()); !may) return may;
        if (const Result<void> may = check_that_it_may_change(*this); !may) return may;
        const Result<std::vector<std::uint32_t>> lacking = source.try_empty_managers();
        if (!lacking) return lacking.error();
        if (!lacking->empty())
            return Error(Errc::invalid_argument,
                         "the dictionary to fill it from lacks pairs itself: its manager began empty")
                .set_manager(lacking->front());
        const Result<std::vector<std::uint32_t>> empty = try_empty_managers();
        if (!empty) return empty.error();
        if (empty->empty()) return {};
        std::vector<bool> wanted(manager_count());
        for (const std::uint32_t manager : *empty)
            wanted[manager] = true;
        const Result<std::uint32_t> id = client::chosen_checkpoint(source, options.checkpoint);
        if (!id.has_value()) return id.error();
        LiveSource pairs(source.attachment(), *id);
        PairLoad load(attachment(), pairs, options, *id);
        load.only_to(std::move(wanted));
        if (const Result<void> read = load.read(); !read) return read;
        return store(*this, load);
    };
    const Result<void> done = synchronize();
    return done ? done : Result<void>(Error(done.error()).set_operation(Operation::load));
}

Result<Dictionary> Dictionary::try_copy(CreateOptions options, const LoadOptions& load) const {
    const Result<std::vector<ManagerStats>> stats = try_stats();
    if (!stats) return stats.error();
    std::set<std::string> nodes;
    std::uint64_t bytes = 0;
    for (const ManagerStats& one : *stats) {
        nodes.insert(one.node);
        bytes += one.pool_bytes;
    }
    const auto count = static_cast<std::uint32_t>(std::max<std::size_t>(nodes.size(), 1));
    if (options.nodes == 0 && options.managers_per_node == 0) {
        options.nodes = count;
        options.managers_per_node = manager_count() / count;
    }
    if (options.total_mem == 0) options.total_mem = bytes;
    const ManagerStats& first = stats->front();
    if (options.working_set == 0) options.working_set = static_cast<std::uint32_t>(first.working_set);
    options.wait_for_keys = options.wait_for_keys || first.waits_for_keys;
    options.wait_for_writers = options.wait_for_writers || first.waits_for_writers;
    if (options.name.empty()) options.name = name() + "-copy";
    Result<Dictionary> copy = try_create(options);
    if (!copy) return copy;
    const Result<void> cloned = try_clone_to(*copy, load);
    if (cloned) return copy;
    static_cast<void>(copy->try_destroy());
    Error error = cloned.error();
    error.in_doubt = false;
    return error;
}

}  // namespace ddict
