// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the kernel refuses this process: whose trouble it is, and what helps.
#pragma once

#include <string_view>

#include <ddict/result.h>

namespace ddict::os {

/// Errc::system. `error` is of errno; `doing` names what was asked for: "watching process 7".
Error error_of(int error, std::string_view doing) noexcept;

/// Whether this process could open `count` descriptors more at this moment; UCX aborts the process where some
/// of its own are missing. `doing` is what they are needed for. Errors: system. Cost: two calls of the kernel
/// for each of them.
Result<void> need_descriptors(unsigned count, std::string_view doing);

/// The same of a thread. Starts one that ends at once, which takes no signal. Errors: system.
Result<void> need_thread(std::string_view doing);

}  // namespace ddict::os
