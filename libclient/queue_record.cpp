// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/queue_record.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>

namespace ddict::client {
namespace {

static_assert(sizeof(QueueRecord::Entry) == 40 && sizeof(QueueRecord::Waiter) == 16);

constexpr std::chrono::milliseconds lease_default{10'000};

template <class T>
void append_all(std::vector<std::byte>& out, const std::vector<T>& items) {
    const auto bytes = std::as_bytes(std::span(items));
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Requires that there are as many.
template <class T>
std::span<const std::byte> read_all(std::span<const std::byte> bytes, std::size_t count,
                                    std::vector<T>& items) {
    items.resize(count);
    if (count != 0) std::memcpy(items.data(), bytes.data(), count * sizeof(T));
    return bytes.subspan(count * sizeof(T));
}

}  // namespace

template <class Which>
void QueueRecord::wake_first(Which which) {
    const auto first = std::find_if(waiters_.begin(), waiters_.end(), which);
    if (first == waiters_.end()) return;
    woken_.push_back(*first);
    waiters_.erase(first);
}

template <class Which>
void QueueRecord::wake_all(Which which) {
    std::vector<Waiter> all;  // first: what `which` looks at stays as it is
    std::copy_if(waiters_.begin(), waiters_.end(), std::back_inserter(all), which);
    std::erase_if(waiters_, [&](const Waiter& waiter) {
        return std::find(all.begin(), all.end(), waiter) != all.end();
    });
    woken_.insert(woken_.end(), all.begin(), all.end());
}

QueueRecord QueueRecord::make(const QueueOptions& options, std::uint64_t birth) {
    QueueRecord record;
    record.header_.magic = magic;
    record.header_.birth = birth;
    record.header_.bytes_max = options.bytes;
    record.header_.items_max = options.items == 0 ? items_default : options.items;
    record.header_.producers = std::max(options.producers, 1u);
    const auto lease = options.lease.count() == 0 ? lease_default : options.lease;
    record.header_.lease_ms = static_cast<std::uint64_t>(lease.count());
    record.shares_.resize(record.header_.producers);
    return record;
}

Result<QueueRecord> QueueRecord::parse(std::span<const std::byte> bytes) {
    const Error bad(Errc::protocol, "this is no state of a queue, or that of another version of ddict");
    QueueRecord record;
    Header& header = record.header_;
    if (bytes.size() < sizeof header) return bad;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != magic || header.producers == 0 || header.producers > producers_max ||
        header.items_max < header.producers || header.items_max > items_max ||
        header.lease_ms < static_cast<std::uint64_t>(lease_min.count()) ||
        header.lease_ms > static_cast<std::uint64_t>(lease_max.count()) || header.entry_count > items_max ||
        header.waiter_count > waiters_max)
        return bad;
    bytes = bytes.subspan(sizeof header);
    if (bytes.size() != header.producers * sizeof(Holder) + header.entry_count * sizeof(Entry) +
                            header.waiter_count * sizeof(Waiter))
        return bad;
    bytes = read_all(bytes, header.producers, record.shares_);
    bytes = read_all(bytes, header.entry_count, record.entries_);
    read_all(bytes, header.waiter_count, record.waiters_);
    if (!record.is_sound()) return bad;
    return record;
}

std::vector<std::byte> QueueRecord::bytes() const {
    Header header = header_;
    header.entry_count = static_cast<std::uint32_t>(entries_.size());
    header.waiter_count = static_cast<std::uint32_t>(waiters_.size());
    std::vector<std::byte> out(sizeof header);
    std::memcpy(out.data(), &header, sizeof header);
    append_all(out, shares_);
    append_all(out, entries_);
    append_all(out, waiters_);
    return out;
}

bool QueueRecord::is_sound() const {
    std::vector<std::uint64_t> bytes(shares_.size());
    std::vector<std::uint64_t> items(shares_.size());
    std::uint64_t last = 0;
    for (const Entry& entry : entries_) {
        if (entry.number < last || entry.number >= header_.next_number || entry.share >= shares_.size())
            return false;
        last = entry.number + 1;
        if (entry.state < State::writing || entry.state > State::leaving ||
            (entry.state == State::ready) != (entry.holder == 0))
            return false;
        bytes[entry.share] += entry.bytes;
        items[entry.share] += 1;
    }
    for (std::size_t share = 0; share < shares_.size(); ++share) {
        if (bytes[share] > share_bytes() || items[share] > share_items()) return false;
    }
    std::vector<Holder> holders = shares_;
    std::erase(holders, Holder{0});
    std::sort(holders.begin(), holders.end());
    return std::adjacent_find(holders.begin(), holders.end()) == holders.end();
}

std::uint64_t QueueRecord::share_bytes() const {
    return header_.bytes_max == 0 ? UINT64_MAX : header_.bytes_max / header_.producers;
}

const QueueRecord::Entry* QueueRecord::find(std::uint64_t number) const {
    for (const Entry& entry : entries_) {
        if (entry.number == number) return &entry;
    }
    return nullptr;
}

QueueRecord::Entry* QueueRecord::find_held(std::uint64_t number, Holder holder, State state) {
    for (Entry& entry : entries_) {
        if (entry.number == number) return entry.holder == holder && entry.state == state ? &entry : nullptr;
    }
    return nullptr;
}

QueueStats QueueRecord::stats() const {
    QueueStats stats{.bytes_max = header_.bytes_max,
                     .items = entries_.size(),
                     .items_max = header_.items_max,
                     .pushed = header_.next_number,
                     .finished = header_.finished,
                     .shares = header_.producers,
                     .lease = lease(),
                     .closed = closed()};
    for (const Entry& entry : entries_) {
        stats.bytes += entry.bytes;
        stats.writing += entry.state == State::writing;
        stats.ready += entry.state == State::ready;
        stats.taken += entry.state == State::taken;
    }
    for (const Holder holder : shares_)
        stats.producers += holder != 0;
    for (const Waiter& waiter : waiters_)
        ++(awaits_any_item(waiter) ? stats.waiting_consumers : stats.waiting_producers);
    return stats;
}

std::optional<std::string> QueueRecord::difference(const QueueOptions& options) const {
    const auto told = [](const char* what, std::uint64_t has, std::uint64_t asked) {
        return std::string(what) + " is " + std::to_string(has) + ", not " + std::to_string(asked);
    };
    if (options.bytes != 0 && options.bytes != header_.bytes_max)
        return told("bytes", header_.bytes_max, options.bytes);
    if (options.items != 0 && options.items != header_.items_max)
        return told("items", header_.items_max, options.items);
    if (options.producers != 0 && options.producers != header_.producers)
        return told("producers", header_.producers, options.producers);
    const auto lease_ms = static_cast<std::uint64_t>(options.lease.count());
    if (lease_ms != 0 && lease_ms != header_.lease_ms)
        return told("the lease in milliseconds", header_.lease_ms, lease_ms);
    return std::nullopt;
}

std::vector<QueueRecord::Holder> QueueRecord::others(Holder self) const {
    std::vector<Holder> all = shares_;
    for (const Entry& entry : entries_)
        all.push_back(entry.holder);
    for (const Waiter& waiter : waiters_)
        all.push_back(waiter.holder);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    std::erase(all, Holder{0});
    std::erase(all, self);
    return all;
}

// ---- producers ----

std::optional<std::uint32_t> QueueRecord::join(Holder holder) {
    std::optional<std::uint32_t> best;
    std::uint64_t least = UINT64_MAX;
    for (std::uint32_t share = 0; share < shares_.size(); ++share) {
        if (shares_[share] == holder) return share;
        if (shares_[share] != 0) continue;
        std::uint64_t used = 0;  // by who had it before
        for (const Entry& entry : entries_)
            used += entry.share == share ? entry.bytes + 1 : 0;
        if (used < least) {
            best = share;
            least = used;
        }
    }
    if (!best) return best;
    shares_[*best] = holder;
    if (header_.joined != UINT32_MAX) ++header_.joined;
    return best;
}

std::vector<std::uint32_t> QueueRecord::homes(std::uint32_t share,
                                              std::span<const std::uint32_t> managers) const {
    const std::size_t count = managers.size();
    if (shares_.size() >= count) return {managers[share % count]};
    std::vector<std::uint32_t> mine;
    for (std::size_t i = share; i < count; i += shares_.size())
        mine.push_back(managers[i]);
    return mine;
}

std::optional<QueueRecord::Entry> QueueRecord::reserve(Holder holder, std::uint32_t share,
                                                       std::uint64_t value_bytes, std::uint16_t type,
                                                       std::span<const std::uint32_t> managers,
                                                       std::uint8_t header_words) {
    const std::vector<std::uint32_t> mine = homes(share, managers);
    std::vector<std::uint64_t> on(mine.size());
    std::uint64_t bytes = 0;
    std::uint64_t items = 0;
    for (const Entry& entry : entries_) {
        if (entry.share != share) continue;
        bytes += entry.bytes;
        ++items;
        for (std::size_t i = 0; i < mine.size(); ++i)
            on[i] += entry.manager == mine[i] ? entry.bytes + 1 : 0;
    }
    if (items >= share_items() || bytes > share_bytes() || value_bytes > share_bytes() - bytes)
        return std::nullopt;
    // The one that has the least of this share; of several, another one each time.
    std::size_t best = header_.next_number % mine.size();
    for (std::size_t i = 0; i < mine.size(); ++i)
        best = on[i] < on[best] ? i : best;
    entries_.push_back({.number = header_.next_number++,
                        .bytes = value_bytes,
                        .holder = holder,
                        .share = share,
                        .manager = mine[best],
                        .attempts = 0,
                        .type = type,
                        .state = State::writing,
                        .header_words = header_words});
    return entries_.back();
}

bool QueueRecord::move(std::uint64_t number, Holder holder, std::uint32_t manager) {
    Entry* const entry = find_held(number, holder, State::writing);
    if (entry != nullptr) entry->manager = manager;
    return entry != nullptr;
}

bool QueueRecord::publish(std::uint64_t number, Holder holder) {
    Entry* const entry = find_held(number, holder, State::writing);
    if (entry == nullptr) return false;
    entry->state = State::ready;
    entry->holder = 0;
    wake_for_item();
    return true;
}

bool QueueRecord::abandon(std::uint64_t number, Holder holder) {
    Entry* const entry = find_held(number, holder, State::writing);
    if (entry == nullptr) return false;
    entry->state = State::leaving;
    wake_who_is_over();
    return true;
}

bool QueueRecord::leave(Holder holder) {
    const auto mine = std::find(shares_.begin(), shares_.end(), holder);
    if (mine == shares_.end()) return false;
    *mine = 0;
    wake_for_share();
    wake_who_is_over();
    return true;
}

bool QueueRecord::close() {
    if (closed()) return false;
    header_.closed = 1;
    woken_.insert(woken_.end(), waiters_.begin(), waiters_.end());
    waiters_.clear();
    return true;
}

// ---- consumers ----

std::optional<QueueRecord::Entry> QueueRecord::take(Holder holder) {
    for (Entry& entry : entries_) {
        if (entry.state != State::ready) continue;
        entry.state = State::taken;
        entry.holder = holder;
        ++entry.attempts;
        return entry;
    }
    return std::nullopt;
}

bool QueueRecord::has(std::uint64_t number, Holder holder, std::uint32_t attempt) const {
    const Entry* const entry = find(number);
    return entry != nullptr && entry->holder == holder && entry->state == State::taken &&
           entry->attempts == attempt;
}

bool QueueRecord::finish(std::uint64_t number, Holder holder, std::uint32_t attempt) {
    if (!has(number, holder, attempt)) return false;
    find_held(number, holder, State::taken)->state = State::leaving;
    ++header_.finished;
    wake_who_is_over();
    return true;
}

bool QueueRecord::put_back(std::uint64_t number, Holder holder, std::uint32_t attempt) {
    if (!has(number, holder, attempt)) return false;
    Entry* const entry = find_held(number, holder, State::taken);
    entry->state = State::ready;
    entry->holder = 0;
    wake_for_item();
    return true;
}

bool QueueRecord::remove(std::uint64_t number) {
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& entry) { return entry.number == number; });
    if (found == entries_.end() || found->state != State::leaving) return false;
    const std::uint32_t share = found->share;
    entries_.erase(found);
    wake_all([&](const Waiter& waiter) { return waiter.awaits == share; });
    return true;
}

bool QueueRecord::is_over(Holder holder, QueueEnd end) const {
    if (!closed() && !(end == QueueEnd::producers_gone && all_have_come_and_gone())) return false;
    return std::all_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        if (entry.state == State::leaving) return true;
        if (entry.state != State::taken) return false;
        // Who waits for an item while it has one would wait for this one as well.
        return entry.holder == holder ||
               std::any_of(waiters_.begin(), waiters_.end(), [&](const Waiter& waiter) {
                   return awaits_any_item(waiter) && waiter.holder == entry.holder;
               });
    });
}

// ---- the dead, and what nobody knows of ----

bool QueueRecord::give_back(Holder holder, const std::function<bool(const Entry&)>& is_known) {
    bool changed = false;
    for (Entry& entry : entries_) {
        const bool is_taken = entry.state == State::taken;
        if (entry.holder != holder || !(is_taken || entry.state == State::writing) || is_known(entry))
            continue;
        changed = true;
        entry.state = is_taken ? State::ready : State::leaving;
        if (!is_taken) continue;
        entry.holder = 0;
        wake_for_item();
    }
    if (changed) wake_who_is_over();
    return changed;
}

bool QueueRecord::bury(Holder dead, Holder self) {
    bool changed = std::erase_if(waiters_, [&](const Waiter& waiter) { return waiter.holder == dead; }) != 0;
    for (Entry& entry : entries_) {
        if (entry.holder != dead) continue;
        changed = true;
        const bool was_taken = entry.state == State::taken;
        entry.state = was_taken ? State::ready : State::leaving;
        entry.holder = was_taken ? 0 : self;
        if (was_taken) wake_for_item();
    }
    changed = leave(dead) || changed;
    wake_who_is_over();
    return changed;
}

// ---- those that wait ----

bool QueueRecord::wait(const Waiter& waiter) {
    if (waiters_.size() >= waiters_max ||
        std::find(waiters_.begin(), waiters_.end(), waiter) != waiters_.end())
        return false;
    std::erase_if(waiters_, [&](const Waiter& one) {  // for something else
        return one.holder == waiter.holder && one.call == waiter.call;
    });
    waiters_.push_back(waiter);
    wake_who_is_over();
    return true;
}

bool QueueRecord::stop_waiting(Holder holder, std::uint32_t call) {
    const bool was_there = std::erase_if(waiters_, [&](const Waiter& waiter) {
                               return waiter.holder == holder && waiter.call == call;
                           }) != 0;
    const std::size_t woken_before = woken_.size();
    if (!was_there) {
        wake_if_ready();
        const bool has_free = std::find(shares_.begin(), shares_.end(), Holder{0}) != shares_.end();
        if (has_free) wake_for_share();
    }
    return was_there || woken_.size() != woken_before;
}

void QueueRecord::wake_for_share() {
    wake_first([](const Waiter& waiter) { return waiter.awaits == awaits_share; });
}

void QueueRecord::wake_if_ready() {
    if (std::any_of(entries_.begin(), entries_.end(),
                    [](const Entry& entry) { return entry.state == State::ready; }))
        wake_for_item();
}

/// Others who wait stay asleep: they would only wait again.
void QueueRecord::wake_who_is_over() {
    wake_all([&](const Waiter& waiter) {
        const auto end = waiter.awaits == awaits_item ? QueueEnd::closed : QueueEnd::producers_gone;
        return awaits_any_item(waiter) && is_over(waiter.holder, end);
    });
}

bool QueueRecord::present() const {
    return std::any_of(shares_.begin(), shares_.end(), [](Holder holder) { return holder != 0; });
}

bool QueueRecord::all_have_come_and_gone() const {
    return header_.joined >= header_.producers && !present();
}

}  // namespace ddict::client
