// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// UCX as a library that is loaded when it is needed: what module.cpp exports to who loads it. To be linked
// with UCX costs a program more than the rest of its start, and hooks, signal handlers and a thread in a
// process that may never leave its host.
#pragma once

#include <cstdint>
#include <memory>

#include "ucx/worker.h"

namespace ddict::ucx {

/// Belongs to the library that loads it: both are built together, and its file's name has the version.
struct Module {
    std::uint64_t layout;           ///< module_layout, as it was built
    std::uint32_t runtime_version;  ///< of the UCX that came with it
    bool (*is_of_parent)();         ///< see ucx::is_of_parent()
    Result<std::unique_ptr<Worker>> (*create_worker)(const WorkerOptions& options, os::Poller& poller,
                                                     os::WaitPolicy& waiting);
};

/// Of what goes from one library to the other: no proof that both are of one build, but most others differ.
inline constexpr std::uint64_t module_layout = sizeof(Module) << 56 | sizeof(os::Poller) << 48 |
                                               sizeof(os::WaitPolicy) << 32 | sizeof(WorkerOptions) << 16 |
                                               sizeof(WorkerCounters);

using ModuleEntry = const Module*();
inline constexpr const char* module_entry_name = "ddict_ucx_module";

}  // namespace ddict::ucx
