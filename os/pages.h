// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pages of shared memory: having them there before they are needed, and in which size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ddict/result.h>

namespace ddict::os {

/// Has all pages of [at, at + bytes) there, and mapped for writing; what stands in them stays, whoever writes
/// meanwhile. Requires that `at` is the beginning of a page, and that the memory is shared. no_space where
/// there is no memory for them; then some are there, and some are not. system on a kernel before 5.14, which
/// does nothing.
Result<void> populate(std::byte* at, std::uint64_t bytes);
/// The same on any kernel, of memory that is reserved: otherwise the process may be ended.
void touch(std::byte* at, std::uint64_t bytes);

/// Pages that are touched first through this mapping from now on may be huge ones.
Result<void> want_huge_pages(std::byte* at, std::uint64_t bytes);
/// Why that gives none in the file system that is mounted at `folder`, and what to do; empty if it does.
/// `mounts` and `setting` are the texts of /proc/self/mounts and of
/// /sys/kernel/mm/transparent_hugepage/shmem_enabled.
std::string why_no_huge_pages(std::string_view folder, std::string_view mounts, std::string_view setting);
/// Of this host.
std::string why_no_huge_pages(std::string_view folder);

}  // namespace ddict::os
