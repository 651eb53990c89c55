// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The pairs of one manager, by messages, in the order of their shard hashes.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "base/owned_key.h"
#include "libclient/attachment.h"
#include "libclient/page_sink.h"
#include "wire/items.h"

namespace ddict::client {

using KeySet = std::unordered_set<OwnedKey, KeyHash, KeyEqual>;

/// Receives a value that is asked for alone.
class AloneSink final : public ValueSink {
  public:
    Result<MutableBytes> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        type = value_type;
        value.resize(bytes);
        return MutableBytes(value);
    }
    std::vector<std::byte> value;
    std::uint16_t type = 0;
};

/// What is seen at one checkpoint. For one thread. Errors name manager and node.
class ManagerPages {
  public:
    /// The attachment must outlive it.
    ManagerPages(Attachment& attachment, ShardId shard, std::uint32_t checkpoint)
        : attachment_(attachment), shard_(shard), checkpoint_(checkpoint) {}

    /// Fills items() with those from this cursor on. Returns where to go on: 0 at the end. `flags`: scan_*.
    Result<std::uint64_t> ask(std::uint16_t flags, std::uint64_t cursor);
    wire::ItemReader items() const { return wire::ItemReader(sink_.page()); }
    /// Which keys are broadcasts is known to the manager alone.
    Result<KeySet> broadcasts();
    /// The value of a key, which is of this type then. not_found if it was erased meanwhile.
    Result<std::uint16_t> value(KeyBytes key, AloneSink& value);
    Error malformed() const {
        return named(Error(Errc::protocol, "the page of pairs that it sent is malformed"));
    }
    Error named(Error error) const;

  private:
    detail::TimeoutBudget budget() const { return {.timeout = attachment_.timeout()}; }

    Attachment& attachment_;
    const ShardId shard_;
    const std::uint32_t checkpoint_;
    PageSink sink_;
};

}  // namespace ddict::client
