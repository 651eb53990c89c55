// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Saving and loading, persisting and restoring, in the C API.
#include <ddict/ddict_checkpoint.h>
#include <ddict/ddict_persist.h>

#include <algorithm>

#include <ddict/checkpoint.h>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::given;
using c_api::guarded;
using c_api::only_whole;

namespace {

void convert(const CheckpointInfo& from, ddict_checkpoint_info* to) {
    if (to == nullptr) return;
    *to = {};
    c_api::write_text(from.path, to->path, sizeof to->path);
    to->generation = from.generation;
    to->checkpoint = from.checkpoint;
    to->managers = from.managers;
    to->pairs = from.pairs;
    to->value_bytes = from.value_bytes;
    to->bytes = from.bytes;
}

void convert(const PersistStatus& from, ddict_persist_status_info& to) {
    const auto id_of = [](const std::optional<std::uint32_t>& id) {
        return id ? static_cast<std::int64_t>(*id) : -1;
    };
    to = {};
    to.running = from.running;
    to.every = from.every;
    to.persisted = from.persisted;
    to.overtaken = from.overtaken;
    to.failed = from.failed;
    to.last_persisted = id_of(from.last_persisted);
    to.last_missed = id_of(from.last_missed);
    if (from.error) c_api::tell(&to.error, *from.error);
}

/// f is called with the dictionary.
template <class F>
int on_whole(Operation operation, ddict_dictionary* dictionary, ddict_checkpoint_info* info,
             ddict_error* error, F&& f) noexcept {
    return guarded(operation, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        const Result<CheckpointInfo> done = f(*dictionary->dictionary);
        if (!done) return done.error();
        convert(*done, info);
        return {};
    });
}
template <class F>
int on_whole(Operation operation, ddict_dictionary* dictionary, const char* path, ddict_checkpoint_info* info,
             ddict_error* error, F&& f) noexcept {
    return on_whole(operation, dictionary, info, error, [&](Dictionary& whole) -> Result<CheckpointInfo> {
        if (const Result<void> good = given({{path, "path"}}); !good) return good.error();
        return f(whole);
    });
}

}  // namespace

int ddict_save(ddict_dictionary* dictionary, const char* dir, ddict_checkpoint_info* info,
               ddict_error* error) {
    return on_whole(Operation::save, dictionary, dir, info, error,
                    [&](const Dictionary& dict) { return dict.try_save(dir); });
}

int ddict_save_and_keep(ddict_dictionary* dictionary, const char* dir, unsigned keep,
                        ddict_checkpoint_info* info, ddict_error* error) {
    return on_whole(Operation::save, dictionary, dir, info, error,
                    [&](const Dictionary& dict) { return dict.try_save(dir, {.keep = keep}); });
}

int ddict_save_compressed(ddict_dictionary* dictionary, const char* dir, unsigned keep,
                          ddict_checkpoint_info* info, ddict_error* error) {
    return on_whole(Operation::save, dictionary, dir, info, error, [&](const Dictionary& dict) {
        return dict.try_save(dir, {.keep = keep, .compress = true});
    });
}

int ddict_load_latest(ddict_dictionary* dictionary, const char* dir, ddict_checkpoint_info* info,
                      ddict_error* error) {
    return on_whole(Operation::load, dictionary, dir, info, error,
                    [&](const Dictionary& dict) { return dict.try_load_latest(dir); });
}

int ddict_load(ddict_dictionary* dictionary, const char* path, ddict_checkpoint_info* info,
               ddict_error* error) {
    return on_whole(Operation::load, dictionary, path, info, error,
                    [&](const Dictionary& dict) { return dict.try_load(path); });
}

int ddict_load_exclusively(ddict_dictionary* dictionary, const char* path, ddict_checkpoint_info* info,
                           ddict_error* error) {
    return on_whole(Operation::load, dictionary, path, info, error,
                    [&](const Dictionary& dict) { return dict.try_load(path, {.exclusive = true}); });
}

int ddict_load_latest_exclusively(ddict_dictionary* dictionary, const char* dir, ddict_checkpoint_info* info,
                                  ddict_error* error) {
    return on_whole(Operation::load, dictionary, dir, info, error,
                    [&](const Dictionary& dict) { return dict.try_load_latest(dir, {.exclusive = true}); });
}

int ddict_clone_to(ddict_dictionary* dictionary, ddict_dictionary* target, ddict_error* error) {
    return guarded(Operation::load, error, [&]() -> Result<void> {
        for (ddict_dictionary* one : {dictionary, target})
            if (const Result<void> good = only_whole(one); !good) return good;
        return dictionary->dictionary->try_clone_to(*target->dictionary);
    });
}

int ddict_synchronize_from(ddict_dictionary* dictionary, ddict_dictionary* source, ddict_error* error) {
    return guarded(Operation::load, error, [&]() -> Result<void> {
        for (ddict_dictionary* one : {dictionary, source})
            if (const Result<void> good = only_whole(one); !good) return good;
        return dictionary->dictionary->try_synchronize_from(*source->dictionary);
    });
}

int ddict_copy(ddict_dictionary* dictionary, const ddict_create_options* options, ddict_dictionary** copy,
               ddict_error* error) {
    return guarded(Operation::create, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        if (const Result<void> good = given({{copy, "copy"}}); !good) return good;
        return c_api::hand_out(dictionary->dictionary->try_copy(c_api::create_options(options)), copy);
    });
}

int ddict_find_checkpoint(const char* path, ddict_checkpoint_info* info, ddict_error* error) {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{path, "path"}}); !good) return good;
        const Result<CheckpointInfo> found = Checkpoints::find(path);
        if (!found) return found.error();
        convert(*found, info);
        return {};
    });
}

int ddict_create_persisted(const ddict_create_options* options, const ddict_persist_options* persist,
                           ddict_dictionary** dictionary, ddict_error* error) {
    return guarded(Operation::create, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
        CreateOptions completed = c_api::create_options(options);
        if (persist != nullptr) {
            if (persist->path != nullptr) completed.persist_path = persist->path;
            completed.persist_count = persist->count;
            completed.read_only = persist->read_only;
            completed.persist_freq = persist->freq;
            if (persist->restores) completed.restore_from = persist->restore_from;
        }
        return c_api::hand_out(Dictionary::try_create(completed), dictionary);
    });
}

int ddict_persist(ddict_dictionary* dictionary, ddict_checkpoint_info* info, ddict_error* error) {
    return on_whole(Operation::persist, dictionary, info, error,
                    [](const Dictionary& dict) { return dict.try_persist(); });
}

int ddict_persist_status(ddict_dictionary* dictionary, ddict_persist_status_info* status,
                         ddict_error* error) {
    return guarded(Operation::persist, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        if (const Result<void> good = given({{status, "status"}}); !good) return good;
        const Result<PersistStatus> found = dictionary->dictionary->try_persist_status();
        if (!found) return found.error();
        convert(*found, *status);
        return {};
    });
}

int ddict_persist_every(ddict_dictionary* dictionary, uint32_t every,
                        ddict_persist_order (*order)(void* context), void* context,
                        ddict_persist_status_info* status, ddict_error* error) {
    return guarded(Operation::persist, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        if (order == nullptr) return Error(Errc::invalid_argument, "order is NULL");
        PersistEveryOptions options{.every = every};
        options.order = [=] { return static_cast<PersistEveryOptions::Order>(order(context)); };
        const Result<PersistStatus> done = dictionary->dictionary->try_persist_every(options);
        if (!done) return done.error();
        if (status != nullptr) convert(*done, *status);
        return {};
    });
}

int ddict_restore(ddict_dictionary* dictionary, uint32_t checkpoint, ddict_checkpoint_info* info,
                  ddict_error* error) {
    return on_whole(Operation::restore, dictionary, info, error,
                    [&](Dictionary& dict) { return dict.try_restore(checkpoint); });
}

int ddict_advance(ddict_dictionary* dictionary, ddict_checkpoint_info* info, ddict_error* error) {
    return on_whole(Operation::restore, dictionary, info, error,
                    [](Dictionary& dict) { return dict.try_advance(); });
}

bool ddict_is_read_only(ddict_dictionary* dictionary) {
    return only_whole(dictionary) && dictionary->dictionary->is_read_only();
}

int ddict_persisted_ids(ddict_dictionary* dictionary, uint32_t* ids, size_t capacity, size_t* count,
                        ddict_error* error) {
    return guarded(Operation::checkpoints, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        if (const Result<void> good = given({{count, "count"}}); !good) return good;
        if (ids == nullptr && capacity > 0) return Error(Errc::invalid_argument, "ids is NULL");
        const Result<std::vector<std::uint32_t>> all = dictionary->dictionary->try_persisted_ids();
        if (!all) return all.error();
        *count = all->size();
        std::copy_n(all->begin(), std::min(capacity, all->size()), ids);
        return {};
    });
}

int ddict_persist_path(ddict_dictionary* dictionary, char** path, ddict_error* error) {
    return guarded(Operation::checkpoints, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        if (const Result<void> good = given({{path, "path"}}); !good) return good;
        if (const Result<void> good = dictionary->dictionary->check_attached(); !good) return good;
        return c_api::give_text(dictionary->dictionary->persist_path(), path);
    });
}
