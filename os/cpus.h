// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Which processors a process runs on, and from which NUMA domain its memory comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

namespace ddict::os {

/// By the kernel's numbers; sorted, each once.
using Cpus = std::vector<std::uint32_t>;

/// "0-3,8"
std::string format_cpus(const Cpus& cpus);
/// Of such a text; none if it is no list of at least one, or beyond what a kernel has.
std::optional<Cpus> parse_cpus(std::string_view text);

/// Those that this thread may run on: what the cgroup, a batch system or taskset has left of all.
Result<Cpus> own_cpus();
/// This thread, and whatever it starts, runs on no others from now on.
Result<void> bind_to_cpus(const Cpus& cpus);

/// What is touched first in [at, at + bytes) from now on, by whomever, comes from this NUMA domain while that
/// has any, from others then. Of shared memory of a file, this is remembered with the file. Requires that
/// `at` is the beginning of a page.
Result<void> prefer_numa_domain(std::byte* at, std::uint64_t bytes, std::uint32_t domain);

}  // namespace ddict::os
