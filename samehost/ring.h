// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One direction of a connection: a ring of records in memory that two processes share. One process writes,
// the other reads.
//
// A record is a word (size, kind, size of its header), and its bytes; it begins on a cache line and is not
// cut at the end of the ring. The word is stored last, and the word of the next record is zero by then: so
// the reader waits for a word that is not zero, and a short message takes the cache lines that it fills and
// no other to go from one processor to the other. How far the reader has read is told to the writer now and
// then.
//
// Neither side trusts the other. The reader looks at each word once, and checks it; the bytes of a record may
// change at any time, so what is to be interpreted has to be copied first. The writer believes of what the
// reader says only what is possible.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace ddict::samehost {

inline constexpr std::size_t cache_line_bytes = 64;
inline constexpr std::size_t ring_bytes = 32 * 1024;
/// Of a record with its word. Twice as much always fits into a ring that is empty, wherever it begins.
inline constexpr std::size_t record_bytes_max = ring_bytes / 2 - cache_line_bytes;
inline constexpr std::size_t record_content_max = record_bytes_max - sizeof(std::uint64_t);

enum class RecordKind : std::uint8_t {
    none = 0,
    skip = 1,     ///< the rest of the ring is not used: the next record is at its beginning
    message = 2,  ///< header, payload
    offer = 3,    ///< PayloadOffer, header: the payload waits at the sender
    taken = 4,    ///< PayloadStatus: a payload that was offered has been received, or is not wanted
    request = 5,  ///< PayloadStatus: a payload that was offered is to be sent in pieces
    piece = 6,    ///< PayloadStatus, bytes of the payload
    /// PayloadOffer with the number of parts in place of the address, a RemotePart for each, header: the
    /// payload waits in several places
    offer_of_parts = 7,
    /// What TunnelPort::on_request() gets: the first record of a connection that is to be a tunnel. What
    /// follows is passed on
    tunnel = 8,
    tunnel_end = 9,  ///< an Error, packed: why the tunnel leads nowhere any more
};
inline constexpr RecordKind last_record_kind = RecordKind::tunnel_end;
/// Whether a tunnel passes it on.
constexpr bool goes_through_tunnels(RecordKind kind) noexcept {
    return kind >= RecordKind::message && kind <= RecordKind::offer_of_parts;
}

/// How the reader of a ring learns of a record.
enum class Attention : std::uint32_t {
    doorbell = 0,  ///< the writer rings, and says that it has
    polling = 1,   ///< it looks
    rung = 2       ///< the writer has rung
};

/// Whether the writer waits for `read` to rise.
enum class Want : std::uint32_t {
    nothing = 0,
    soon = 1,     ///< the reader says at once how far it has read
    doorbell = 2  ///< and rings
};

/// The part of a ring that tells each side how far the other is; in shared memory.
struct RingControl {
    // The reader's.
    alignas(cache_line_bytes) std::atomic<std::uint64_t> read;  // all before this position has been read
    std::atomic<std::uint32_t> attention;  // see Attention; the writer may say that it has rung
    // The writer's.
    alignas(cache_line_bytes) std::atomic<std::uint32_t> wants_space;  // see Want; the reader sets it back
};
static_assert(sizeof(RingControl) == 2 * cache_line_bytes && std::atomic<std::uint64_t>::is_always_lock_free);

/// Neither owns the memory.
class RingWriter {
  public:
    RingWriter(std::byte* data, RingControl& control) : data_(data), control_(control) {}

    /// Writes a record of these parts, of which `header_bytes` are named in its word. False if there is no
    /// space. Requires parts of at most record_content_max bytes together.
    bool write(RecordKind kind, std::size_t header_bytes, Bytes first, Bytes second = {},
               Bytes third = {}) noexcept;
    /// How many bytes a record may have that is written now; at most record_content_max.
    std::size_t space() noexcept;
    /// Whether the reader has to be told of what was written since: at most once until it polls again.
    bool must_ring() noexcept;
    /// Has the reader say how far it is, if it looks.
    void hurry_reader() noexcept;
    /// Has the reader ring when there is space; true if there is some by now after all.
    bool ask_for_space(std::size_t bytes) noexcept;

  private:
    bool fits(std::size_t record_bytes) noexcept;
    std::size_t bytes_needed(std::size_t record_bytes) const noexcept;

    std::byte* data_;
    RingControl& control_;
    std::uint64_t written_ = 0;
    std::uint64_t read_ = 0;  // as it was seen last
};

/// A record, where it lies.
struct Record {
    RecordKind kind = RecordKind::none;
    std::size_t header_bytes = 0;
    Bytes content;
};

class RingReader {
  public:
    RingReader(const std::byte* data, RingControl& control) : data_(data), control_(control) {}

    /// The next record, if there is one; good until advance().
    std::optional<Record> next() noexcept;
    void advance() noexcept;
    /// A word was wrong. Nothing more comes.
    bool is_broken() const noexcept { return broken_; }
    /// Tells the writer how far the ring has been read, where that is due; true if it is to be rung because
    /// of it.
    bool publish() noexcept;
    bool publish_all() noexcept;

    /// From now on the writer need not ring.
    void poll_from_now_on() noexcept;
    /// From now on it must; false if there is a record already, and then it need not.
    bool stop_polling() noexcept;

  private:
    bool is_sound(std::uint64_t word) const noexcept;

    const std::byte* data_;
    RingControl& control_;
    std::uint64_t read_ = 0;
    std::uint64_t published_ = 0;
    std::size_t record_bytes_ = 0;  // of the one that next() has returned
    bool broken_ = false;
};

}  // namespace ddict::samehost
