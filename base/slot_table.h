// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace ddict {

/// Things known by small numbers, which are given again when they are free. A thing stays where it is while
/// it is there. Does not allocate when a number is given again.
template <class T>
class SlotTable {
  public:
    /// std::bad_alloc if memory is missing; nothing was added then.
    std::uint32_t add(T thing) {
        if (free_.empty()) {
            if (free_.capacity() <= slots_.size()) free_.reserve(2 * slots_.size() + 8);
            slots_.push_back(std::make_unique<std::optional<T>>());
            free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
        }
        const std::uint32_t slot = free_.back();
        free_.pop_back();
        slots_[slot]->emplace(std::move(thing));
        return slot;
    }

    bool holds(std::uint64_t slot) const noexcept {
        return slot < slots_.size() && slots_[slot]->has_value();
    }
    T& operator[](std::uint64_t slot) {
        DDICT_ASSERT(holds(slot), "nothing is in this slot");
        return **slots_[slot];
    }
    T remove(std::uint64_t slot) {
        T thing = std::move((*this)[slot]);
        slots_[slot]->reset();
        free_.push_back(static_cast<std::uint32_t>(slot));
        return thing;
    }

    /// f must neither add nor remove.
    template <class F>
    void for_each(F f) {
        for (const std::unique_ptr<std::optional<T>>& slot : slots_)
            if (slot->has_value()) f(**slot);
    }

    std::size_t size() const noexcept { return slots_.size() - free_.size(); }

  private:
    std::vector<std::unique_ptr<std::optional<T>>> slots_;
    std::vector<std::uint32_t> free_;  // its capacity is that of slots_: remove() needs no memory
};

}  // namespace ddict
