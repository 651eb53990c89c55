// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue in a dictionary: any number of producers and consumers, on any nodes. Include it beside
// <ddict/dictionary.h>.
//
//     auto queue = dict.queue("steps", {.bytes = 128 << 20, .producers = 2});
//     queue.push(field);                       // waits while this producer's share of the bound is taken
//     queue.close();
//
//     auto queue = dict.queue("steps");        // elsewhere; waits until there is one
//     while (auto item = queue.next()) {       // nothing: it is closed, and all items are done
//         analyse(item->get<Field>());
//         item->finish();                      // now its producer has the space again
//     }
//
// Shares. The bound is divided evenly among QueueOptions::producers, so that no producer can take what
// another one needs: a consumer that waits for one item of each does not wait for ever. A Queue takes a share
// with its first push, and has it until leave() or its end; who finds all taken waits for one.
//
// Leases. What a Queue holds, its share and the items that it has taken, is its own for as long as it shows
// that it lives: a thread of the library counts its lease up. If that stands still for QueueOptions::lease by
// another one's steady clock, because its process was killed or stopped, what it was pushing is removed, its
// share can be taken, and its items are handed out to others. A holder that was only late is told so: lease
// lost, Errc::not_found. So every item is handed out once, or again only after its lease was lost, and
// finish() succeeds exactly once. Items whose push has returned stay when their producer dies.
//
// Order: that in which their pushes were begun, as far as they are there; what comes back goes first.
//
// Threads: any number may use one Queue at once, and copies of it, which have one lease and one share
// together. One that takes in one thread and is ended in another is as good. A child of fork() cannot use its
// parent's. Detaching the dictionary, or destroying it, ends all its queues' leases.
//
// Errors: those of all calls (<ddict/view.h>); not_found if the queue was removed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <ddict/view.h>

namespace ddict {

namespace client {
class QueueCore;
}

/// What a queue is made with. It has these for ever: who gives others later is refused (invalid_argument).
/// Without bytes, items and producers it is not made, but waited for until somebody has (timeout).
struct QueueOptions {
    /// Of the values of all items that are there, also of those that were taken and not finished; of an array
    /// those of its elements. 0: no bound.
    std::uint64_t bytes = 0;
    /// How many items; at most 4096. 0: 1024.
    std::uint32_t items = 0;
    /// Among how many the bound is divided; at most 1024. 0: 1.
    std::uint32_t producers = 0;
    /// After how long without a sign of life a holder counts as dead; 0.1 s at least, 30 days at
    /// most. 0: 10 s.
    std::chrono::milliseconds lease{0};
    /// Of this Queue alone: no thread counts its lease up, but each of its calls does. Between two of them
    /// there must be less time than the lease: renew().
    bool renew_by_hand = false;
};

/// What there is in a queue.
struct QueueStats {
    std::uint64_t bytes = 0;  ///< of the values that are there, as QueueOptions::bytes counts them
    std::uint64_t bytes_max = 0;
    std::uint64_t items = 0;
    std::uint64_t items_max = 0;
    std::uint64_t writing = 0;  ///< of these, being pushed
    std::uint64_t ready = 0;    ///< to be taken
    std::uint64_t taken = 0;    ///< and not finished
    std::uint64_t pushed = 0;   ///< since it was made, also those whose push has failed
    std::uint64_t finished = 0;
    std::uint32_t shares = 0;             ///< QueueOptions::producers
    std::uint32_t producers = 0;          ///< that have one now
    std::uint32_t waiting_producers = 0;  ///< for space, or for a share
    std::uint32_t waiting_consumers = 0;
    std::chrono::milliseconds lease{0};
    bool closed = false;
};

/// When take() ends without an item.
enum class QueueEnd {
    closed,          ///< when close() was called, and all items are done
    producers_gone,  ///< or when as many producers as there are shares have come, all have left or died, and
                     ///< all items are done
};

/// An item that was taken. One that ends without finish() goes back to the queue. For one thread at a time.
/// Its calls may take as long as those of the queue as it was opened, or as its take(), if that is longer.
class QueueItem {
  public:
    QueueItem(QueueItem&& other) noexcept;
    QueueItem& operator=(QueueItem&& other) noexcept;
    QueueItem(const QueueItem&) = delete;
    QueueItem& operator=(const QueueItem&) = delete;
    ~QueueItem();

    std::uint64_t number() const { return number_; }      ///< of its push; no two of a queue have the same
    std::uint32_t producer() const { return producer_; }  ///< which share it was pushed with, from 0
    std::uint32_t attempt() const { return attempt_; }    ///< how often it was handed out, this time included
    std::uint64_t bytes() const { return bytes_; }        ///< of its value
    std::uint16_t type() const { return type_; }          ///< of its value

    /// Its value, as View::get: it stays where it is, and may be read again. Errors: not_found, lease lost,
    /// if somebody else has finished it; invalid_argument, if this one has.
    template <class T = std::string>
    T get() const {
        return try_get<T>().value();
    }
    template <class T = std::string>
    Result<T> try_get() const {
        return or_why_gone(values_.try_get<T>(key_));
    }
    template <class T>
    detail::Received<T> get_into(T&& value) const {
        return or_why_gone(values_.try_get_into(key_, std::forward<T>(value))).value();
    }
    Result<void> get_bytes(ValueSink& sink) const;

    /// It is done: removes it, and gives its space back. Errors: not_found, lease lost: somebody else has it,
    /// or will have it, and has to do it; invalid_argument the second time. After an error that is in doubt
    /// nobody knows. Cost: three messages.
    void finish();
    Result<void> try_finish();
    /// Shows that this consumer lives, and whether the item is still its own. Errors: lease lost. Needed only
    /// with QueueOptions::renew_by_hand.
    void renew() const;
    Result<void> try_renew() const;
    /// Gives it back undone: it is the next to be handed out. Errors: lease lost.
    void put_back();
    Result<void> try_put_back();

  private:
    friend class Queue;
    QueueItem(detail::Shared<client::QueueCore> core, const detail::TimeoutBudget& budget);
    Result<void> check() const;
    /// What there is to say of a value that is not there.
    Error why_gone(const Error& error) const;
    template <class Got>
    Got or_why_gone(Got got) const {
        if (!got.has_value() && got.error().code == Errc::not_found) return why_gone(got.error());
        return got;
    }

    detail::Shared<client::QueueCore> core_;  // none: it was moved from, finished, or put back
    detail::TimeoutBudget budget_;
    View values_;
    std::string key_;
    std::uint64_t number_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint32_t producer_ = 0;
    std::uint32_t attempt_ = 0;
    std::uint16_t type_ = 0;
};

/// A hold on a queue: View::queue(). Its end, and that of its copies and items, gives back what it holds.
class Queue {
  public:
    /// Of no dictionary: every call fails with not_attached.
    Queue() = default;

    /// The same queue, each of whose calls takes this long at the most.
    template <class Number, class Unit>
    Queue within(std::chrono::duration<Number, Unit> timeout) const {
        Queue queue = *this;
        queue.budget_.timeout = detail::TimeoutBudget::clamped(timeout);
        return queue;
    }
    std::string name() const;

    /// Appends a value; waits for a share, and until there is space in it, and in the memory. When it
    /// returns, the item is there, whatever becomes of this process. Errors: timeout, whose text says what it
    /// waited for; too_large, of what is more than a share; invalid_argument, if the queue is closed; lease
    /// lost. Cost: that of a put, and two small messages.
    template <class V>
    void push(const V& value) const {
        try_push(value).value();
    }
    template <class V>
    Result<void> try_push(const V& value) const {
        return detail::with_bytes(
            value, [&](std::span<const std::byte> bytes) { return push_bytes(bytes, detail::type_of<V>()); });
    }
    Result<void> push_bytes(std::span<const std::byte> value, std::uint16_t value_type) const;

    /// The next item, which is then this Queue's own; waits for one. Nothing: there will be none any more.
    /// Items that others have taken may come back, so it waits until they are finished, unless their holders
    /// wait for an item themselves. Errors: timeout, if none came. Cost: two messages; the value is not
    /// fetched.
    std::optional<QueueItem> take(QueueEnd end = QueueEnd::closed) const;
    Result<std::optional<QueueItem>> try_take(QueueEnd end = QueueEnd::closed) const;
    /// The same for a loop over all items: waits for as long as one may come, since the queue is open or
    /// others have taken what may come back. The deadline is that of each of its messages.
    std::optional<QueueItem> next(QueueEnd end = QueueEnd::closed) const;
    Result<std::optional<QueueItem>> try_next(QueueEnd end = QueueEnd::closed) const;

    /// Takes a share now, if this Queue has none; returns which.
    std::uint32_t join() const;
    Result<std::uint32_t> try_join() const;
    /// Gives the share back; its items stay. Nothing happens if there is none.
    void leave() const;
    Result<void> try_leave() const;
    /// Counts the lease up.
    void renew() const;
    Result<void> try_renew() const;
    /// Nothing can be pushed any more. What is there can be taken. Any client may.
    void close() const;
    Result<void> try_close() const;
    QueueStats stats() const;
    Result<QueueStats> try_stats() const;
    /// Removes the queue with all that is in it; others find not_found.
    void remove() const;
    Result<void> try_remove() const;

  private:
    friend class View;
    Result<void> check() const;
    std::chrono::steady_clock::time_point deadline() const;
    Result<std::optional<QueueItem>> take_item(QueueEnd end, bool waits_on) const;

    detail::Shared<client::QueueCore> core_;
    detail::TimeoutBudget budget_;
};

}  // namespace ddict
