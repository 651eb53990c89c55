// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The memory of the errors in results.
#include <ddict/result.h>

#include <array>
#include <atomic>
#include <new>

namespace ddict::detail {
namespace {

struct Slot {
    Error error;  // first, so that its address is the slot's
    Slot* next = nullptr;
    std::atomic_flag* taken = nullptr;  // of one that is not of the heap
};
static_assert(std::is_standard_layout_v<Slot>);

constexpr unsigned spare_max = 8;

/// What a thread keeps to use it again. Trivial, so that results may still end after the other objects of
/// their thread.
struct Spare {
    Slot* first;
    unsigned count;
    bool closed;  // the thread ends: nothing is kept any more
};
constinit thread_local Spare spare{};

struct Closing {
    ~Closing() {
        spare.closed = true;
        while (spare.first != nullptr)
            delete std::exchange(spare.first, spare.first->next);
    }
};

/// For errors that tell that there is no memory. Never destroyed: others may use it until the process ends.
struct Emergency {
    std::array<Slot, 32> slots;
    std::array<std::atomic_flag, 32> taken;
};
union EmergencyMemory {
    Emergency all;
    EmergencyMemory() : all() {}
    ~EmergencyMemory() {}
};
EmergencyMemory emergency;

/// Shared by all that were moved from; of no one's memory. Never destroyed, as above.
union MovedAway {
    Slot slot;
    MovedAway() : slot() {
        slot.error = Error(Errc::invalid_argument, "this result has been moved from: its error is elsewhere");
    }
    ~MovedAway() {}
};
MovedAway moved;

Slot* slot_of_emergency() {
    for (std::size_t i = 0; i < emergency.all.slots.size(); ++i) {
        if (emergency.all.taken[i].test_and_set(std::memory_order_acquire)) continue;
        emergency.all.slots[i].taken = &emergency.all.taken[i];
        return &emergency.all.slots[i];
    }
    throw std::bad_alloc();
}

Slot* find_slot() {
    if (spare.first != nullptr) {
        --spare.count;
        return std::exchange(spare.first, spare.first->next);
    }
    try {
        return new Slot;
    } catch (const std::bad_alloc&) {
        return slot_of_emergency();
    }
}

}  // namespace

Error* ErrorBox::make(const Error& error) {
    Slot* const slot = find_slot();
    slot->error = error;
    return &slot->error;
}

Error* ErrorBox::moved_away() noexcept {
    return &moved.slot.error;
}

void ErrorBox::release(Error* error) noexcept {
    auto* const slot = reinterpret_cast<Slot*>(error);
    if (slot == &moved.slot) return;
    if (slot->taken != nullptr) {
        slot->taken->clear(std::memory_order_release);
    } else if (spare.closed || spare.count == spare_max) {
        delete slot;
    } else {
        static thread_local Closing closing;
        static_cast<void>(&closing);
        slot->next = std::exchange(spare.first, slot);
        ++spare.count;
    }
}

}  // namespace ddict::detail
