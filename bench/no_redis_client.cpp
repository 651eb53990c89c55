// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Built instead of redis_client.cpp where there is no hiredis.
#include <stdexcept>

#include "bench/redis_client.h"

namespace ddict::bench {

std::unique_ptr<Role> make_redis_client(const std::string&, const Workload&, unsigned, unsigned) {
    throw std::runtime_error(
        "--peer redis: this ddict-bench was built without hiredis (libhiredis-dev); install it, run cmake "
        "again");
}

bool can_talk_to_redis() {
    return false;
}

}  // namespace ddict::bench
