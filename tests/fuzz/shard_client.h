// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What fuzz targets need around a shard: other managers that it knows of, its way to them, and messages as
// clients write them.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "cluster/directory.h"
#include "manager/relay.h"
#include "manager/shard.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/rpc/recording_transport.h"
#include "tests/shm/test_pool.h"

namespace ddict::fuzz {

class Managers final : public DirectoryView {
  public:
    std::uint32_t manager_count() const override { return shm::test_identity().manager + 3; }
    Result<DirectoryEntry> entry(ShardId shard) const override {
        DirectoryEntry entry;
        entry.shard = shard;
        entry.is_restartable = true;
        entry.node = "n" + std::to_string(number_of(shard));
        entry.address.assign(4, std::byte{1});
        return entry;
    }
};

/// Keeps what the shard asks of other managers until the input says what has come of it.
class RecordingRelay final : public manager::Relay {
  public:
    void relay(const Request&, std::chrono::nanoseconds, std::uint64_t tag) override { tags.push_back(tag); }
    std::deque<std::uint64_t> tags;
};

/// A hello or a goodbye with the right proof.
inline std::vector<std::byte> hello_of(const shm::PoolIdentity& identity, wire::Verb verb,
                                       std::uint64_t session, std::uint64_t number,
                                       std::string_view address) {
    wire::RequestHeader header;
    header.verb = verb;
    header.session = session;
    header.request = number;
    const std::vector<std::byte> hello =
        wire::pack_proven(identity.secret, header,
                          {.dictionary_id = identity.dictionary_id,
                           .proof = {},
                           .ucx_version = 1,
                           .process = {.host_key = 2, .pid = 9, .pid_namespace = 0, .start_time = 1},
                           .address = bytes_of(address)});
    return message_of(header, hello);
}

}  // namespace ddict::fuzz
