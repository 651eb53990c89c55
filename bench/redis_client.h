// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A client of Redis, with Redis's own C library: the same keys, values and choices as a client of the
// dictionary, one command after the other, or pipelines. Where ddict was built without that library,
// make_redis_client() throws.
#pragma once

#include <memory>
#include <string>

#include "bench/team.h"
#include "bench/workload.h"

namespace ddict::bench {

/// Knows Task::fill, get, put; batch_get and batch_put as pipelines. `workload` must outlive it. Connects at
/// the first phase. Throws std::runtime_error.
std::unique_ptr<Role> make_redis_client(const std::string& socket, const Workload& workload, unsigned member,
                                        unsigned members);
/// Whether ddict-bench was built with hiredis.
bool can_talk_to_redis();

}  // namespace ddict::bench
