// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/directory_segment.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "shm/block.h"
#include "shm/layout.h"
#include "shm/read_counts.h"

namespace ddict::shm {
namespace {

// How much longer the address of a later manager may be.
constexpr std::uint64_t address_growth_max = 128;
// A reader is overtaken by two changes of one entry, which are milliseconds apart: more often than this only
// if somebody else writes.
constexpr unsigned reads_max = 1000;

using Word = std::atomic_ref<std::uint64_t>;
static_assert(Word::is_always_lock_free);

/// Of a copy, its length included.
constexpr std::uint64_t copy_bytes(std::uint64_t slot_bytes) noexcept {
    return (slot_bytes - 8) / 16 * 8;
}

/// 0 if the slots cannot be of this size.
std::uint64_t bytes_of_slots(std::uint64_t managers, std::uint64_t slot_bytes) noexcept {
    if (slot_bytes < directory_slot_bytes_min || slot_bytes > directory_slot_bytes_max ||
        slot_bytes % 64 != 0)
        return 0;
    return sizeof(DirectorySegmentHeader) + managers * slot_bytes;
}

/// Behind so many bytes of directory.
constexpr std::uint64_t offset_of_read_counts(std::uint64_t directory_bytes) noexcept {
    return align_up(directory_bytes, page_bytes);
}

std::uint64_t packed_bytes(const DirectoryEntry& entry) {
    std::vector<std::byte> packed;
    pack(entry, packed);
    return packed.size();
}

/// The reason of a loss and a longer address fit as well.
std::uint64_t slot_bytes_for(const std::vector<DirectoryEntry>& entries) {
    std::uint64_t most = 0;
    for (const DirectoryEntry& entry : entries)
        most = std::max(most, packed_bytes(entry) - entry.reason.size());
    const std::uint64_t copy = align_up(8 + most + address_growth_max + DirectoryEntry::reason_bytes_max, 8);
    return align_up(8 + 2 * copy, 64);
}

DirectorySegmentHeader& header_of(const Segment& segment) {
    return *reinterpret_cast<DirectorySegmentHeader*>(segment.data());
}

/// One entry's part of a segment. Each access to it is atomic: it may change meanwhile.
class Slot {
  public:
    /// Requires that it lies inside the segment.
    Slot(std::byte* segment, std::uint64_t slot_bytes, ShardId shard)
        : words_(reinterpret_cast<std::uint64_t*>(segment + sizeof(DirectorySegmentHeader) +
                                                  slot_bytes * number_of(shard))),
          copy_bytes_(copy_bytes(slot_bytes)) {}

    bool fits(std::size_t packed) const noexcept { return 8 + packed <= copy_bytes_; }

    /// Requires that it fits.
    void write(Bytes packed) noexcept {
        std::uint64_t version = word(0).load(std::memory_order_relaxed) + 1;
        if (version == 0) version = 2;  // 0 says that nothing was written; 2 is of the same copy
        const std::uint64_t to = start_of(version);
        // Release: who reads any of these words sees that the other copy holds by now, and reads again.
        word(to).store(packed.size(), std::memory_order_release);
        for (std::size_t done = 0; done < packed.size(); done += 8) {
            std::uint64_t value = 0;
            std::memcpy(&value, packed.data() + done, std::min<std::size_t>(8, packed.size() - done));
            word(to + 1 + done / 8).store(value, std::memory_order_release);
        }
        word(0).store(version, std::memory_order_release);
    }

    /// The bytes of the entry as it was at one moment; nothing if they are damaged.
    std::optional<std::vector<std::byte>> read() const {
        std::vector<std::byte> packed;
        for (unsigned i = 0; i < reads_max; ++i) {
            const std::uint64_t version = word(0).load(std::memory_order_acquire);
            const bool whole = version != 0 && copy(start_of(version), packed);
            if (word(0).load(std::memory_order_acquire) != version) continue;
            return whole ? std::optional(std::move(packed)) : std::nullopt;
        }
        return std::nullopt;
    }

  private:
    Word word(std::uint64_t index) const noexcept { return Word(words_[index]); }
    std::uint64_t start_of(std::uint64_t version) const noexcept {
        return 1 + version % 2 * (copy_bytes_ / 8);
    }
    bool copy(std::uint64_t from, std::vector<std::byte>& packed) const {
        const std::uint64_t length = word(from).load(std::memory_order_acquire);
        if (length > copy_bytes_ - 8) return false;
        packed.resize(length);
        for (std::size_t done = 0; done < length; done += 8) {
            const std::uint64_t value = word(from + 1 + done / 8).load(std::memory_order_acquire);
            std::memcpy(packed.data() + done, &value, std::min<std::size_t>(8, length - done));
        }
        return true;
    }

    std::uint64_t* words_;
    std::uint64_t copy_bytes_;
};

std::optional<DirectoryEntry> entry_in(const Slot& slot, ShardId shard) {
    const auto packed = slot.read();
    if (!packed) return std::nullopt;
    Unpacker in(*packed);
    DirectoryEntry entry = unpack_directory_entry(in);
    if (!in.good() || !in.at_end() || entry.shard != shard) return std::nullopt;
    return entry;
}

constexpr bool are_among(std::uint32_t first, std::uint32_t count, std::uint64_t managers) noexcept {
    return first <= managers && count <= managers - first;
}

Error attach_error(Errc code, const Segment& segment, std::string_view text) {
    return Error(code, "segment " + segment.name() + " " + std::string(text))
        .set_operation(Operation::attach);
}

Error refused(Errc code, const Segment& segment, std::string_view why) {
    return Error(code, "segment " + segment.name() + ": " + std::string(why))
        .set_operation(Operation::create);
}

Result<void> check_header(const Segment& segment, std::uint64_t dictionary_id) {
    const Error damaged = attach_error(Errc::protocol, segment, "is damaged");
    if (segment.size() < sizeof(DirectorySegmentHeader)) return damaged;
    const DirectorySegmentHeader& header = header_of(segment);
    const std::uint64_t ready = header.ready.load(std::memory_order_acquire);
    if (ready == 0)
        return attach_error(Errc::dictionary_gone, segment, "is not filled: not started yet, or never");
    if (ready == directory_kept)
        return attach_error(Errc::dictionary_gone, segment, "is of a dictionary that has ended");
    if (ready != directory_magic) return damaged;
    if (header.layout_version != directory_layout_version)
        return attach_error(Errc::incompatible, segment, "was written by another version of ddict");
    if (header.dictionary_id != dictionary_id || header.manager_count == 0 ||
        header.manager_count > limits::managers_max || header.bytes > segment.size() || header.bytes == 0 ||
        header.bytes != bytes_of_slots(header.manager_count, header.slot_bytes) ||
        !are_among(header.first_local_manager, header.local_managers, header.manager_count) ||
        offset_of_read_counts(header.bytes) + read_counts_bytes(header.local_managers) > segment.size())
        return damaged;
    return {};
}

}  // namespace

Result<Segment> create_directory_segment(std::uint64_t dictionary_id) {
    return Segment::create(directory_segment_name(dictionary_id), page_bytes);
}

std::uint64_t directory_segment_bytes(const std::vector<DirectoryEntry>& entries) {
    return bytes_of_slots(entries.size(), slot_bytes_for(entries));
}

Result<void> write_directory(Segment& segment, const DirectoryIdentity& identity,
                             const std::vector<DirectoryEntry>& entries) {
    if (entries.empty() || entries.size() > limits::managers_max)
        return refused(Errc::invalid_argument, segment, "a directory is of 1 to 65536 managers");
    if (!are_among(identity.first_local_manager, identity.local_managers, entries.size()))
        return refused(Errc::invalid_argument, segment, "the managers of this node are not among them");
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (number_of(entries[i].shard) != i)
            return refused(Errc::invalid_argument, segment, "the managers are not in order");
    }
    const std::uint64_t slot_bytes = slot_bytes_for(entries);
    const std::uint64_t bytes = bytes_of_slots(entries.size(), slot_bytes);
    if (bytes == 0) return refused(Errc::too_large, segment, "the addresses are larger than any");
    const std::uint64_t all = offset_of_read_counts(bytes) + read_counts_bytes(identity.local_managers);
    if (const Result<void> grown = segment.grow(all); !grown) return grown.error();

    DirectorySegmentHeader& header = header_of(segment);
    if (header.ready.load(std::memory_order_relaxed) != 0)
        return refused(Errc::invalid_argument, segment, "it is filled already");
    header.layout_version = directory_layout_version;
    header.manager_count = static_cast<std::uint32_t>(entries.size());
    header.dictionary_id = identity.dictionary_id;
    std::memcpy(header.secret, identity.secret.data(), sizeof header.secret);
    header.bytes = bytes;
    header.ucx_version = identity.ucx_version;
    header.local_managers = identity.local_managers;
    header.first_local_manager = identity.first_local_manager;
    header.slot_bytes = static_cast<std::uint32_t>(slot_bytes);
    std::vector<std::byte> packed;
    for (const DirectoryEntry& entry : entries) {
        packed.clear();
        pack(entry, packed);
        Slot(segment.data(), slot_bytes, entry.shard).write(packed);
    }
    header.ready.store(directory_magic, std::memory_order_release);
    return {};
}

Result<bool> update_entry(Segment& segment, const DirectoryEntry& entry) {
    const DirectorySegmentHeader& header = header_of(segment);
    if (header.ready.load(std::memory_order_relaxed) != directory_magic)
        return refused(Errc::invalid_argument, segment, "it is not filled yet");
    if (number_of(entry.shard) >= header.manager_count)
        return refused(Errc::invalid_argument, segment, "there is no such manager")
            .set_manager(number_of(entry.shard));
    Slot slot(segment.data(), header.slot_bytes, entry.shard);
    const std::optional<DirectoryEntry> known = entry_in(slot, entry.shard);
    if (known && !is_newer(entry, *known)) return false;
    std::vector<std::byte> packed;
    pack(entry, packed);
    if (!slot.fits(packed.size()))
        return refused(Errc::too_large, segment, "the new address of the manager is too long")
            .set_manager(number_of(entry.shard));
    slot.write(packed);
    return true;
}

void mark_kept(Segment& segment) {
    header_of(segment).ready.store(directory_kept, std::memory_order_release);
}

std::uint64_t DirectorySegment::read_counts_offset() const noexcept {
    return offset_of_read_counts(bytes_of_slots(manager_count_, slot_bytes_));
}

Bytes DirectorySegment::read_counts() const noexcept {
    return {segment_.data() + read_counts_offset(), read_counts_bytes(identity_.local_managers)};
}

bool DirectorySegment::is_kept() const {
    return header_of(segment_).ready.load(std::memory_order_acquire) == directory_kept;
}

Result<DirectorySegment> DirectorySegment::open(std::uint64_t dictionary_id) {
    Result<Segment> segment = Segment::open(directory_segment_name(dictionary_id), Access::read_only);
    if (!segment) return segment.error();
    if (!segment->has_owner())
        return attach_error(Errc::dictionary_gone, *segment, "is left over: its launcher is dead");
    if (const Result<void> good = check_header(*segment, dictionary_id); !good) return good.error();
    const DirectorySegmentHeader& header = header_of(*segment);
    DirectoryIdentity identity;
    identity.dictionary_id = header.dictionary_id;
    std::memcpy(identity.secret.data(), header.secret, sizeof header.secret);
    identity.ucx_version = header.ucx_version;
    identity.first_local_manager = header.first_local_manager;
    identity.local_managers = header.local_managers;
    const std::uint32_t managers = header.manager_count;
    const std::uint64_t slot_bytes = header.slot_bytes;
    // As they were when this was checked.
    const std::uint64_t slots = bytes_of_slots(managers, slot_bytes);
    if (slots == 0 ||
        offset_of_read_counts(slots) + read_counts_bytes(identity.local_managers) > segment->size())
        return attach_error(Errc::protocol, *segment, "is damaged");
    return DirectorySegment(*std::move(segment), identity, managers, slot_bytes);
}

DirectorySegment::DirectorySegment(Segment segment, const DirectoryIdentity& identity,
                                   std::uint32_t manager_count, std::uint64_t slot_bytes)
    : segment_(std::move(segment)),
      identity_(identity),
      manager_count_(manager_count),
      slot_bytes_(slot_bytes) {}

Result<DirectoryEntry> DirectorySegment::entry(ShardId shard) const {
    if (number_of(shard) >= manager_count_)
        return Error(Errc::invalid_argument, "there is no such manager")
            .set_operation(Operation::directory)
            .set_manager(number_of(shard));
    if (auto entry = entry_in(Slot(segment_.data(), slot_bytes_, shard), shard)) return *std::move(entry);
    return attach_error(Errc::protocol, segment_, "has a damaged entry").set_manager(number_of(shard));
}

}  // namespace ddict::shm
