// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Waiting for space in the C API.
#include <ddict/ddict_queue.h>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::make_view;

int ddict_when_space(ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error) {
    return make_view(Operation::none, dictionary, view, error,
                     [](const View& operations) -> Result<View> { return operations.when_space(); });
}
