// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/roll_call.h"

#include <algorithm>
#include <string>

namespace ddict::manager {
namespace {

/// There are no keys yet, and no clients to look with: what is wrong is the network, or how it is named.
Error launch_error(Error error) {
    const std::string why = error.detail.data();
    if (error.code == Errc::manager_lost || error.code == Errc::timeout) {
        error.set_detail(why +
                         "; name the nodes' network in DDICT_UCX_NET_DEVICES, see 'ddict-launch --check'");
    }
    return error.set_operation(Operation::launch);
}

}  // namespace

RollCall::RollCall(Requester& requester, const DirectoryView& directory, ShardId own, Time now, Time deadline)
    : requester_(requester) {
    const std::uint64_t first = 2 * std::uint64_t{number_of(own)} + 1;
    const std::uint64_t end = std::min<std::uint64_t>(first + 2, directory.manager_count());
    for (std::uint64_t child = first; child < end; ++child) {
        const Result<DirectoryEntry> entry = directory.entry(ShardId{static_cast<std::uint32_t>(child)});
        if (!entry) {
            result_ = entry.error();
            continue;
        }
        requester.add_manager(*entry);
        Request ping;
        ping.verb = wire::Verb::ping;
        ping.shard = entry->shard;
        pings_.push_back(requester.begin(ping, now, deadline));
    }
}

std::optional<Result<void>> RollCall::outcome() {
    std::erase_if(pings_, [this](Requester::OperationId ping) {
        if (!requester_.done(ping)) return false;
        const Result<Reply> reply = requester_.take(ping);
        if (!reply && result_) result_ = launch_error(reply.error());
        return true;
    });
    if (!pings_.empty()) return std::nullopt;
    return result_;
}

}  // namespace ddict::manager
