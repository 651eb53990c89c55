// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints in memory in the C API.
#include <ddict/ddict_working_set.h>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::given;
using c_api::guarded;
using c_api::make_view;
using c_api::only_whole;

int ddict_at(ddict_dictionary* dictionary, uint32_t checkpoint, ddict_dictionary** view, ddict_error* error) {
    return make_view(Operation::checkpoints, dictionary, view, error,
                     [&](const View& whole) { return whole.try_at(checkpoint); });
}

int ddict_persistent(ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error) {
    return make_view(Operation::checkpoints, dictionary, view, error,
                     [](const View& whole) -> Result<View> { return whole.persistent(); });
}

int ddict_at_once(ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error) {
    return make_view(Operation::checkpoints, dictionary, view, error,
                     [](const View& whole) -> Result<View> { return whole.at_once(); });
}

uint32_t ddict_checkpoint_id(ddict_dictionary* dictionary) {
    return dictionary == nullptr ? 0 : dictionary->operations().checkpoint_id();
}

uint32_t ddict_checkpoint(ddict_dictionary* dictionary) {
    return only_whole(dictionary) ? dictionary->dictionary->checkpoint() : ddict_checkpoint_id(dictionary);
}

uint32_t ddict_rollback(ddict_dictionary* dictionary) {
    return only_whole(dictionary) ? dictionary->dictionary->rollback() : ddict_checkpoint_id(dictionary);
}

int ddict_set_checkpoint_id(ddict_dictionary* dictionary, uint32_t checkpoint, ddict_error* error) {
    return guarded(Operation::checkpoints, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        return dictionary->dictionary->try_set_checkpoint_id(checkpoint);
    });
}

int ddict_sync_to_newest_checkpoint(ddict_dictionary* dictionary, uint32_t* checkpoint, ddict_error* error) {
    return guarded(Operation::checkpoints, error, [&]() -> Result<void> {
        if (const Result<void> good = only_whole(dictionary); !good) return good;
        const Result<std::uint32_t> newest = dictionary->dictionary->try_sync_to_newest_checkpoint();
        if (!newest) return newest.error();
        if (checkpoint != nullptr) *checkpoint = *newest;
        return {};
    });
}

int ddict_newest_checkpoint_id(ddict_dictionary* dictionary, uint32_t* checkpoint, ddict_error* error) {
    return guarded(Operation::checkpoints, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}, {checkpoint, "checkpoint"}}); !good)
            return good;
        return c_api::put_out(dictionary->operations().try_newest_checkpoint_id(), checkpoint);
    });
}
