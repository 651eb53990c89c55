// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// For mistakes of ours only, never for what a user, a peer or the system did. On in every build.
#pragma once

namespace ddict {

/// Prints one line to stderr and aborts.
[[noreturn]] void assertion_failed(const char* condition, const char* what, const char* file,
                                   int line) noexcept;

}  // namespace ddict

#define DDICT_ASSERT(condition, what) \
    ((condition) ? static_cast<void>(0) : ::ddict::assertion_failed(#condition, what, __FILE__, __LINE__))
