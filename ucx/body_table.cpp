// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/body_table.h"

#include "base/limits.h"

namespace ddict::ucx {

// A token is the slot's generation (upper half) and its number + 1 (lower half), so that it is never 0.

std::uint64_t BodyTable::add(const AnnouncedBody& body) {
    if (free_.empty()) {
        if (slots_.size() >= limits::bodies_in_flight_max) return 0;
        free_.reserve(slots_.size() + 1);
        slots_.emplace_back();
        free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.body = body;
    slot.used = true;
    return (std::uint64_t{++slot.generation} << 32) | (index + 1);
}

std::optional<AnnouncedBody> BodyTable::take(std::uint64_t token) {
    const auto number = static_cast<std::uint32_t>(token);
    if (number == 0 || number > slots_.size()) return std::nullopt;
    Slot& slot = slots_[number - 1];
    if (!slot.used || slot.generation != token >> 32) return std::nullopt;
    slot.used = false;
    free_.push_back(number - 1);
    return slot.body;
}

std::optional<AnnouncedBody> BodyTable::take_any() {
    for (std::uint32_t index = 0; index < slots_.size(); ++index) {
        if (!slots_[index].used) continue;
        return take((std::uint64_t{slots_[index].generation} << 32) | (index + 1));
    }
    return std::nullopt;
}

}  // namespace ddict::ucx
