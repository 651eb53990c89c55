// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A pair as it stands in a checkpoint (docs/checkpoint_format.md). Not a store::Change: more than half of the
// 72 bytes before a change's key are of the request that made it, and mean nothing in another dictionary.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/key_placement.h"
#include "base/limits.h"

namespace ddict::persist {

/// Refers to bytes of others.
struct Record {
    KeyBytes key;
    Bytes value{};
    std::uint16_t value_type = 0;
    KeyPlacement placement{};
    std::uint32_t checkpoint = 0;
    bool broadcast = false;  // stored on all managers
    bool transient = false;  // seen at this checkpoint only, where the dictionary waits for keys
};

/// What stands before a record's placement, key and value.
struct RecordHeader {
    std::uint64_t value_bytes;
    std::uint32_t checkpoint;
    std::uint16_t key_bytes;
    std::uint16_t key_type;
    std::uint16_t value_type;
    std::uint8_t placed_by;
    std::uint8_t broadcast;
    std::uint8_t transient;  // from version 2 on
    std::uint8_t zero[3];
};
static_assert(sizeof(RecordHeader) == 24);

/// A record without its value: header, placement, key.
inline constexpr std::size_t record_front_bytes_max =
    sizeof(RecordHeader) + sizeof(std::uint64_t) + limits::key_bytes_max;

inline std::size_t record_front_bytes(const Record& record) noexcept {
    return sizeof(RecordHeader) + (record.placement.is_by_hand() ? sizeof(std::uint64_t) : 0) +
           record.key.size();
}

/// Writes the front of a record whose value has so many bytes. Requires record_front_bytes() at `to`.
inline void write_record_front(const Record& record, std::uint64_t value_bytes, std::byte* to) noexcept {
    const RecordHeader header{.value_bytes = value_bytes,
                              .checkpoint = record.checkpoint,
                              .key_bytes = static_cast<std::uint16_t>(record.key.size()),
                              .key_type = record.key.type(),
                              .value_type = record.value_type,
                              .placed_by = static_cast<std::uint8_t>(record.placement.by),
                              .broadcast = static_cast<std::uint8_t>(record.broadcast ? 1 : 0),
                              .transient = static_cast<std::uint8_t>(record.transient ? 1 : 0),
                              .zero = {}};
    std::memcpy(to, &header, sizeof header);
    to += sizeof header;
    if (record.placement.is_by_hand()) {
        std::memcpy(to, &record.placement.value, sizeof record.placement.value);
        to += sizeof record.placement.value;
    }
    std::memcpy(to, record.key.data(), record.key.size());
}

/// Reads records one after the other; they point into `in`. False: there is no whole record there; at_end()
/// tells the end from damage. Trusts nothing.
class RecordReader {
  public:
    explicit RecordReader(Bytes in) noexcept : in_(in) {}

    bool next(Record& record) noexcept {
        RecordHeader header;
        if (in_.size() < sizeof header) return false;
        std::memcpy(&header, in_.data(), sizeof header);
        if (!makes_sense(header)) return false;
        Bytes rest = in_.subspan(sizeof header);
        record.placement = {.by = static_cast<PlacedBy>(header.placed_by), .value = 0};
        if (record.placement.is_by_hand()) {
            if (rest.size() < sizeof record.placement.value) return false;
            std::memcpy(&record.placement.value, rest.data(), sizeof record.placement.value);
            rest = rest.subspan(sizeof record.placement.value);
        }
        if (rest.size() < header.key_bytes || rest.size() - header.key_bytes < header.value_bytes)
            return false;
        record.key = {rest.first(header.key_bytes), header.key_type};
        record.value = rest.subspan(header.key_bytes, header.value_bytes);
        record.value_type = header.value_type;
        record.checkpoint = header.checkpoint;
        record.broadcast = header.broadcast != 0;
        record.transient = header.transient != 0;
        in_ = rest.subspan(header.key_bytes + header.value_bytes);
        return true;
    }
    bool at_end() const noexcept { return in_.empty(); }

  private:
    static bool makes_sense(const RecordHeader& header) noexcept {
        return header.key_bytes != 0 && header.key_bytes <= limits::key_bytes_max &&
               header.value_bytes <= limits::value_bytes_max && header.placed_by <= placed_by_last &&
               header.broadcast <= 1 &&
               (header.broadcast == 0 || (header.placed_by == 0 && header.transient == 0)) &&
               header.transient <= 1 && header.zero[0] == 0 && header.zero[1] == 0 && header.zero[2] == 0;
    }

    Bytes in_;
};

}  // namespace ddict::persist
