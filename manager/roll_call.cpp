// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/roll_call.h"

#include <algorithm>
#include <string>

namespace ddict::manager {

RollCall::RollCall(Requester& requester, const DirectoryView& directory, ShardId own, Time now, Time deadline)
    : requester_(requester), began_(now) {
    requester.set_keeps_asking(true);
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
        pings_.push_back({entry->shard, requester.begin(ping, now, deadline)});
    }
}

/// There are no keys yet, and no clients to look with: what is wrong is the network, how it is named, or how
/// busy its hosts are.
Error RollCall::error_of(const Ping& ping, Error why, Time now) const {
    const std::string over = requester_.describe(ping.child);
    if (why.code == Errc::timeout) {
        const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_);
        const unsigned asked = requester_.hellos(ping.child);
        why.set_detail("not answered, asked " + std::to_string(asked) +
                       (asked == 1 ? " time in " : " times in ") + std::to_string(waited.count()) + " ms" +
                       (over.empty() ? "" : " over " + over));
    }
    if (why.code == Errc::manager_lost || why.code == Errc::timeout) {
        const std::string what = why.detail.data();
        why.set_detail(what +
                       "; name the nodes' network in DDICT_UCX_NET_DEVICES, see 'ddict-launch --check'");
    }
    return why.set_operation(Operation::launch);
}

std::optional<Result<void>> RollCall::outcome(Time now) {
    std::erase_if(pings_, [this, now](const Ping& ping) {
        if (!requester_.done(ping.operation)) return false;
        const Result<Reply> reply = requester_.take(ping.operation);
        if (!reply && result_) result_ = error_of(ping, reply.error(), now);
        return true;
    });
    if (!pings_.empty()) return std::nullopt;
    requester_.set_keeps_asking(false);
    return result_;
}

}  // namespace ddict::manager
