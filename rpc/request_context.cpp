// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/request_context.h"

#include "base/limits.h"

namespace ddict {
namespace {

// Above the number of a request that belongs to a connection, of which the highest bit says so and the lowest
// are the manager's id, as many numbers again fit.
constexpr unsigned sequence_start_bits = 63 - wire::manager_bits - 1;

}  // namespace

RequestContext::RequestContext(Transport& transport, const Credentials& credentials, LostManagers* lost,
                               Whereabouts* whereabouts)
    : transport_(transport),
      credentials_(credentials),
      lost_(lost),
      whereabouts_(whereabouts),
      sequence_(credentials.sequence_start & ((std::uint64_t{1} << sequence_start_bits) - 1)) {
    message_.resize(limits::header_bytes_max);
}

}  // namespace ddict
