// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What UCX itself can do, to hold the dictionary against: two processes that play ping-pong with active
// messages of the sizes that an operation of the dictionary needs, and do nothing else. Both poll without
// ever sleeping (while there is no message they let others run now and then), and the worker has
// no means of being woken.
//
//     task             request                            reply
//     raw_round_trip   8 bytes                            8 bytes
//     raw_get          header of 48 bytes + key           header of 40 bytes, then the value
//     raw_put          header of 48 bytes + key, value    header of 40 bytes
//     raw_stream       as raw_put, up to four under way   one, after the last
//
// The member that answers receives values in different places of as much memory as those of a dictionary
// take, one after the other, since this is what a manager has to do; the one that asks always in the same
// place, as a client. Small ones, which UCX hands over in a buffer of its own, are copied there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bench/shared_memory.h"
#include "bench/team.h"

namespace ddict::bench {

/// Where the two processes tell each other their UCX address.
struct RawAddress {
    std::uint32_t bytes = 0;
    std::array<std::byte, 4096> address;
};
using RawAddresses = SharedArray<RawAddress>;

struct RawOptions {
    std::size_t key_bytes = 30;
    std::uint64_t value_bytes_max = 8;
    std::uint64_t memory_bytes = 0;  ///< of all values that are received; at least one has space
};

/// Member 0 asks, member 1 answers. Task::raw_address and Task::raw_connect come first; the text of the
/// latter tells the UCX transports of the connection. Only member 0 counts operations.
class RawPeer final : public Role {
  public:
    RawPeer(const RawOptions& options, const RawAddresses& addresses, unsigned member);
    ~RawPeer() override;

    void prepare(const Phase& phase) override;
    std::string run(const Phase& phase, Tally& tally) override;

    /// "1.13.1"; sets nothing up.
    static std::string ucx_version();

  private:
    class Connection;
    void make_connection();
    void play(const Phase& phase, std::uint64_t rounds, Tally& tally);
    void stream(const Phase& phase, std::uint64_t messages, Tally& tally);

    RawOptions options_;
    const RawAddresses& addresses_;
    unsigned member_;
    std::unique_ptr<Connection> connection_;
};

}  // namespace ddict::bench
