// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What producers and consumers do with a queue.
#include <ddict/array.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>

#include "libclient/queue_core.h"
#include "libclient/queue_wait.h"

namespace ddict::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Of a value for which there is no space on any of its managers: so long on each of them.
constexpr milliseconds space_on_one_timeout{100};

/// Of an array: who says how many bytes a queue has means those of its elements.
std::uint8_t header_words_of(std::span<const std::byte> value, std::uint16_t type) {
    const bool is_array = (type & 0xff00) == type_array || (type & 0xe000) == type_structure_array;
    std::uint32_t rank = 0;
    if (!is_array || value.size() < sizeof rank) return 0;
    std::memcpy(&rank, value.data(), sizeof rank);
    if (rank > array_rank_max || detail::ArrayHeader::bytes(rank) > value.size()) return 0;
    return static_cast<std::uint8_t>(detail::ArrayHeader::bytes(rank) / 8);
}

}  // namespace

// ---- producers ----

Result<void> QueueCore::push(Bytes value, std::uint16_t type, Time deadline) {
    if (const Result<void> begun = begin_lease(deadline); !begun) return begun;
    QueueClaim claim(claims_);
    Result<QueueRecord::Entry> entry = reserve(value, type, claim, deadline);
    if (!entry) return entry.error();
    if (const Result<void> put = put_value(*entry, value, deadline); !put)
        return lay_down(*entry, put.error(), false);
    const Result<void> published = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        if (record.publish(entry->number, holder_)) return true;
        return lease_lost(entry->number);
    });
    if (!published) return lay_down(*entry, published.error(), published.error().code != Errc::not_found);
    return {};
}

Result<QueueRecord::Entry> QueueCore::reserve(Bytes value, std::uint16_t type, QueueClaim& claim,
                                              Time deadline) {
    Wait wait(*this);
    const std::uint8_t header_words = header_words_of(value, type);
    const std::uint64_t bytes = value.size() - std::size_t{header_words} * 8;
    for (;;) {
        std::optional<QueueRecord::Entry> entry;
        std::string waited;
        const Result<void> done = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            entry.reset();
            claim.drop();
            if (record.closed())
                return failure(Errc::invalid_argument, "it is closed: nothing can be pushed any more");
            if (bytes > record.share_bytes())
                return failure(Errc::too_large,
                               "the value is larger than a producer's share, which is the "
                               "queue's bytes divided by its producers")
                    .set_bytes(bytes, record.share_bytes());
            const auto& shares = record.shares();
            const bool joins = std::find(shares.begin(), shares.end(), holder_) == shares.end();
            const std::optional<std::uint32_t> share = record.join(holder_);
            if (share) entry = record.reserve(holder_, *share, bytes, type, managers_, header_words);
            if (entry) {
                claim.take(*entry);
                wait.end(record);
                return true;
            }
            waited = share ? "there was no space in this producer's share: no item of it was finished in time"
                           : "other producers have all shares";
            return wait.begin(record, share ? *share : QueueRecord::awaits_share) || (joins && share);
        });
        if (!done) return done.error();
        if (entry) {
            wait.ended();
            return *entry;
        }
        const Result<bool> goes_on = wait.sleep(deadline);
        if (!goes_on.has_value()) return goes_on.error();
        if (!*goes_on) return failure(Errc::timeout, waited);
    }
}

/// On the manager that the entry names, or on another of the share's, if there is no space, or it is lost.
Result<void> QueueCore::put_value(QueueRecord::Entry& entry, Bytes value, Time deadline) const {
    const std::string at = key_of(entry.number);
    std::vector<std::uint32_t> homes{entry.manager};
    std::size_t lost = 0;  // one after the other
    for (std::size_t turn = 0;; ++turn) {
        const bool waits = turn >= homes.size();  // no turn before has
        const bool is_only = turn != 0 && homes.size() == 1;
        const Time begin = steady_clock::now();
        const Time until_then =
            waits && !is_only ? std::min(deadline, begin + space_on_one_timeout) : deadline;
        View view = view_of(entry).until(until_then);
        if (waits) view = view.when_space();
        const Result<void> put = view.put_bytes(as_key(at), value, entry.type);
        if (put) return put;
        const bool is_full = put.error().code == Errc::no_space ||
                             (put.error().code == Errc::timeout && waits && !put.error().in_doubt);
        lost = put.error().code == Errc::manager_lost ? lost + 1 : 0;
        const Time now = steady_clock::now();
        if (now >= deadline || !(is_full || lost > 0)) return put;
        // (A wait that ends too early was ended by the program.)
        if (is_full && waits && now + milliseconds(1) < until_then) return put;
        if (turn == 0) {
            const Result<QueueRecord> record = read(until(deadline));
            if (!record) return record.error();
            homes = record->homes(entry.share, managers_);
            const auto first = std::find(homes.begin(), homes.end(), entry.manager);
            std::rotate(homes.begin(), first, homes.end());
        }
        if (lost >= homes.size()) return put;
        const std::uint32_t next = homes[(turn + 1) % homes.size()];
        if (next == entry.manager) continue;
        const Result<void> moved = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            if (record.move(entry.number, holder_, next)) return true;
            return lease_lost(entry.number);
        });
        if (!moved) return moved;
        entry.manager = next;
    }
}

/// What was reserved, and is not published, as far as is known. Returns why.
Result<void> QueueCore::lay_down(const QueueRecord::Entry& entry, const Error& why,
                                 bool may_be_published) const {
    const Time deadline = steady_clock::now() + aftermath_timeout;
    bool is_mine = false;
    const Result<void> abandoned = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        is_mine = record.abandon(entry.number, holder_);
        return is_mine;
    });
    if (abandoned && is_mine) {
        static_cast<void>(clear_away(deadline, entry));
    } else if (!may_be_published) {
        // Somebody else has removed the entry, or will, perhaps before this put.
        const std::string at = key_of(entry.number);
        static_cast<void>(
            view_of(entry).until(steady_clock::now() + aftermath_timeout).erase_bytes(as_key(at)));
    }
    return why;
}

Result<std::uint32_t> QueueCore::join(Time deadline) {
    if (const Result<void> begun = begin_lease(deadline); !begun) return begun.error();
    Wait wait(*this);
    for (;;) {
        bool joined = false;
        std::uint32_t share = 0;
        const Result<void> done = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            if (record.closed())
                return failure(Errc::invalid_argument, "it is closed: nothing can be pushed any more");
            const std::optional<std::uint32_t> found = record.join(holder_);
            joined = found.has_value();
            share = found.value_or(0);
            if (!joined) return wait.begin(record, QueueRecord::awaits_share);
            wait.end(record);
            return true;
        });
        if (!done) return done.error();
        if (joined) {
            wait.ended();
            return share;
        }
        const Result<bool> goes_on = wait.sleep(deadline);
        if (!goes_on.has_value()) return goes_on.error();
        if (!*goes_on) return failure(Errc::timeout, "other producers have all shares");
    }
}

Result<void> QueueCore::leave(Time deadline) {
    return update(deadline, [&](QueueRecord& record) -> Result<bool> { return record.leave(holder_); });
}

// ---- consumers ----

Result<std::optional<QueueRecord::Entry>> QueueCore::take(QueueEnd end, const detail::TimeoutBudget& budget,
                                                          bool waits_on) {
    Time deadline = budget.deadline(steady_clock::now());
    if (const Result<void> begun = begin_lease(deadline); !begun) return begun.error();
    const std::uint32_t awaits =
        end == QueueEnd::closed ? QueueRecord::awaits_item : QueueRecord::awaits_item_or_end;
    Wait wait(*this);
    QueueClaim claim(claims_);
    for (;;) {
        std::optional<QueueRecord::Entry> entry;
        bool is_over = false;
        const Result<void> done = update(deadline, [&](QueueRecord& record) -> Result<bool> {
            claim.drop();
            const bool gave_back = give_back_unclaimed(record);
            entry = record.take(holder_);
            if (entry) claim.take(*entry);
            is_over = !entry && record.is_over(holder_, end);
            if (!entry && !is_over) return wait.begin(record, awaits) || gave_back;
            wait.end(record);
            return entry.has_value() || gave_back;
        });
        if (!done) return done.error();
        if (entry) wait.ended();
        claim.keep();
        if (entry || is_over) return entry;
        const Result<bool> goes_on = wait.sleep(waits_on ? budget.until : deadline);
        if (!goes_on.has_value()) return goes_on.error();
        if (!*goes_on) return failure(Errc::timeout, "no item has come in time");
        if (waits_on) deadline = budget.deadline(steady_clock::now());
    }
}

Result<void> QueueCore::finish(std::uint64_t number, std::uint32_t attempt, Time deadline) {
    if (is_of_parent()) return forked();
    QueueRecord::Entry entry{};
    const Result<void> finished = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        if (!record.finish(number, holder_, attempt)) return lease_lost(number);
        entry = *record.find(number);
        return true;
    });
    if (finished || finished.error().code == Errc::not_found) claims_.remove({number, attempt});
    if (!finished) return finished;
    // From here on it is done. What is left is done by others, if it cannot be done here.
    static_cast<void>(clear_away(std::max(deadline, steady_clock::now() + aftermath_timeout), entry));
    return {};
}

Result<void> QueueCore::put_back(std::uint64_t number, std::uint32_t attempt, Time deadline) {
    if (is_of_parent()) return forked();
    const Result<void> back = update(deadline, [&](QueueRecord& record) -> Result<bool> {
        if (!record.put_back(number, holder_, attempt)) return lease_lost(number);
        return true;
    });
    claims_.remove({number, attempt});  // if that has failed, the thread of the lease does it
    return back;
}

void QueueCore::drop(std::uint64_t number, std::uint32_t attempt) noexcept {
    try {
        static_cast<void>(put_back(number, attempt, steady_clock::now() + aftermath_timeout));
    } catch (const std::exception&) {  // no memory: nor is there for what was to be told
        claims_.remove({number, attempt});
    }
}

}  // namespace ddict::client
