// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A process's hold on a queue: its holder's number, its lease, and what it does with the record. The keys,
// all of them texts:
//
//     ddict.queue/NAME/state                    the record (libclient/queue_record.h)
//     ddict.queue/NAME/BIRTH/item/NUMBER        a value; on the manager that its entry names
//     ddict.queue/NAME/BIRTH/lease/HOLDER       a number that its holder counts up
//     ddict.queue/NAME/BIRTH/look/HOLDER        the same, of one that counts its lease up by hand: its
//     thread's ddict.queue/NAME/BIRTH/wake/HOLDER/CALL   put by whoever wakes this waiting call, erased by
//     itself
//
// The last three lie on the manager of the record: while it does not answer, or takes no changes, nobody can
// show that he lives, and nobody judges.
//
// BIRTH tells a queue from one of the same name that was removed before.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include <ddict/queue.h>

#include "libclient/attachment.h"
#include "libclient/lease_watch.h"
#include "libclient/queue_claims.h"
#include "libclient/queue_record.h"

namespace ddict::client {

/// A text as a key; stays the caller's.
inline KeyBytes as_key(const std::string& text) {
    return KeyBytes(std::as_bytes(std::span(text)));
}

/// Threads: any number.
class QueueCore {
  public:
    using Time = std::chrono::steady_clock::time_point;
    using Bytes = std::span<const std::byte>;

    /// `base` has no deadline of its own, `budget` has that of the view that it comes from; the queue's
    /// values lie on `managers`.
    QueueCore(View base, const detail::TimeoutBudget& budget, detail::Shared<Attachment> attachment,
              std::vector<std::uint32_t> managers, std::string name);
    ~QueueCore();
    QueueCore(const QueueCore&) = delete;
    QueueCore& operator=(const QueueCore&) = delete;

    /// Makes the queue, or looks whether it is as the options say; waits for it if they say nothing.
    Result<void> open(const QueueOptions& options, Time deadline);
    const std::string& name() const { return name_; }
    /// Of an item of a take with this one: who waits for an item for a moment only has as long as for other
    /// calls to read and finish it.
    detail::TimeoutBudget budget_of_item(detail::TimeoutBudget of_take) const {
        of_take.timeout = std::max(of_take.timeout, budget_.timeout);
        return of_take;
    }
    QueueRecord::Holder holder() const { return holder_; }
    /// Where it lies. One that was saved and loaded may have had more managers: this is where it is then.
    View view_of(const QueueRecord::Entry& entry) const {
        return base_.manager(entry.manager % base_.manager_count());
    }
    std::string key_of(std::uint64_t number) const;

    Result<void> push(Bytes value, std::uint16_t type, Time deadline);
    /// The entry is claimed until it is finished or put back. One that `waits_on` does so while an item may
    /// come; then `budget.timeout` is that of each message, and `budget.until` alone bounds the whole.
    Result<std::optional<QueueRecord::Entry>> take(QueueEnd end, const detail::TimeoutBudget& budget,
                                                   bool waits_on);
    Result<void> finish(std::uint64_t number, std::uint32_t attempt, Time deadline);
    Result<void> put_back(std::uint64_t number, std::uint32_t attempt, Time deadline);
    /// The same of an item that ends. What cannot be put back at once is given back later.
    void drop(std::uint64_t number, std::uint32_t attempt) noexcept;
    /// Counts the lease up; lease lost if the item is not held.
    Result<void> renew(Time deadline);
    Result<void> renew(std::uint64_t number, std::uint32_t attempt, Time deadline);
    Result<std::uint32_t> join(Time deadline);
    Result<void> leave(Time deadline);
    Result<void> close(Time deadline);
    Result<QueueStats> stats(Time deadline);
    Result<void> remove(Time deadline);

  private:
    class Wait;
    /// To undo something after a deadline, or to wake somebody.
    static constexpr std::chrono::milliseconds aftermath_timeout{1000};

    Error failure(Errc code, const std::string& text) const;
    Error lease_lost(std::uint64_t number) const;
    View until(Time deadline) const { return base_.until(deadline); }
    View beside_record(Time deadline) const { return beside_record_.until(deadline); }
    std::string record_key() const;
    std::string key(const char* kind, const std::string& rest) const;
    std::string lease_key(QueueRecord::Holder holder) const;
    std::string look_key(QueueRecord::Holder holder) const;
    std::string wake_prefix(QueueRecord::Holder holder) const;
    std::string wake_key(const QueueRecord::Waiter& waiter) const;

    Result<QueueRecord> read(const View& view) const;
    /// Has `change` change the record until nobody else has changed it meanwhile. `change` returns whether it
    /// has; if not, nothing is stored.
    using Change = std::function<Result<bool>(QueueRecord&)>;
    Result<void> update(Time deadline, const Change& change) const;
    void wake(Time deadline, const std::vector<QueueRecord::Waiter>& woken) const;
    /// Erases the value of an entry that is leaving, and removes it from the record.
    Result<void> clear_away(Time deadline, const QueueRecord::Entry& entry) const;
    Result<QueueRecord::Entry> reserve(Bytes value, std::uint16_t type, QueueClaim& claim, Time deadline);
    Result<void> put_value(QueueRecord::Entry& entry, Bytes value, Time deadline) const;
    Result<void> lay_down(const QueueRecord::Entry& entry, const Error& why, bool may_be_published) const;

    /// What calls of this holder have left, of which nobody knows.
    bool is_unclaimed(const QueueRecord::Entry& entry) const;
    bool give_back_unclaimed(QueueRecord& record) const;

    /// From now on this holder shows that it lives.
    Result<void> begin_lease(Time deadline);
    Result<void> count_up(const std::string& key, Time deadline) const;
    void run_lease();
    void count_and_look(Time& next_look);
    /// Finds those whose leases have run out, and takes from them what they hold.
    void look_for_dead(Time deadline);
    std::vector<QueueRecord::Holder> find_dead(Time deadline, const QueueRecord& record);
    bool is_of_parent() const;

    const View base_;
    View beside_record_;  // of its manager; set by open()
    const detail::TimeoutBudget budget_;
    const detail::Shared<Attachment> attachment_;
    const std::vector<std::uint32_t> managers_;
    const std::string name_;
    const QueueRecord::Holder holder_;
    const int process_;
    std::uint64_t birth_ = 0;
    std::chrono::milliseconds lease_{0};
    bool by_hand_ = false;
    QueueClaims claims_;

    std::mutex mutex_;
    std::unique_ptr<std::condition_variable> ends_changed_;
    bool ends_ = false;
    bool lease_begun_ = false;
    std::set<std::uint32_t> free_calls_;
    std::uint32_t calls_ = 0;
    std::unique_ptr<std::thread> thread_;
    // Of the thread alone:
    LeaseWatch watch_;
    std::map<std::uint64_t, Time> leaving_since_;
};

}  // namespace ddict::client
