// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ddict/batch.h>

#include "libclient/page_sink.h"
#include "libclient/session.h"
#include "wire/items.h"

namespace ddict::client {

/// One message of a batch, and what it needs while it is under way.
struct BatchLane {
    /// Gives the value of one item to its place.
    class ItemValue final : public ValueSink {
      public:
        Result<MutableBytes> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
            return items->prepare(index, bytes, value_type);
        }
        ItemSink* items = nullptr;
        std::size_t index = 0;
    };

    void open(ShardId for_shard) {
        shard = for_shard;
        alone = borrows = false;
        indices.clear();
        writer = wire::ItemWriter(buffer);
        page.clear();
    }

    Flight flight;
    ShardId shard{};
    bool alone = false;    // an operation on a single item, and no message of many
    bool borrows = false;  // alone: key and value are the caller's; otherwise they are in the buffer
    std::vector<std::size_t> indices;
    std::array<std::byte, limits::inline_value_bytes_max> buffer;  // the packed items
    wire::ItemWriter writer{buffer};
    PageSink page;
    ItemValue value;
    KeyBytes key;  // alone
};

}  // namespace ddict::client
