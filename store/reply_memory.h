// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a shard has to remember beside its pairs, byte by byte, so that it can outlive the process: sessions,
// the replies that their clients may ask for again, and of the change that is under way what it will have
// done.
//
//   memory := ReplyMemoryHeader  StatusRecord (of the batch under way)  ErasedRecord[erased_records_max]
//   SessionRecord[sessions_max]  CachedReply[cached_replies_max]  StatusRecord[records_max]
//
// Most of it is never touched, and takes no memory: what is used is reserved first. One process writes, with
// one thread. A kill leaves at most one change half made; its reply says so (CachedReply::pending).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>

#include <ddict/result.h>

#include "base/limits.h"
#include "shm/pool.h"
#include "shm/segment.h"
#include "store/change.h"

namespace ddict::store {

/// What CachedReply::noted says of a broadcast, from its beginning to its end.
struct BroadcastNote {
    std::uint64_t version = 0;  // 0: none
    Errc code{};                // what has gone wrong already

    shm::Noted packed() const noexcept { return {version, static_cast<std::uint64_t>(code)}; }
    static BroadcastNote of(const shm::Noted& noted) noexcept {
        return {noted[0], static_cast<Errc>(noted[1])};
    }
};

struct CachedReply {
    enum class Kind : std::uint8_t {
        numbers,    // status and arguments
        pair,       // `block`, which a take has removed; pinned
        statuses,   // of the items of a batch: those in `statuses`, or `argument` times 0 if there are none
        under_way,  // a broadcast, noted as a BroadcastNote; the reply will come
        forgotten,  // it was more than there is memory for
    };
    static constexpr Kind kind_last = Kind::forgotten;
    /// In pending_kind: the request makes many changes, one after the other; `argument` counts those made,
    /// and `noted` is of the next if `argument2` says the same number.
    static constexpr std::uint8_t many = 0x80;
    /// In pending_kind: a broadcast, noted as a BroadcastNote; the pool's mark tells whether it is stored
    /// here.
    static constexpr std::uint8_t broadcast = 0x40;

    std::uint64_t request = 0;  // its number; 0: there was none
    std::uint64_t argument = 0;
    std::uint64_t argument2 = 0;
    std::uint64_t block = 0;  // its offset in the pool; 0: none
    // A request whose change is being made; 0: none. Until it has been made `request` stays, and all else is
    // of the reply to be; afterwards, `noted` tells whether it was made.
    std::uint64_t pending = 0;
    shm::Noted noted{};
    std::uint32_t statuses = 0;  // the number of the record, from 1 on; 0: none
    std::uint16_t status = 0;
    Kind kind = Kind::numbers;
    std::uint8_t pending_kind = 0;  // a ChangeKind

    /// Requires that it holds no memory.
    void set(std::uint64_t to, std::uint16_t code, std::uint64_t first, std::uint64_t second) noexcept {
        argument = first;
        argument2 = second;
        status = code;
        keep_order();  // until here the broadcast is under way
        kind = Kind::numbers;
        finish(to);
    }
    /// What is here is no longer of a change that is half made, and may be written.
    void begin_anew() noexcept {
        pending = 0;
        keep_order();
    }
    /// What is done from here on is of this request. begin_anew() has come before all that is written for it.
    void begin(std::uint64_t of, std::uint8_t what, const shm::Noted& blocks = {}) noexcept {
        noted = blocks;
        pending_kind = what;
        keep_order();
        pending = of;
    }
    /// The reply is that of this request.
    void finish(std::uint64_t of) noexcept {
        keep_order();
        request = of;
        keep_order();
        pending = 0;
    }
    /// Memory other than its own.
    bool holds_memory() const noexcept { return block != 0 || statuses != 0; }

    /// What was stored before reaches memory before what is stored afterwards.
    static void keep_order() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }
};
static_assert(sizeof(CachedReply) == 64 && std::is_trivially_copyable_v<CachedReply>);

struct SessionRecord {
    std::uint64_t id = 0;      // 0: none; written last
    std::uint64_t client = 0;  // see manager::Session
    std::uint64_t hello_number = 0;
    std::uint64_t replies = 0;    // the first and their number, see replies_word(); 0: none
    std::uint64_t writer_at = 0;  // see ReplyCache::note_writer(): the checkpoint, and 1; 0: none
};
static_assert(sizeof(SessionRecord) == 40 && std::is_trivially_copyable_v<SessionRecord>);

/// The number is a power of two.
constexpr std::uint64_t replies_word(std::uint64_t first, unsigned log2_of_number) noexcept {
    return first << 8 | (log2_of_number + 1);
}

/// The statuses of one batch.
using StatusRecord = std::array<std::uint16_t, limits::batch_items_max>;

/// Of a key that a broadcast has erased, by the key's hash.
struct ErasedRecord {
    std::uint64_t hash;
    std::uint64_t version;
};
inline constexpr std::size_t erased_records_max = 65536;

/// A request by its session and its number; 0: none.
struct RequestName {
    std::uint64_t session;
    std::uint64_t request;

    friend bool operator==(const RequestName&, const RequestName&) = default;
};

struct ReplyMemoryHeader {
    std::uint64_t sessions;           // records that have been used
    std::uint64_t broadcast_version;  // the last that began here
    std::uint64_t erased;             // records that were written, the oldest of which are gone
    RequestName under_way;            // is being executed
    RequestName suspect;              // what was being executed when a manager was killed last
    std::uint64_t suspect_kills;      // kills over `suspect` since it was last executed to its end
};
static_assert(sizeof(ReplyMemoryHeader) == 64);

class ReplyMemory {
  public:
    static constexpr std::uint64_t deadly_kills = 2;
    static constexpr std::uint32_t status_records_max =
        static_cast<std::uint32_t>(limits::cached_status_bytes_max / sizeof(StatusRecord));

    /// Of this process alone, and all zeros. Throws std::bad_alloc.
    static ReplyMemory anonymous();
    /// In a segment that outlives the process; of zeros, or of a manager that has ended. protocol if it has
    /// not the size of one.
    static Result<ReplyMemory> in(shm::Segment segment);
    /// The segment for it, for the node launcher. Errors: Segment::create_sparse().
    static Result<shm::Segment> create_segment(const std::string& name);
    /// What it takes in the beginning; with clients it grows.
    static std::size_t bytes_at_first() noexcept;

    /// Reserves memory for so many records of sessions, of replies, or of statuses, counted from the first:
    /// before they are touched. False if there is none to be had.
    bool reserve_sessions(std::uint32_t count) {
        return reserve(reserved_sessions_, count * sizeof(SessionRecord));
    }
    bool reserve_replies(std::uint64_t count) {
        return reserve(reserved_replies_, count * sizeof(CachedReply));
    }
    bool reserve_statuses(std::uint32_t count) {
        return reserve(reserved_statuses_, count * sizeof(StatusRecord));
    }
    /// For the next add_erased().
    bool reserve_erased() { return reserve_erased(header_->erased + 1); }

    /// From begin to end, a kill is put down to this request. Returns whether managers have been killed over
    /// it again and again: then it is not to be executed.
    bool begin_request(const RequestName& name) const noexcept {
        header_->under_way = name;
        return is_deadly(name);
    }
    void end_request() const noexcept { header_->under_way.request = 0; }
    /// The same of one that was executed: what has killed managers before has not been it.
    void end_executed() const noexcept {
        if (header_->suspect == header_->under_way) [[unlikely]]
            header_->suspect_kills = 0;
        end_request();
    }
    /// Of one that was interrupted so, once for each kill.
    void suspect_interrupted() const noexcept;
    /// Whether managers have been killed over it again and again.
    bool is_deadly(const RequestName& name) const noexcept {
        return header_->suspect_kills >= deadly_kills && header_->suspect == name;
    }

    std::uint64_t next_broadcast_version() const noexcept { return ++header_->broadcast_version; }
    /// Forgets it where there is no memory: that matters to messages that come late, and if a kill interrupts
    /// the broadcast.
    void add_erased(std::uint64_t hash, std::uint64_t version) {
        if (!reserve_erased()) return;
        erased_[header_->erased % erased_records_max] = {hash, version};
        CachedReply::keep_order();
        ++header_->erased;
    }
    /// The oldest first; without the one that may be half overwritten.
    template <class F>
    void for_each_erased(F f) {
        const std::uint64_t end = header_->erased;
        if (!reserve_erased(end)) return;
        for (std::uint64_t i = end - std::min<std::uint64_t>(end, erased_records_max - 1); i < end; ++i) {
            const ErasedRecord& record = erased_[i % erased_records_max];
            f(record.hash, record.version);
        }
    }
    /// Of the session records, those that have been used.
    std::uint32_t sessions_used() const noexcept {
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(header_->sessions, limits::sessions_max));
    }
    void set_sessions_used(std::uint32_t sessions) const noexcept { header_->sessions = sessions; }
    SessionRecord& session(std::uint32_t number) const noexcept { return sessions_[number]; }
    CachedReply& reply(std::uint64_t number) const noexcept { return replies_[number]; }
    /// `number` counts from 1.
    StatusRecord& statuses(std::uint32_t number) const noexcept { return statuses_[number - 1]; }
    /// Of the batch that is being executed.
    StatusRecord& batch() const noexcept { return *batch_; }
    std::byte* data() const noexcept { return data_; }
    static std::size_t bytes() noexcept;

  private:
    struct Unmap {
        void operator()(std::byte* memory) const noexcept;
    };
    /// A part of the segment, of which so much is reserved.
    struct Reserved {
        std::size_t begin = 0;
        std::size_t bytes_max = 0;
        std::size_t bytes = 0;
    };
    explicit ReplyMemory(std::byte* memory) noexcept;
    bool reserve(Reserved& part, std::size_t bytes) {
        return bytes <= part.bytes || !segment_ || reserve_more(part, bytes);
    }
    bool reserve_more(Reserved& part, std::size_t bytes);
    bool reserve_erased(std::uint64_t count) {
        return reserve(reserved_erased_,
                       std::min<std::uint64_t>(count, erased_records_max) * sizeof(ErasedRecord));
    }

    std::unique_ptr<std::byte, Unmap> memory_;  // unless it is in a segment
    std::optional<shm::Segment> segment_;
    Reserved reserved_erased_;
    Reserved reserved_sessions_;
    Reserved reserved_replies_;
    Reserved reserved_statuses_;
    std::byte* data_;
    ReplyMemoryHeader* header_;
    StatusRecord* batch_;
    ErasedRecord* erased_;
    SessionRecord* sessions_;
    CachedReply* replies_;
    StatusRecord* statuses_;
};

}  // namespace ddict::store
