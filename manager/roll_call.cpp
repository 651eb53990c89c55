// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/roll_call.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "rpc/reply_errors.h"

namespace ddict::manager {
namespace {

constexpr std::chrono::seconds between_looks{1};

/// Why there was no connection at the end; empty if that is not known.
std::string trouble_in(const Error& late) {
    constexpr std::string_view before = "in time: ";
    const std::string_view text = late.detail.data();
    const std::size_t at = text.find(before);
    if (at == std::string_view::npos || text == overdue_text(Request(), false)) return {};
    return "; " + std::string(text.substr(at + before.size()));
}

}  // namespace

RollCall::RollCall(Requester& requester, const DirectoryView& directory, ShardId own, Time now, Time deadline)
    : requester_(requester), began_(now), next_look_(now + between_looks) {
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
        pings_.push_back({.child = entry->shard, .operation = requester.begin(ping, now, deadline)});
    }
}

/// There are no keys yet, and no clients to look with: what is wrong is the network, how it is named, or how
/// busy its hosts are.
Error RollCall::error_of(const Ping& ping, Error why, Time now) const {
    constexpr const char* advice =
        "; name the nodes' network in DDICT_UCX_NET_DEVICES, see 'ddict-launch --check'";
    if (why.code == Errc::timeout) {
        const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(now - began_);
        const unsigned asked = requester_.hellos(ping.child);
        why.set_detail("not answered, asked " + std::to_string(asked) +
                       (asked == 1 ? " time in " : " times in ") + std::to_string(waited.count()) + " ms" +
                       (ping.over.empty() ? "" : " over " + ping.over) + advice +
                       (ping.back.empty() ? "" : "; back: " + ping.back) + trouble_in(why));
    } else if (why.code == Errc::manager_lost) {
        why.set_detail(why.detail.data() + std::string(advice));
    }
    return why.set_operation(Operation::launch);
}

/// At the end there may be no connection, of which it could be told.
void RollCall::look_at_ways(Time now) {
    if (now < next_look_) return;
    next_look_ = now + between_looks;
    for (Ping& ping : pings_) {
        std::string over = requester_.describe(ping.child);
        if (over.empty()) continue;
        ping.over = std::move(over);
        ping.back = requester_.ways_back(ping.child);
    }
}

std::optional<Result<void>> RollCall::outcome(Time now) {
    look_at_ways(now);
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
