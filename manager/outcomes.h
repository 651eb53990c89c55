// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What came of the requests of one session that may have changed something, in case the client asks again
// because the reply did not reach it. One outcome for each place of a request (wire::place_of); the next
// request in the place shows that it is not needed any more.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/wire.h"
#include "manager/private_memory.h"
#include "shm/pool.h"

namespace ddict::manager {

struct Outcome {
    enum class Kind : std::uint8_t {
        answered,   // with the numbers below
        value,      // with this pair, which a pop has removed; pinned
        statuses,   // of the items of a batch: those in `statuses`, or `argument` times 0 if it is empty
        under_way,  // a broadcast; the answer will come
        forgotten,  // it was answered with more than there is room for
    };

    std::uint64_t request = 0;  // its number; 0: there was none
    std::uint64_t argument = 0;
    std::uint64_t argument2 = 0;
    const shm::Block* value = nullptr;
    PrivateMemory::Buffer statuses;
    std::uint16_t status = 0;
    Kind kind = Kind::answered;

    /// What `to` was answered with, where that holds no memory.
    void set_answer(std::uint64_t to, const wire::ReplyHeader& header) noexcept {
        request = to;
        argument = header.argument;
        argument2 = header.argument2;
        status = header.status;
        kind = Kind::answered;
    }
    /// Memory other than its own.
    bool holds_memory() const noexcept { return value != nullptr || static_cast<bool>(statuses); }
};
static_assert(sizeof(Outcome) <= 64);

class Outcomes {
  public:
    /// Where the outcome of a request is, or will be; null if there is no room yet. On the way of every
    /// write.
    Outcome* at(std::uint64_t request) noexcept {
        const std::uint32_t place = wire::place_of(request);
        return place < places_.size() ? &places_[place] : nullptr;
    }
    std::size_t size() const noexcept { return places_.size(); }
    /// How many places it would have with room for the request.
    std::size_t size_with(std::uint64_t request) const noexcept {
        std::size_t size = places_.empty() ? 1 : places_.size();
        while (size <= wire::place_of(request))
            size *= 2;
        return size;
    }
    void make_room(std::uint64_t request) { places_.resize(size_with(request)); }

    template <class F>
    void for_each(F f) {
        for (Outcome& outcome : places_)
            f(outcome);
    }

  private:
    std::vector<Outcome> places_;
};

}  // namespace ddict::manager
