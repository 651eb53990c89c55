// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/pair_sizes.h"

#include <chrono>

#include "base/hash.h"
#include "libclient/session.h"
#include "shm/block.h"

namespace ddict::client {

Result<std::vector<BlockSize>> block_sizes(Attachment& attachment, std::span<const PairOfManager> pairs) {
    std::vector<BlockSize> sizes(pairs.size());
    std::vector<std::size_t> by_message;
    const auto found = [&](std::size_t i, std::uint64_t value_bytes) {
        sizes[i] = shm::Block::bytes_for(shm::Pair{.key = pairs[i].key}, value_bytes);
    };
    const bool reads_here = attachment.reads_here();
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        ValueInfo info;
        const auto read =
            reads_here ? attachment.pools().contains(pairs[i].shard, pairs[i].key, hash_of(pairs[i].key),
                                                     attachment.checkpoint_id(), &info)
                       : LocalPools::Read::ask;
        if (read == LocalPools::Read::value) {
            found(i, info.bytes);
        } else if (read != LocalPools::Read::absent) {
            by_message.push_back(i);
        }
    }
    if (by_message.empty()) return sizes;
    const Result<Session*> session = attachment.session();
    if (!session) return session.error();
    Result<void> outcome;
    (*session)->call_all(
        static_cast<std::uint32_t>(by_message.size()), Time::max(),
        [&](std::uint32_t index, Time& deadline) -> Result<Request> {
            const Time now = std::chrono::steady_clock::now();
            deadline = now + attachment.timeout();
            const PairOfManager& pair = pairs[by_message[index]];
            Request request;
            request.verb = wire::Verb::contains;
            request.shard = pair.shard;
            request.key = pair.key;
            const Result<void> ready =
                outcome ? attachment.prepare(**session, request, now, deadline) : outcome;
            if (!ready) return ready.error();
            return request;
        },
        [&](std::uint32_t index, const Result<Reply>& reply) {
            if (reply) {
                if (reply->argument != 0) found(by_message[index], reply->argument2);
            } else if (outcome && reply.error().code != Errc::not_found) {
                outcome = reply.error();
            }
        });
    if (!outcome) return outcome.error();
    return sizes;
}

}  // namespace ddict::client
