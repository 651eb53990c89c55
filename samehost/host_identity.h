// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who this process is, and which other processes share its host.
#pragma once

#include <ddict/result.h>

#include "base/process_identity.h"

namespace ddict::samehost {

/// Two processes have equal host keys exactly if they can meet: the same boot of the same kernel, the same
/// /dev/shm, and the same user. Host names do not count, nor do namespaces of processes, networks or System V
/// objects. Where the kernel does not tell its boot, there is no /dev/shm, or it is switched off, the key is
/// one that no other process has: it then takes every other process for one of another host.
/// Errors: system: it could not be found out; invalid_argument if DDICT_SAME_HOST is neither 0 nor 1.
Result<ProcessIdentity> own_identity();
/// DDICT_SAME_HOST=0: this process speaks to all others over the network.
bool is_switched_off() noexcept;

}  // namespace ddict::samehost
