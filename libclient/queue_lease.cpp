// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The leases of a queue's holders: to show that one lives, and to find those that do not.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <shared_mutex>
#include <utility>

#include "libclient/queue_core.h"

namespace ddict::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Of a holder that looks for the dead among many: so much for each, so that they do not ask all the time.
constexpr milliseconds look_interval_for_each{20};

}  // namespace

Result<void> QueueCore::count_up(const std::string& key, Time deadline) const {
    const Result<std::uint64_t> before =
        beside_record(deadline).when_space().add_bits(as_key(key), Codec<std::int64_t>::type, 1, 1);
    if (!before) return before.error();
    return {};
}

Result<void> QueueCore::renew(Time deadline) {
    if (const Result<void> begun = begin_lease(deadline); !begun) return begun;
    return by_hand_ ? Result<void>() : count_up(lease_key(holder_), deadline);  // begin_lease has counted
}

Result<void> QueueCore::renew(std::uint64_t number, std::uint32_t attempt, Time deadline) {
    if (const Result<void> counted = renew(deadline); !counted) return counted;
    const Result<QueueRecord> record = read(until(deadline));
    if (!record) return record.error();
    if (!record->has(number, holder_, attempt)) return lease_lost(number);
    return {};
}

Result<void> QueueCore::begin_lease(Time deadline) {
    if (is_of_parent())
        return Error(Errc::not_attached, "this queue is of the parent of this process: attach anew");
    bool is_begun = false;
    {
        const std::lock_guard lock(mutex_);
        is_begun = lease_begun_;
    }
    // Unlocked: others have deadlines of their own.
    if (by_hand_ || !is_begun) {
        if (const Result<void> counted = count_up(lease_key(holder_), deadline); !counted) return counted;
    }
    const std::lock_guard lock(mutex_);
    if (lease_begun_) return {};
    // Signals are for the program's own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    Result<void> started;
    try {
        thread_ = std::make_unique<std::thread>([this] { run_lease(); });
        lease_begun_ = true;
    } catch (const std::exception& error) {
        started = failure(Errc::system, std::string("no thread for its lease: ") + error.what());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
}

/// Whatever becomes of it, the program's process goes on.
void QueueCore::count_and_look(Time& next_look) {
    const auto at_most = std::min<milliseconds>(lease_ / 4, aftermath_timeout);
    try {
        const std::string counter = by_hand_ ? look_key(holder_) : lease_key(holder_);
        if (!count_up(counter, steady_clock::now() + at_most)) {
            watch_.forget_all();  // others cannot count either, perhaps
        } else if (steady_clock::now() >= next_look) {
            look_for_dead(steady_clock::now() + at_most);
            next_look = steady_clock::now() +
                        std::max<milliseconds>(lease_ / 4, look_interval_for_each * watch_.size());
        }
    } catch (const std::exception&) {  // no memory
        watch_.forget_all();
    }
}

void QueueCore::run_lease() {
    Time next_look = steady_clock::now() + lease_ / 4;
    std::unique_lock lock(mutex_);
    while (!ends_changed_->wait_for(lock, lease_ / 4, [this] { return ends_; })) {
        lock.unlock();
        {
            // Whoever detaches waits for this to be over.
            const std::shared_lock background(attachment_->background());
            if (!base_.check_attached()) return;
            count_and_look(next_look);
        }
        lock.lock();
    }
}

std::vector<QueueRecord::Holder> QueueCore::find_dead(Time deadline, const QueueRecord& record) {
    const std::vector<QueueRecord::Holder> others = record.others(holder_);
    watch_.forget_all_but(others);
    std::vector<std::string> keys;
    for (const QueueRecord::Holder holder : others)
        keys.push_back(lease_key(holder));
    std::vector<QueueRecord::Holder> dead;
    const Time asked = steady_clock::now();
    const auto counts = beside_record(deadline).try_multi_get<std::int64_t>(keys);
    const Time answered = steady_clock::now();
    for (std::size_t i = 0; i < others.size(); ++i) {
        const bool is_known = counts[i].status.ok() || counts[i].code() == Errc::not_found;
        if (!is_known) {  // that says nothing of the holder
            watch_.forget(others[i]);
            continue;
        }
        const std::int64_t count = counts[i].status.ok() ? *counts[i] : -1;
        if (watch_.has_run_out(others[i], count, asked, answered, lease_)) dead.push_back(others[i]);
    }
    return dead;
}

void QueueCore::look_for_dead(Time deadline) {
    const Result<QueueRecord> record = read(until(deadline));
    if (!record) return;
    const std::vector<QueueRecord::Holder> dead = find_dead(deadline, *record);
    // Whoever was to erase a value may have failed to.
    std::map<std::uint64_t, Time> leaving;
    std::vector<std::uint64_t> stale;
    const Time now = steady_clock::now();
    for (const QueueRecord::Entry& entry : record->entries()) {
        if (entry.state != QueueRecord::State::leaving) continue;
        const auto known = leaving_since_.find(entry.number);
        const Time since = known == leaving_since_.end() ? now : known->second;
        leaving.emplace(entry.number, since);
        if (now - since >= lease_) stale.push_back(entry.number);
    }
    leaving_since_ = std::move(leaving);
    const bool has_unclaimed =
        std::any_of(record->entries().begin(), record->entries().end(),
                    [this](const QueueRecord::Entry& entry) { return is_unclaimed(entry); });
    if (dead.empty() && stale.empty() && !has_unclaimed) return;
    std::vector<QueueRecord::Entry> to_clear;
    const Result<void> taken = update(deadline, [&](QueueRecord& now_there) -> Result<bool> {
        to_clear.clear();
        for (const QueueRecord::Entry& entry : now_there.entries()) {
            const bool of_dead = std::find(dead.begin(), dead.end(), entry.holder) != dead.end();
            const bool is_stale = std::find(stale.begin(), stale.end(), entry.number) != stale.end();
            const bool is_to_clear = is_stale || of_dead || is_unclaimed(entry);
            if (is_to_clear && entry.state != QueueRecord::State::taken) to_clear.push_back(entry);
        }
        bool changed = give_back_unclaimed(now_there);
        for (const QueueRecord::Holder holder : dead)
            changed = now_there.bury(holder, holder_) || changed;
        return changed;
    });
    if (!taken) return;
    for (const QueueRecord::Entry& entry : to_clear)
        static_cast<void>(clear_away(deadline, entry));
    const View view = beside_record(deadline);
    for (const QueueRecord::Holder holder : dead) {
        watch_.forget(holder);
        for (const std::string& key : {lease_key(holder), look_key(holder)})
            static_cast<void>(view.erase_bytes(as_key(key)));
        static_cast<void>(view.try_erase_prefix(wake_prefix(holder)));
    }
}

}  // namespace ddict::client
