// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What reads the bytes of a checkpoint: any bytes, also with checksums that are right.
#include <memory>
#include <vector>

#include "base/checksum.h"
#include "persist/compression.h"
#include "persist/format.h"
#include "persist/record.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;
using namespace ddict::persist;

namespace {

/// What is read is what is written again.
void read_records(Bytes bytes) {
    RecordReader reader(bytes);
    Record record;
    std::size_t at = 0;
    while (reader.next(record)) {
        std::byte front[record_front_bytes_max];
        write_record_front(record, record.value.size(), front);
        const std::size_t front_bytes = record_front_bytes(record);
        fuzz::require(front_bytes + record.value.size() <= bytes.size() - at);
        fuzz::require(std::memcmp(front, bytes.data() + at, front_bytes) == 0);
        fuzz::require(record.value.data() == bytes.data() + at + front_bytes);
        at += front_bytes + record.value.size();
    }
    fuzz::require(reader.at_end() == (at == bytes.size()));
}

void read_commit(std::vector<std::byte> bytes, bool seal) {
    if (seal && bytes.size() >= 8) {
        const std::uint64_t checksum = checksum_of(Bytes(bytes).first(bytes.size() - 8));
        std::memcpy(bytes.data() + bytes.size() - 8, &checksum, sizeof checksum);
    }
    const Result<Commit> commit = commit_of(bytes);
    if (!commit) return;
    std::vector<std::byte> again;
    pack(*commit, again);
    std::uint32_t version = 0;
    std::memcpy(&version, bytes.data() + sizeof commit_magic, sizeof version);
    // Of an older version it is written as the newest, and means the same.
    fuzz::require(version == commit_version ? again == bytes : commit_of(again).value() == *commit);
}

void read_table(Bytes table, std::uint64_t pairs) {
    Footer footer;
    footer.extents = table.size() / sizeof(Extent);
    footer.table_checksum = checksum_of(table);
    footer.pairs = pairs;
    footer.table_offset = alignment;
    for (std::size_t i = 0; i < footer.extents; ++i) {
        Extent extent;
        std::memcpy(&extent, table.data() + i * sizeof extent, sizeof extent);
        footer.table_offset += aligned(extent.bytes);
    }
    const Result<std::vector<Extent>> extents = table_of(table, footer);
    if (!extents) return;
    std::uint64_t end = alignment;
    for (const Extent& extent : *extents) {
        fuzz::require(extent.offset == end && extent.bytes != 0 && extent.bytes <= footer.table_offset);
        end = extent.offset + aligned(extent.bytes);
        fuzz::require(end <= footer.table_offset);
    }
    fuzz::require(end == footer.table_offset);
}

/// In pieces of any size. What is taken for a frame of so many bytes makes so many, of which a new frame can
/// be made.
void read_frame(fuzz::Input input) {
    std::vector<std::byte> into(input.take<std::uint16_t>());
    const std::size_t piece_bytes = 1 + input.below(256);
    const Bytes frame = input.take_rest();
    const std::unique_ptr<Decompressor> decompressor = make_decompressor(into);
    bool is_good = true;
    for (std::size_t at = 0; at < frame.size(); at += piece_bytes)
        is_good = decompressor->add(frame.subspan(at, std::min(piece_bytes, frame.size() - at)));
    fuzz::require(is_good || !decompressor->is_complete());
    if (!decompressor->is_complete()) return;
    std::vector<std::byte> again(into.size());
    std::vector<std::byte> new_frame(2 * into.size() + 1000);
    new_frame.resize(make_compressor()->compress(into, new_frame));
    const std::unique_ptr<Decompressor> once_more = make_decompressor(again);
    fuzz::require(once_more->add(new_frame) && once_more->is_complete() && again == into);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const auto what = input.take<std::uint8_t>() % 7;
    if (what == 6) return read_frame(input), 0;
    const auto rest = std::as_bytes(input.take_bytes(size));
    switch (what) {
        case 0:
            read_records(rest);
            break;
        case 1:
        case 2:
            read_commit({rest.begin(), rest.end()}, what == 1);
            break;
        case 3:
            read_table(rest.subspan(std::min<std::size_t>(rest.size(), 1)), rest.empty() ? 0 : 1);
            break;
        case 4: {
            FileHeader header;
            std::vector<std::byte> page(alignment);
            std::memcpy(&header, rest.data(), std::min(rest.size(), sizeof header));
            header = sealed(header);
            std::memcpy(page.data(), &header, sizeof header);
            static_cast<void>(header_of(page));
            static_cast<void>(header_of(rest));
            break;
        }
        default: {
            Footer footer;
            std::memcpy(&footer, rest.data(), std::min(rest.size(), sizeof footer));
            footer = sealed(footer);
            const auto good = footer_of(std::as_bytes(std::span(&footer, 1)), size * alignment);
            fuzz::require(!good || good->table_offset <= size * alignment);
            static_cast<void>(footer_of(rest, rest.size()));
        }
    }
    return 0;
}
