// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/directory_segment.h"

#include <cstring>
#include <utility>

#include "base/limits.h"
#include "shm/layout.h"

namespace ddict::shm {
namespace {

/// Where the packed entries start: after the header, and the offset of each entry and of the end.
constexpr std::uint64_t entries_offset(std::uint64_t managers) noexcept {
    return sizeof(DirectorySegmentHeader) + 8 * (managers + 1);
}

DirectorySegmentHeader& header_of(const Segment& segment) {
    return *reinterpret_cast<DirectorySegmentHeader*>(segment.data());
}

constexpr bool are_among(std::uint32_t first, std::uint32_t count, std::uint64_t managers) noexcept {
    return first <= managers && count <= managers - first;
}

Error attach_error(Errc code, const Segment& segment, std::string_view text) {
    return Error(code, "segment " + segment.name() + " " + std::string(text))
        .set_operation(Operation::attach);
}

Result<void> check_header(const Segment& segment, std::uint64_t dictionary_id) {
    const Error damaged = attach_error(Errc::protocol, segment, "is damaged");
    if (segment.size() < entries_offset(0)) return damaged;
    const DirectorySegmentHeader& header = header_of(segment);
    const std::uint64_t ready = header.ready.load(std::memory_order_acquire);
    if (ready == 0)
        return attach_error(Errc::dictionary_gone, segment, "is not filled: not started yet, or never");
    if (ready != directory_magic) return damaged;
    if (header.layout_version != directory_layout_version)
        return attach_error(Errc::incompatible, segment, "was written by another version of ddict");
    if (header.dictionary_id != dictionary_id || header.manager_count == 0 ||
        header.manager_count > limits::managers_max || header.bytes > segment.size() ||
        header.bytes < entries_offset(header.manager_count) ||
        !are_among(header.first_local_manager, header.local_managers, header.manager_count))
        return damaged;
    return {};
}

}  // namespace

Result<Segment> create_directory_segment(std::uint64_t dictionary_id) {
    return Segment::create(directory_segment_name(dictionary_id), page_bytes);
}

std::uint64_t directory_segment_bytes(const std::vector<DirectoryEntry>& entries) {
    std::vector<std::byte> packed;
    for (const DirectoryEntry& entry : entries)
        pack(entry, packed);
    return entries_offset(entries.size()) + packed.size();
}

Result<void> write_directory(Segment& segment, const DirectoryIdentity& identity,
                             const std::vector<DirectoryEntry>& entries) {
    const auto refuse = [&](std::string_view why) {
        return Error(Errc::invalid_argument, "segment " + segment.name() + ": " + std::string(why))
            .set_operation(Operation::create);
    };
    if (entries.empty() || entries.size() > limits::managers_max)
        return refuse("a directory is of 1 to 65536 managers");
    if (!are_among(identity.first_local_manager, identity.local_managers, entries.size()))
        return refuse("the managers of this node are not among them");
    std::vector<std::uint64_t> offsets;
    std::vector<std::byte> packed;
    for (const DirectoryEntry& entry : entries) {
        if (number_of(entry.shard) != offsets.size()) return refuse("the managers are not in order");
        offsets.push_back(entries_offset(entries.size()) + packed.size());
        pack(entry, packed);
    }
    offsets.push_back(entries_offset(entries.size()) + packed.size());
    if (const Result<void> grown = segment.grow(offsets.back()); !grown) return grown.error();

    DirectorySegmentHeader& header = header_of(segment);
    if (header.ready.load(std::memory_order_relaxed) != 0) return refuse("it is filled already");
    header.layout_version = directory_layout_version;
    header.manager_count = static_cast<std::uint32_t>(entries.size());
    header.dictionary_id = identity.dictionary_id;
    std::memcpy(header.secret, identity.secret.data(), sizeof header.secret);
    header.bytes = offsets.back();
    header.ucx_version = identity.ucx_version;
    header.local_managers = identity.local_managers;
    header.first_local_manager = identity.first_local_manager;
    std::memcpy(segment.data() + sizeof header, offsets.data(), 8 * offsets.size());
    std::memcpy(segment.data() + entries_offset(entries.size()), packed.data(), packed.size());
    header.ready.store(directory_magic, std::memory_order_release);
    return {};
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
    const std::uint64_t bytes = header.bytes;
    return DirectorySegment(*std::move(segment), identity, managers, bytes);
}

DirectorySegment::DirectorySegment(Segment segment, const DirectoryIdentity& identity,
                                   std::uint32_t manager_count, std::uint64_t bytes)
    : segment_(std::move(segment)), identity_(identity), manager_count_(manager_count), bytes_(bytes) {}

Result<DirectoryEntry> DirectorySegment::entry(ShardId shard) const {
    const std::uint32_t manager = number_of(shard);
    if (manager >= manager_count_)
        return Error(Errc::invalid_argument, "there is no such manager")
            .set_operation(Operation::directory)
            .set_manager(manager);
    const Error damaged = attach_error(Errc::protocol, segment_, "has a damaged entry").set_manager(manager);
    std::uint64_t range[2];
    std::memcpy(range, segment_.data() + sizeof(DirectorySegmentHeader) + 8 * std::uint64_t{manager},
                sizeof range);
    if (range[0] < entries_offset(manager_count_) || range[0] > range[1] || range[1] > bytes_) return damaged;
    Unpacker in(Bytes(segment_.data() + range[0], range[1] - range[0]));
    DirectoryEntry entry = unpack_directory_entry(in);
    if (!in.good() || !in.at_end() || entry.shard != shard) return damaged;
    return entry;
}

}  // namespace ddict::shm
