// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/operation_kind.h"

#include <algorithm>
#include <array>

namespace ddict::bench {
namespace {

constexpr std::array<OperationKind, 13> operations{{
    {"get", Task::get},
    {"get_message", Task::get, true},
    {"put", Task::put},
    {"mixed", Task::mixed},
    {"mixed_message", Task::mixed, true},
    {"batch_get", Task::batch_get, false, true},
    {"batch_get_message", Task::batch_get, true, true},
    {"batch_put", Task::batch_put, false, true},
    {"async_get", Task::async_get, false, true},
    {"async_get_message", Task::async_get, true, true},
    {"async_put", Task::async_put, false, true},
    {"bget", Task::bget},
    {"bput", Task::bput},
}};

}  // namespace

std::span<const OperationKind> all_operations() {
    return operations;
}

const OperationKind* operation_named(std::string_view name) {
    const auto found = std::find_if(operations.begin(), operations.end(),
                                    [name](const OperationKind& one) { return one.name == name; });
    return found == operations.end() ? nullptr : &*found;
}

}  // namespace ddict::bench
