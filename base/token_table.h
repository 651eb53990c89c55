// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace ddict {

/// Things known by tokens. A token is never 0 and never used again, so that one that comes too late, or was
/// made up, finds nothing. Its upper half is at most `generation_max`.
template <class T>
class TokenTable {
  public:
    explicit TokenTable(std::uint32_t size_max) : size_max_(size_max) {}

    static constexpr std::uint32_t generation_max = 0x7fff'ffff;

    /// 0 if the table is full. std::bad_alloc if memory is missing; nothing was added then.
    std::uint64_t add(T thing) {
        if (free_.empty()) {
            if (slots_.size() >= size_max_) return 0;
            if (free_.capacity() <= slots_.size()) free_.reserve(2 * slots_.size() + 8);
            slots_.emplace_back();
            free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
        }
        const std::uint32_t index = free_.back();
        Slot& slot = slots_[index];
        slot.thing.emplace(std::move(thing));
        free_.pop_back();
        return token_of(index);
    }
    /// Null if nothing is (any more) known by this token. Good until the next add() or take().
    T* find(std::uint64_t token) noexcept {
        const std::uint32_t number = static_cast<std::uint32_t>(token);
        if (number == 0 || number > slots_.size()) return nullptr;
        Slot& slot = slots_[number - 1];
        return slot.thing && slot.generation == token >> 32 ? &*slot.thing : nullptr;
    }
    std::optional<T> take(std::uint64_t token) {
        T* const found = find(token);
        if (found == nullptr) return std::nullopt;
        std::optional<T> thing(std::move(*found));
        remove(static_cast<std::uint32_t>(token) - 1);
        return thing;
    }
    /// Takes any out; empty if there is none.
    std::optional<T> take_any() {
        for (std::uint32_t index = 0; index < slots_.size(); ++index) {
            if (slots_[index].thing) return take(token_of(index));
        }
        return std::nullopt;
    }
    /// Calls visit(token, thing) for each; it may take any of them.
    template <class Visit>
    void for_each(Visit&& visit) {
        for (std::uint32_t index = 0; index < slots_.size(); ++index) {
            if (slots_[index].thing) visit(token_of(index), *slots_[index].thing);
        }
    }
    std::size_t size() const noexcept { return slots_.size() - free_.size(); }

  private:
    struct Slot {
        std::optional<T> thing;
        std::uint32_t generation = 1;
    };
    std::uint64_t token_of(std::uint32_t index) const noexcept {
        return (std::uint64_t{slots_[index].generation} << 32) | (index + 1);
    }
    /// A slot whose generations are used up stays empty for ever.
    void remove(std::uint32_t index) noexcept {
        Slot& slot = slots_[index];
        slot.thing.reset();
        if (slot.generation++ < generation_max) free_.push_back(index);
    }

    std::uint32_t size_max_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;  // its capacity is that of slots_: remove() needs no memory
};

}  // namespace ddict
