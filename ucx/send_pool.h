// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Operations that UCX has not finished yet, and the memory of the headers that they send.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace ddict::ucx {

class Endpoint;

/// One operation in UCX's hands; in its endpoint's list until UCX has finished it or the peer's process has
/// ended. One that was given up has been reported to the logic already, and its memory stays UCX's until UCX
/// calls back for it, or for ever: UCX cannot cancel.
struct Transfer {
    enum class Kind : std::uint8_t { message, outgoing_payload, incoming_payload };

    Transfer* previous = nullptr;
    Transfer* next = nullptr;
    Endpoint* endpoint = nullptr;
    void* owner = nullptr;  // the Worker::Impl
    std::uint64_t tag = 0;
    std::uint64_t bytes = 0;  // of an incoming payload
    Kind kind = Kind::message;
    bool given_up = false;
    bool large = false;  // of which pool

    std::byte* header() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
};

/// Transfers with memory for a header behind them, in two sizes. Grows by chunks, never shrinks before its
/// end.
class SendPool {
  public:
    static constexpr std::size_t small_header_bytes = 256 - sizeof(Transfer);

    /// With memory for header_bytes <= limits::header_bytes_max.
    Transfer* take(std::size_t header_bytes);
    void give_back(Transfer* transfer) noexcept;

  private:
    void grow(bool large);

    std::array<Transfer*, 2> free_{};  // singly linked by next: small, large
    std::vector<std::unique_ptr<std::byte[]>> chunks_;
};

}  // namespace ddict::ucx
