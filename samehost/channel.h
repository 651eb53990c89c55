// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The memory that the two ends of a connection share: two rings. It has no name: whoever connects makes it
// (memfd) and hands it to the other with the first message of the socket, and it goes with the last process
// that has it mapped.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <ddict/result.h>

#include "base/bytes.h"
#include "os/file_descriptor.h"
#include "samehost/ring.h"

namespace ddict::samehost {

/// The two ends of a connection.
enum class Side : std::uint8_t { connecting = 0, accepting = 1 };
constexpr Side other(Side side) noexcept {
    return side == Side::connecting ? Side::accepting : Side::connecting;
}

/// What one end lays open for the other, in shared memory.
struct EndFacts {
    /// Where this end has written `nonce` in its own memory: whoever reads there another number has the wrong
    /// process. 0: there is none yet.
    std::atomic<std::uint64_t> nonce_address;
    std::atomic<std::uint64_t> nonce;
    /// Payloads that this end has offered are not there any more: what was read of them is nothing.
    std::atomic<std::uint32_t> has_withdrawn;
};

/// Maps the memory; both rings.
class Channel {
  public:
    static constexpr std::size_t bytes = 4096 + 2 * ring_bytes;

    struct Made;
    /// New memory, that cannot change its size any more. Errors: not_found where this process may make none;
    /// system.
    static Result<Made> make();
    /// Memory that another process made. Errors: protocol if it is not what make() makes; system.
    static Result<Channel> map(const os::FileDescriptor& memory);

    Channel(Channel&& other) noexcept;
    Channel& operator=(Channel&& other) noexcept;
    ~Channel();

    RingWriter writer(Side of) noexcept;
    RingReader reader(Side of) noexcept;
    EndFacts& facts(Side of) noexcept;

  private:
    struct Front;
    explicit Channel(void* memory) noexcept : front_(static_cast<Front*>(memory)) {}
    std::byte* ring_written_by(Side side) noexcept;
    static Result<Channel> map_checked(const os::FileDescriptor& memory);

    Front* front_;
};

struct Channel::Made {
    Channel channel;
    os::FileDescriptor memory;
};

}  // namespace ddict::samehost
