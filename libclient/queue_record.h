// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The state of a queue (<ddict/queue.h>): the value of one key, which everybody changes by compare-and-swap.
// Here are the changes, without any I/O.
//
// Invariants:
//  1. No two entries have the same number, and all numbers are below next_number.
//  2. The entries of a share have together at most bytes_max / producers bytes, and are at most
//     items_max / producers.
//  3. A holder has at most one share.
//  4. An entry that is ready has no holder; all others have one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <ddict/queue.h>
#include <ddict/result.h>

namespace ddict::client {

class QueueRecord {
  public:
    using Holder = std::uint64_t;  // 0: nobody
    static constexpr std::uint32_t items_max = 4096;
    static constexpr std::uint32_t items_default = 1024;
    static constexpr std::uint32_t producers_max = 1024;
    static constexpr std::uint32_t waiters_max = 4096;
    static constexpr std::chrono::milliseconds lease_min{100};
    static constexpr std::chrono::milliseconds lease_max = std::chrono::hours(24 * 30);

    enum class State : std::uint8_t {
        writing = 1,  // its value is being put
        ready,
        taken,
        leaving,  // its value is being erased
    };
    struct Entry {
        std::uint64_t number;
        std::uint64_t bytes;
        Holder holder;
        std::uint32_t share;
        std::uint32_t manager;
        std::uint32_t attempts;
        std::uint16_t type;
        State state;
        std::uint8_t header_words;  // of 8 bytes each: the header of an array, which `bytes` leaves out

        std::uint64_t value_bytes() const { return bytes + std::uint64_t{header_words} * 8; }
    };
    /// Who waits in a call: its holder, and which of the holder's calls.
    struct Waiter {
        Holder holder;
        std::uint32_t call;
        std::uint32_t awaits;  // space in the share of this number, or one of these:
        friend bool operator==(const Waiter&, const Waiter&) = default;
    };
    static constexpr std::uint32_t awaits_item = UINT32_MAX;
    static constexpr std::uint32_t awaits_item_or_end = UINT32_MAX - 1;  // QueueEnd::producers_gone
    static constexpr std::uint32_t awaits_share = UINT32_MAX - 2;
    static bool awaits_any_item(const Waiter& waiter) {
        return waiter.awaits == awaits_item || waiter.awaits == awaits_item_or_end;
    }

    static QueueRecord make(const QueueOptions& options, std::uint64_t birth);
    /// protocol if that is no record.
    static Result<QueueRecord> parse(std::span<const std::byte> bytes);
    std::vector<std::byte> bytes() const;
    /// Whether the invariants hold.
    bool is_sound() const;

    std::uint64_t birth() const { return header_.birth; }
    std::chrono::milliseconds lease() const { return std::chrono::milliseconds(header_.lease_ms); }
    bool closed() const { return header_.closed != 0; }
    std::uint64_t share_bytes() const;  // that a share may have
    std::uint64_t share_items() const { return header_.items_max / header_.producers; }
    const std::vector<Entry>& entries() const { return entries_; }
    const std::vector<Waiter>& waiters() const { return waiters_; }
    const std::vector<Holder>& shares() const { return shares_; }
    const Entry* find(std::uint64_t number) const;
    QueueStats stats() const;
    /// The first of `options`, as a text, that is set and is not what the record has.
    std::optional<std::string> difference(const QueueOptions& options) const;
    /// All who hold or wait, but for one of them; each once.
    std::vector<Holder> others(Holder self) const;

    /// The share of a holder, a free one if it has none yet; nothing if there is none.
    std::optional<std::uint32_t> join(Holder holder);
    /// Adds an entry that is being written; nothing if there is no space in the share.
    std::optional<Entry> reserve(Holder holder, std::uint32_t share, std::uint64_t value_bytes,
                                 std::uint16_t type, std::span<const std::uint32_t> managers,
                                 std::uint8_t header_words = 0);
    /// The managers on which the values of a share lie.
    std::vector<std::uint32_t> homes(std::uint32_t share, std::span<const std::uint32_t> managers) const;
    /// False, also of those below: it is the holder's no more.
    bool move(std::uint64_t number, Holder holder, std::uint32_t manager);
    bool publish(std::uint64_t number, Holder holder);
    /// The next entry that is ready, which is then the holder's.
    std::optional<Entry> take(Holder holder);
    bool has(std::uint64_t number, Holder holder, std::uint32_t attempt) const;
    /// Of one that was taken: it counts as finished. The value is to be erased, and remove() called.
    bool finish(std::uint64_t number, Holder holder, std::uint32_t attempt);
    bool put_back(std::uint64_t number, Holder holder, std::uint32_t attempt);
    /// Of one that is being written. As finish(), but does not count.
    bool abandon(std::uint64_t number, Holder holder);
    /// Of one that is leaving, whoever has erased its value: its space is free. False: it was removed before.
    bool remove(std::uint64_t number);
    bool leave(Holder holder);
    bool close();
    /// Of what the holder has taken and is writing, that of which `is_known` says no: the first is ready
    /// again, the other is to be erased. False: there was none.
    bool give_back(Holder holder, const std::function<bool(const Entry&)>& is_known);
    /// Takes all from one who is dead. What it was writing, or erasing, is `self`'s to be erased.
    bool bury(Holder dead, Holder self);
    /// Whether there will be no item any more for this holder.
    bool is_over(Holder holder, QueueEnd end) const;

    /// False: it is there already, or there are too many.
    bool wait(const Waiter& waiter);
    /// If it was woken, and does not use that, another one is.
    bool stop_waiting(Holder holder, std::uint32_t call);
    /// Who is to be woken after the change.
    const std::vector<Waiter>& woken() const { return woken_; }

  private:
    struct Header {
        std::uint64_t magic;
        std::uint64_t birth;
        std::uint64_t bytes_max;
        std::uint64_t lease_ms;
        std::uint64_t next_number;
        std::uint64_t finished;
        std::uint32_t items_max;
        std::uint32_t producers;
        std::uint32_t joined;  // how often a share was taken; stays at the largest number
        std::uint32_t closed;
        std::uint32_t entry_count;
        std::uint32_t waiter_count;
    };
    static constexpr std::uint64_t magic = 0x3165'7565'7571'6464;  // "ddqueue1"

    Entry* find_held(std::uint64_t number, Holder holder, State state);
    bool present() const;  // any producer
    bool all_have_come_and_gone() const;
    template <class Which>
    void wake_first(Which which);
    template <class Which>
    void wake_all(Which which);
    void wake_for_item() { wake_first(awaits_any_item); }
    void wake_for_share();
    void wake_if_ready();
    void wake_who_is_over();

    Header header_{};
    std::vector<Holder> shares_;
    std::vector<Entry> entries_;   // by number
    std::vector<Waiter> waiters_;  // the first has waited for the longest
    std::vector<Waiter> woken_;
};

}  // namespace ddict::client
