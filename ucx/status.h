// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The one place where statuses of UCX become errors of ours.
#pragma once

#include <string_view>

#include <ddict/error.h>
#include <ucs/type/status.h>

namespace ddict::ucx {

/// Of something that has to do with a peer. Requires an error status. `doing` says what was tried:
/// "connecting to a peer".
Error peer_error(ucs_status_t status, std::string_view doing) noexcept;

/// Of something that this process does alone: never manager_lost.
Error to_error(ucs_status_t status, std::string_view doing) noexcept;

/// The same for an open connection that broke; always manager_lost.
Error lost_error(ucs_status_t status) noexcept;

}  // namespace ddict::ucx
