// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ddict/checkpoint_store.h>
#include <pybind11/pybind11.h>

#include <memory>

namespace ddict::python {

/// One that calls the methods of this object (ddict.CheckpointStore); null for None. Throws TypeError.
std::shared_ptr<CheckpointStore> store_of(const pybind11::object& store);

}  // namespace ddict::python
