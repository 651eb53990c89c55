// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "store/change.h"

#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include "base/hash.h"
#include "base/limits.h"

namespace ddict::store {
namespace {

struct PackedChange {
    std::uint8_t kind;
    std::uint8_t role;
    std::uint16_t value_type;
    std::uint16_t key_bytes;
    std::uint16_t key_type;
    std::uint64_t hash;
    std::uint64_t placement;
    std::uint32_t checkpoint;
    std::uint8_t placed_by;
    std::uint8_t zero[3];
    std::uint64_t value_bytes;
    std::uint64_t argument;
    std::uint64_t version;
    std::uint64_t session;
    std::uint64_t request;
    std::uint64_t until;
};
static_assert(sizeof(PackedChange) == 80 && std::is_trivially_copyable_v<PackedChange>);

bool has_value(ChangeKind kind) {
    return kind == ChangeKind::put || kind == ChangeKind::put_back;
}

/// The kinds that have a key.
bool has_key(ChangeKind kind) {
    return kind == ChangeKind::erase || kind == ChangeKind::take || has_value(kind);
}

bool makes_sense(const PackedChange& packed) {
    if (packed.kind == 0 || packed.kind > change_kind_last) return false;
    const auto kind = static_cast<ChangeKind>(packed.kind);
    const bool may_have_role = kind == ChangeKind::put || kind == ChangeKind::erase;
    if (packed.role > (may_have_role ? static_cast<std::uint8_t>(BroadcastRole::copy) : 0)) return false;
    if (has_key(kind) ? packed.key_bytes == 0 || packed.key_bytes > limits::key_bytes_max
                      : packed.key_bytes != 0)
        return false;
    if (!has_value(kind) && packed.value_bytes != 0) return false;
    if (packed.placed_by > (has_value(kind) ? placed_by_last : 0)) return false;
    if (packed.placed_by == 0 && packed.placement != 0) return false;
    if (packed.until != 0 && !has_value(kind)) return false;
    return packed.value_bytes <= limits::value_bytes_max;
}

}  // namespace

void pack(const Change& change, std::vector<std::byte>& out) {
    const shm::Block* block = change.reserved;
    const shm::Pair pair = block == nullptr ? change.pair : block->pair();
    const KeyPlacement placement = has_value(change.kind) ? pair.placement : KeyPlacement{};
    const PackedChange packed{
        .kind = static_cast<std::uint8_t>(change.kind),
        .role = static_cast<std::uint8_t>(change.role),
        .value_type = pair.value_type,
        .key_bytes = static_cast<std::uint16_t>(pair.key.size()),
        .key_type = pair.key.type(),
        .hash = pair.hash,
        .placement = placement.value,
        .checkpoint = pair.checkpoint,
        .placed_by = static_cast<std::uint8_t>(placement.by),
        .zero = {},
        .value_bytes = pair.value.size(),
        .argument = change.argument,
        .version = change.version,
        .session = change.origin.session,
        .request = change.origin.request,
        .until = has_value(change.kind) ? pair.until : 0,
    };
    const Bytes header = std::as_bytes(std::span(&packed, 1));
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), pair.key.bytes().begin(), pair.key.bytes().end());
    out.insert(out.end(), pair.value.begin(), pair.value.end());
}

bool unpack(Bytes& in, Change& change) {
    PackedChange packed;
    if (in.size() < sizeof packed) return false;
    std::memcpy(&packed, in.data(), sizeof packed);
    const Bytes rest = in.subspan(sizeof packed);
    if (!makes_sense(packed) || packed.key_bytes > rest.size() ||
        packed.value_bytes > rest.size() - packed.key_bytes)
        return false;
    const KeyBytes key(rest.first(packed.key_bytes), packed.key_type);
    if (!key.empty() && packed.hash != hash_of(key)) return false;
    change = {
        .kind = static_cast<ChangeKind>(packed.kind),
        .role = static_cast<BroadcastRole>(packed.role),
        .pair = {.key = key,
                 .hash = packed.hash,
                 .value_type = packed.value_type,
                 .checkpoint = packed.checkpoint,
                 .value = rest.subspan(packed.key_bytes, packed.value_bytes),
                 .placement = {.by = static_cast<PlacedBy>(packed.placed_by), .value = packed.placement},
                 .until = packed.until},
        .reserved = nullptr,
        .argument = packed.argument,
        .version = packed.version,
        .origin = {.session = packed.session, .request = packed.request},
        .slot = {}};
    in = rest.subspan(packed.key_bytes + packed.value_bytes);
    return true;
}

}  // namespace ddict::store
