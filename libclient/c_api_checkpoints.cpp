// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Saving and loading in the C API.
#include <ddict/ddict_checkpoint.h>

#include <ddict/checkpoint.h>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::given;
using c_api::guarded;

namespace {

void convert(const CheckpointInfo& from, ddict_checkpoint_info* to) {
    if (to == nullptr) return;
    *to = {};
    c_api::write_text(from.path, to->path, sizeof to->path);
    to->generation = from.generation;
    to->managers = from.managers;
    to->pairs = from.pairs;
    to->value_bytes = from.value_bytes;
    to->bytes = from.bytes;
}

/// f is called with the dictionary.
template <class F>
int on_whole(Operation operation, ddict_dictionary* dictionary, const char* path, ddict_checkpoint_info* info,
             ddict_error* error, F&& f) noexcept {
    return guarded(operation, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}, {path, "path"}}); !good) return good;
        if (!dictionary->dictionary) return Error(Errc::invalid_argument, "a view cannot be saved or loaded");
        const Result<CheckpointInfo> done = f(*dictionary->dictionary);
        if (!done) return done.error();
        convert(*done, info);
        return {};
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

int ddict_find_checkpoint(const char* path, ddict_checkpoint_info* info, ddict_error* error) {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{path, "path"}}); !good) return good;
        const Result<CheckpointInfo> found = Checkpoints::find(path);
        if (!found) return found.error();
        convert(*found, info);
        return {};
    });
}
