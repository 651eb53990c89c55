// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The bodies that have been announced and wait at their senders.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace ddict::ucx {

struct AnnouncedBody {
    void* descriptor = nullptr;  // UCX's
    std::uint64_t bytes = 0;
};

/// Tokens for announced bodies; at most limits::bodies_in_flight_max. A token is not used again.
class BodyTable {
  public:
    /// 0 if the table is full.
    std::uint64_t add(const AnnouncedBody& body);
    /// Takes the body out; empty if there is none (any more) with this token.
    std::optional<AnnouncedBody> take(std::uint64_t token);
    /// Takes any body out; empty if there is none.
    std::optional<AnnouncedBody> take_any();

  private:
    struct Slot {
        AnnouncedBody body;
        std::uint32_t generation = 0;
        bool used = false;
    };
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
};

}  // namespace ddict::ucx
