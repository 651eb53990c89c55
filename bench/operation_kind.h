// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The operations that can be measured, by the names of the command line and of the results.
#pragma once

#include <span>
#include <string_view>

#include "bench/team.h"

namespace ddict::bench {

struct OperationKind {
    std::string_view name;
    Task task = Task::none;
    bool by_message = false;  ///< although the value could be read from this node's memory
    bool grouped = false;     ///< so many in a batch, or under way at once
};

std::span<const OperationKind> all_operations();
/// Null if there is none of that name.
const OperationKind* operation_named(std::string_view name);

}  // namespace ddict::bench
