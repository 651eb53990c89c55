// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/module.h"

extern "C" __attribute__((visibility("default"))) const ddict::ucx::Module* ddict_ucx_module() {
    static const ddict::ucx::Module module{.layout = ddict::ucx::module_layout,
                                           .runtime_version = ddict::ucx::runtime_version(),
                                           .is_of_parent = &ddict::ucx::is_of_parent,
                                           .create_worker = &ddict::ucx::Worker::create};
    return &module;
}
