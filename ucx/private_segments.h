// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The rights of the shared memory that UCX creates: this user's alone.
//
// UCX creates its System V segments with mode 0660: whoever is in the same group can read the messages of
// everybody's keys and values, and write into the queues. UCX has no option for it, and segments come at any
// time, whenever one of its memory pools grows. So the call that creates them is redirected, in UCX's
// libraries alone: the word through which the dynamic linker leads it to the C library leads to a function of
// ours, which takes the rights of group and others away. A segment never has another mode, not for a moment;
// those that the program itself creates are not touched. (The files and memory of UCX's other transports have
// mode 0600.)
#pragma once

#include <cstdint>

namespace ddict::ucx {

/// Redirects the calls of all libraries of UCX that are loaded now; those that are already stay so. False
/// where that cannot be done: then UCX must not use shared memory. Any thread; some microseconds.
bool make_segments_private();

/// How many segments UCX has created through the redirected call.
std::uint64_t private_segments_made() noexcept;

}  // namespace ddict::ucx
