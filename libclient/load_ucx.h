// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ucx/module.h"

namespace ddict::client {

/// UCX, with what is ours around it; loaded by the first call that succeeds, and for good. Costs some
/// milliseconds then. Errors: system, where its file, beside this library, or a library of UCX cannot be
/// loaded; incompatible, if it is of another build. Threads: any.
Result<const ucx::Module*> load_ucx();
/// As ucx::Worker::create(). The first time no thread can fork meanwhile.
Result<std::unique_ptr<ucx::Worker>> make_ucx_worker(const ucx::Module& module,
                                                     const ucx::WorkerOptions& options, os::Poller& poller,
                                                     os::WaitPolicy& waiting);
/// Whether UCX must not be touched here: this process is a child of fork(), and its parent had UCX up then.
/// Does not load it. Threads: any.
bool ucx_is_of_parent() noexcept;

}  // namespace ddict::client
