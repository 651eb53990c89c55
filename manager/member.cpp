// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/member.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace ddict::manager {
namespace {

bool is_reply(Bytes head) {
    return head.size() >= 2 && (std::to_integer<std::uint8_t>(head[1]) & wire::reply_bit) != 0;
}

}  // namespace

Member::Member(store::Store& store, Transport& transport, const ShardOptions& options)
    : own_shard_{store.pool().identity().manager},
      shard_(store, transport, options),
      others_(transport,
              {.dictionary_id = store.pool().identity().dictionary_id,
               .secret = store.pool().identity().secret,
               .ucx_version = options.ucx_version,
               .sequence_start = hash_of(std::as_bytes(std::span(&options.session_seed, 1)))},
              &lost_) {}

void Member::set_directory(const DirectoryView& directory) {
    directory_ = &directory;
    shard_.set_directory(&directory, this);
}

void Member::begin_roll_call(Time now, Time deadline) {
    roll_call_.emplace(others_, *directory_, own_shard_, now, deadline);
}

std::optional<Result<void>> Member::take_roll_call() {
    return std::exchange(roll_call_outcome_, std::nullopt);
}

Time Member::tick(Time now) {
    Time next = shard_.needs_tick() ? shard_.tick(now) : Time::max();
    start_queued(now);
    if (roll_call_ || !under_way_.empty()) next = std::min(next, others_.tick(now));
    if (roll_call_) {
        if (std::optional<Result<void>> outcome = roll_call_->outcome()) {
            roll_call_outcome_ = *std::move(outcome);
            roll_call_.reset();
            others_.leave();
        }
    }
    // What has ended makes room for what is queued.
    return finish_some() && !queued_.empty() ? now : next;
}

void Member::relay(const Request& request, std::chrono::nanoseconds patience, std::uint64_t tag) {
    queued_.push_back({request, patience, tag});
}

/// While the roll call goes on, the requester is its own.
void Member::start_queued(Time now) {
    while (!queued_.empty() && !roll_call_ && under_way_.size() < limits::operations_in_flight_max) {
        const Queued queued = queued_.front();
        queued_.pop_front();
        const ShardId shard = queued.request.shard;
        if (others_.known_manager(shard) == nullptr) {
            const Result<DirectoryEntry> entry = directory_->entry(shard);
            if (!entry) {
                Error error = entry.error();
                shard_.on_relayed(queued.tag, error.set_manager(number_of(shard)));
                continue;
            }
            others_.add_manager(*entry);
        }
        under_way_.push_back({others_.begin(queued.request, now, now + queued.patience), queued.tag});
    }
}

/// True if any has ended.
bool Member::finish_some() {
    const std::size_t before = under_way_.size();
    for (std::size_t i = 0; i < under_way_.size();) {
        if (!others_.done(under_way_[i].operation)) {
            ++i;
            continue;
        }
        const UnderWay ended = std::exchange(under_way_[i], under_way_.back());
        under_way_.pop_back();
        shard_.on_relayed(ended.tag, others_.take(ended.operation));
    }
    return under_way_.size() != before;
}

void Member::leave() {
    others_.leave();
}

void Member::on_message(Bytes head, const IncomingBody& body) {
    if (is_reply(head)) {
        const std::uint64_t rejected_before = others_.rejected_messages();
        others_.on_message(head, body);
        shard_.count_rejected(others_.rejected_messages() - rejected_before);
    } else {
        shard_.on_message(head, body);
    }
}

void Member::on_body_received(std::uint64_t tag, bool ok) {
    Shard::owns(tag) ? shard_.on_body_received(tag, ok) : others_.on_body_received(tag, ok);
}

void Member::on_body_sent(std::uint64_t tag, bool ok) {
    Shard::owns(tag) ? shard_.on_body_sent(tag, ok) : others_.on_body_sent(tag, ok);
}

void Member::on_peer_lost(PeerId peer, const Error& why) {
    shard_.on_peer_lost(peer, why);
    others_.on_peer_lost(peer, why);
}

}  // namespace ddict::manager
