// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/member.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"

namespace ddict::manager {
namespace {

bool is_reply(Bytes message) {
    return message.size() >= 2 && (std::to_integer<std::uint8_t>(message[1]) & wire::reply_bit) != 0;
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
              &lost_, this) {}

void Member::set_directory(const DirectoryView& directory) {
    shard_.set_directory(&directory, this);
    directory_ = &shard_.directory();
    tell_of_neighbours();
}

/// What the process before this one was to tell of others on its node may have died with it.
void Member::tell_of_neighbours() {
    const Result<DirectoryEntry> own = directory_->entry(own_shard_);
    for (std::uint32_t shard = 0; own && shard < directory_->manager_count(); ++shard) {
        const Result<DirectoryEntry> entry = directory_->entry(ShardId{shard});
        if (!entry || entry->shard == own_shard_ || entry->epoch == first_epoch) continue;
        if (entry->process.host_key == own->process.host_key) tell_all_of(*entry);
    }
}

std::optional<DirectoryEntry> Member::look_up(ShardId shard) {
    if (directory_ == nullptr) return std::nullopt;
    const Result<DirectoryEntry> entry = directory_->entry(shard);
    return entry ? std::optional(*entry) : std::nullopt;
}

/// As a client of the others.
void Member::know(const DirectoryEntry& entry) {
    if (others_.known_manager(entry.shard) != nullptr) others_.add_manager(entry);
}

void Member::announce(const DirectoryEntry& entry) {
    shard_.replace_entry(entry);
    // The node's segment, which lies below, may have been first: the others have not heard of it all the
    // same.
    const Result<DirectoryEntry> known = directory_->entry(entry.shard);
    if (!known || known->epoch != entry.epoch) return;
    know(entry);
    for (const auto& older : announcements_) {
        if (older->about() == entry.shard) older->cease();
    }
    tell_all_of(entry);
}

void Member::tell_all_of(const DirectoryEntry& entry) {
    announcements_.push_back(std::make_unique<Announcement>(others_, *directory_, own_shard_, entry));
}

std::vector<DirectoryEntry> Member::take_newer_entries() {
    std::vector<DirectoryEntry> newer = shard_.take_newer_entries();
    for (const DirectoryEntry& entry : newer)
        know(entry);
    return newer;
}

/// A few side by side: one that waits for a manager that does not answer must not hold up the others. Returns
/// when the next ones are due.
Time Member::go_on_announcing(Time now) {
    Time next = Time::max();
    if (roll_call_) return next;
    std::size_t going = 0;
    std::erase_if(announcements_, [&](const auto& one) {
        if (going == announcements_at_once_max && now >= one->next_round()) return false;
        if (one->advance(now)) return true;
        if (now < one->next_round())
            next = std::min(next, one->next_round());
        else
            ++going;
        return false;
    });
    return next;
}

/// For where the others are: those that have moved at the same time as this one may have told somebody else.
std::optional<DirectoryEntry> Member::someone_else(ShardId shard, unsigned turn) {
    if (directory_ == nullptr || directory_->manager_count() < 3) return std::nullopt;
    const std::uint32_t count = directory_->manager_count();
    ShardId other{(number_of(shard) + 1 + turn % (count - 1)) % count};
    if (other == own_shard_) other = ShardId{(number_of(other) + 1) % count};
    if (other == shard) other = ShardId{(number_of(other) + 1) % count};
    return look_up(other);
}

void Member::learn(const DirectoryEntry& entry) {
    shard_.replace_entry(entry);
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
    next = std::min(next, go_on_announcing(now));
    if (roll_call_ || !under_way_.empty() || !announcements_.empty())
        next = std::min(next, others_.tick(now));
    if (roll_call_) {
        if (std::optional<Result<void>> outcome = roll_call_->outcome(now)) {
            roll_call_outcome_ = *std::move(outcome);
            roll_call_.reset();
            others_.leave();
        }
    }
    // Where some have ended, what is queued can begin.
    return finish_some() && !queued_.empty() ? now : next;
}

void Member::relay(const Request& request, std::chrono::nanoseconds timeout, std::uint64_t tag) {
    queued_.push_back({request, timeout, tag});
}

/// While the roll call goes on, the requester is its own.
void Member::start_queued(Time now) {
    while (!queued_.empty() && !roll_call_ &&
           under_way_.size() + announcements_at_once_max * Announcement::at_once_max <
               limits::operations_in_flight_max) {
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
        under_way_.push_back({others_.begin(queued.request, now, now + queued.timeout), queued.tag});
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

void Member::on_message(Bytes message, const IncomingPayload& payload) {
    if (is_reply(message)) {
        const std::uint64_t rejected_before = others_.rejected_messages();
        others_.on_message(message, payload);
        shard_.count_rejected(others_.rejected_messages() - rejected_before);
    } else {
        shard_.on_message(message, payload);
    }
}

void Member::on_payload_received(std::uint64_t tag, bool ok) {
    Shard::owns(tag) ? shard_.on_payload_received(tag, ok) : others_.on_payload_received(tag, ok);
}

void Member::on_payload_sent(std::uint64_t tag, bool ok) {
    Shard::owns(tag) ? shard_.on_payload_sent(tag, ok) : others_.on_payload_sent(tag, ok);
}

void Member::on_peer_lost(PeerId peer, const Error& why) {
    shard_.on_peer_lost(peer, why);
    others_.on_peer_lost(peer, why);
}

}  // namespace ddict::manager
