// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/moved_managers.h"

#include <algorithm>
#include <utility>

#include "base/base64url.h"
#include "base/limits.h"
#include "cluster/handle.h"
#include "launcher/exchange.h"

namespace ddict::launcher {
namespace {

/// None if the handle has no older entry of that manager.
std::optional<std::string> with(std::string_view handle, const DirectoryEntry& entry) {
    Result<Handle> renewed = Handle::parse(handle);
    if (!renewed) return std::nullopt;
    const auto seed = std::find_if(renewed->seeds.begin(), renewed->seeds.end(),
                                   [&](const DirectoryEntry& one) { return one.shard == entry.shard; });
    if (seed == renewed->seeds.end() || !is_newer(entry, *seed)) return std::nullopt;
    *seed = entry;
    std::string text = renewed->serialize();
    // An entry need not be one that a handle may have.
    const bool is_good = text.size() <= limits::handle_bytes_max && Handle::parse(text);
    return is_good ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace

std::vector<std::string> format_moved(const Event& from, const DirectoryEntry& entry) {
    std::vector<std::byte> packed;
    pack(entry, packed);
    Event part = from;
    part.kind = Event::Kind::moved;
    part.manager = entry.shard;
    return format_parts(std::move(part), text_of(packed));
}

std::optional<std::string> MovedManagers::add(const Event& part, std::string_view handle) {
    if (part.part == 0) under_way_[part.manager] = {};
    const auto found = under_way_.find(part.manager);
    if (found == under_way_.end()) return std::nullopt;
    Entry& entry = found->second;
    const auto bytes = decode_base64url(part.text);
    const bool follows = bytes && part.part == entry.parts && part.part < part.parts &&
                         entry.bytes.size() + bytes->size() <= limits::handle_bytes_max;
    if (follows) {
        ++entry.parts;
        entry.bytes.insert(entry.bytes.end(), bytes->begin(), bytes->end());
        if (entry.parts < part.parts) return std::nullopt;
    }
    const Entry whole = std::move(entry);
    under_way_.erase(found);
    if (!follows) return std::nullopt;
    Unpacker in(whole.bytes);
    const DirectoryEntry moved = unpack_directory_entry(in);
    if (!in.good() || !in.at_end() || moved.shard != part.manager) return std::nullopt;
    return with(handle, moved);
}

}  // namespace ddict::launcher
