// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
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

    /// `large`: for as much as a message may have, which then travels apart from its header.
    void open(ShardId for_shard, bool large) {
        shard = for_shard;
        alone = borrows = false;
        is_large = large;
        indices.clear();
        if (large && !large_buffer)
            large_buffer = std::make_unique_for_overwrite<std::byte[]>(limits::batch_bytes_max);
        writer = large ? wire::ItemWriter({large_buffer.get(), limits::batch_bytes_max})
                       : wire::ItemWriter(buffer);
        page.clear();
    }

    Flight flight;
    ShardId shard{};
    bool alone = false;    // an operation on a single item, and no message of many
    bool borrows = false;  // alone: key and value are the caller's; otherwise they are in the buffer
    bool is_large = false;
    std::vector<std::size_t> indices;
    std::array<std::byte, limits::inline_value_bytes_max> buffer;  // the packed items
    std::unique_ptr<std::byte[]> large_buffer;
    wire::ItemWriter writer{buffer};
    PageSink page;
    ItemValue value;
    KeyBytes key;  // alone
};

}  // namespace ddict::client
