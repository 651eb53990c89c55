// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "samehost/ring.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace ddict::samehost {
namespace {

constexpr std::uint64_t published_at_least_every = ring_bytes / 4;
constexpr unsigned kind_shift = 32;
constexpr unsigned header_shift = 40;
constexpr std::uint64_t size_mask = 0xffff'ffff;

constexpr std::size_t record_bytes_of(std::size_t content) noexcept {
    return (sizeof(std::uint64_t) + content + cache_line_bytes - 1) / cache_line_bytes * cache_line_bytes;
}
static_assert(record_bytes_of(record_content_max) == record_bytes_max);

constexpr std::uint64_t word_of(RecordKind kind, std::size_t content, std::size_t header) noexcept {
    return content | std::uint64_t{static_cast<std::uint8_t>(kind)} << kind_shift |
           std::uint64_t{header} << header_shift;
}
constexpr RecordKind kind_of(std::uint64_t word) noexcept {
    return static_cast<RecordKind>(static_cast<std::uint8_t>(word >> kind_shift));
}

constexpr std::size_t offset_of(std::uint64_t position) noexcept {
    return position % ring_bytes;
}

std::atomic_ref<std::uint64_t> word_at(std::byte* data, std::uint64_t position) noexcept {
    return std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(data + offset_of(position)));
}

std::byte* append(std::byte* at, Bytes bytes) noexcept {
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    return at + bytes.size();
}

}  // namespace

// ---- the writer ----

/// With what is left unused at the end of the ring; and the word after the record has to be free as well.
std::size_t RingWriter::bytes_needed(std::size_t record_bytes) const noexcept {
    const std::size_t until_end = ring_bytes - offset_of(written_);
    return record_bytes + cache_line_bytes + (record_bytes > until_end ? until_end : 0);
}

bool RingWriter::fits(std::size_t record_bytes) noexcept {
    const std::size_t needed = bytes_needed(record_bytes);
    if (written_ - read_ + needed <= ring_bytes) return true;
    const std::uint64_t read = control_.read.load(std::memory_order_acquire);
    // What cannot be is not believed: positions only rise, and no further than what was written.
    if (read - read_ <= written_ - read_) read_ = read;
    return written_ - read_ + needed <= ring_bytes;
}

bool RingWriter::write(RecordKind kind, std::size_t header_bytes, Bytes first, Bytes second,
                       Bytes third) noexcept {
    const std::size_t content = first.size() + second.size() + third.size();
    DDICT_ASSERT(content <= record_content_max, "a record that is larger than any may be");
    const std::size_t record_bytes = record_bytes_of(content);
    if (!fits(record_bytes)) return false;
    if (const std::size_t until_end = ring_bytes - offset_of(written_); record_bytes > until_end) {
        word_at(data_, 0).store(0, std::memory_order_relaxed);
        word_at(data_, written_).store(word_of(RecordKind::skip, 0, 0), std::memory_order_release);
        written_ += until_end;
    }
    std::byte* at = data_ + offset_of(written_) + sizeof(std::uint64_t);
    at = append(at, first);
    at = append(at, second);
    append(at, third);
    word_at(data_, written_ + record_bytes).store(0, std::memory_order_relaxed);
    word_at(data_, written_).store(word_of(kind, content, header_bytes), std::memory_order_release);
    written_ += record_bytes;
    return true;
}

std::size_t RingWriter::space() noexcept {
    if (fits(record_bytes_max)) return record_content_max;
    const std::size_t until_end = ring_bytes - offset_of(written_);
    const std::size_t free = ring_bytes - static_cast<std::size_t>(written_ - read_);
    const auto without_line = [](std::size_t bytes) {
        return bytes < cache_line_bytes ? 0 : bytes - cache_line_bytes;
    };
    const std::size_t before_end = std::min(until_end, without_line(free));
    const std::size_t at_beginning = free < until_end ? 0 : without_line(free - until_end);
    const std::size_t usable = std::min(std::max(before_end, at_beginning), record_bytes_max);
    return usable < cache_line_bytes ? 0 : usable - sizeof(std::uint64_t);
}

/// Either this sees that the reader has stopped polling, or the reader sees the record (stop_polling).
bool RingWriter::must_ring() noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (control_.attention.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(Attention::doorbell))
        return false;
    auto expected = static_cast<std::uint32_t>(Attention::doorbell);
    return control_.attention.compare_exchange_strong(expected, static_cast<std::uint32_t>(Attention::rung));
}

void RingWriter::hurry_reader() noexcept {
    if (control_.wants_space.load(std::memory_order_relaxed) == 0)
        control_.wants_space.store(static_cast<std::uint32_t>(Want::soon), std::memory_order_relaxed);
}

bool RingWriter::ask_for_space(std::size_t bytes) noexcept {
    const std::size_t record_bytes = record_bytes_of(std::min(bytes, record_content_max));
    control_.wants_space.store(static_cast<std::uint32_t>(Want::doorbell), std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return fits(record_bytes);
}

// ---- the reader ----

bool RingReader::is_sound(std::uint64_t word) const noexcept {
    const std::uint64_t content = word & size_mask;
    const std::uint64_t header = word >> header_shift;
    const RecordKind kind = kind_of(word);
    if (kind == RecordKind::none || kind > last_record_kind || content > record_content_max ||
        header > content)
        return false;
    return kind == RecordKind::skip ? content == 0
                                    : record_bytes_of(content) <= ring_bytes - offset_of(read_);
}

std::optional<Record> RingReader::next() noexcept {
    // (Atomic loads of memory that is only read.)
    std::byte* const data = const_cast<std::byte*>(data_);
    for (int skipped = 0; !broken_; ++skipped) {
        const std::uint64_t word = word_at(data, read_).load(std::memory_order_acquire);
        if (word == 0) {
            __builtin_prefetch(data + offset_of(read_ + cache_line_bytes));
            return std::nullopt;
        }
        if (!is_sound(word) || skipped > 1) {
            broken_ = true;
            break;
        }
        if (kind_of(word) == RecordKind::skip) {
            read_ += ring_bytes - offset_of(read_);
            continue;
        }
        const std::size_t content = word & size_mask;
        record_bytes_ = record_bytes_of(content);
        return Record{.kind = kind_of(word),
                      .header_bytes = static_cast<std::size_t>(word >> header_shift),
                      .content = {data_ + offset_of(read_) + sizeof word, content}};
    }
    return std::nullopt;
}

void RingReader::advance() noexcept {
    read_ += record_bytes_;
    record_bytes_ = 0;
}

bool RingReader::publish() noexcept {
    if (read_ - published_ >= published_at_least_every) return publish_all();
    return read_ != published_ && control_.wants_space.load(std::memory_order_relaxed) != 0 && publish_all();
}

bool RingReader::publish_all() noexcept {
    published_ = read_;
    control_.read.store(read_, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::uint32_t wanted = control_.wants_space.load(std::memory_order_relaxed);
    if (wanted != 0) control_.wants_space.store(0, std::memory_order_relaxed);
    return wanted == static_cast<std::uint32_t>(Want::doorbell);
}

void RingReader::poll_from_now_on() noexcept {
    control_.attention.store(static_cast<std::uint32_t>(Attention::polling), std::memory_order_relaxed);
}

bool RingReader::stop_polling() noexcept {
    control_.attention.store(static_cast<std::uint32_t>(Attention::doorbell), std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    std::byte* const data = const_cast<std::byte*>(data_);
    if (broken_ || word_at(data, read_).load(std::memory_order_relaxed) == 0) return true;
    poll_from_now_on();
    return false;
}

}  // namespace ddict::samehost
