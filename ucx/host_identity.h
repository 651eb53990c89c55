// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who this process is, and which other processes share its host.
#pragma once

#include <ddict/result.h>

#include "base/process_identity.h"

namespace ddict::ucx {

/// Two processes get equal host keys only if UCX can use shared memory between them and each can watch the
/// other: the same boot of the same kernel, the same IPC namespace (segments), PID namespace (cross-memory
/// copies, pidfd) and network namespace (UCX wakes a sleeper through an abstract socket), and the same user.
/// The host name does not count: it may change under a running process. A process that may not use shared
/// memory (UCX_TLS=tcp), a kernel without pidfd, or one that does not tell its boot or namespaces yields a
/// key that no other process has: it then takes every other process for one of another host.
/// Errors: system: it could not be found out.
Result<ProcessIdentity> own_identity(bool has_shared_memory);

}  // namespace ddict::ucx
