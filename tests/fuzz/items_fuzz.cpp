// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The records within messages: items of batches and pages, their results, and statistics. What is read is
// what is written again, and nothing outside of the bytes is looked at.
#include <vector>

#include "tests/fuzz/fuzz_target.h"
#include "wire/items.h"
#include "wire/stats.h"

using namespace ddict;
using namespace ddict::wire;

namespace {

bool lies_in(Bytes part, Bytes whole) {
    return part.empty() ||
           (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

/// Calls read(reader, writer) until it says that there is no whole item. What was read was written again.
template <class F>
void read_items(Bytes bytes, F read) {
    ItemReader reader(bytes);
    std::vector<std::byte> again(bytes.size());
    ItemWriter writer(again);
    std::size_t items = 0;
    while (!reader.at_end() && read(reader, writer))
        ++items;
    const Bytes written = writer.written();
    fuzz::require(std::equal(written.begin(), written.end(), bytes.begin()));
    fuzz::require(reader.at_end() == (written.size() == bytes.size()));
    fuzz::require(items <= bytes.size() / sizeof(std::uint16_t));
}

/// An item beyond the buffer is not begun.
void write_into_little(Bytes bytes, std::size_t capacity) {
    std::vector<std::byte> buffer(capacity);
    ItemWriter writer(buffer);
    const KeyBytes key(bytes.first(std::min<std::size_t>(bytes.size(), limits::key_bytes_max)), type_text);
    const auto all = [&] {
        return writer.key(key) && writer.pair(key, 3, bytes) && writer.pair_to_ask_alone(key, 3) &&
               writer.result(0, 3, bytes) && writer.status(7);
    };
    for (int i = 0; i < 3; ++i) {
        const std::size_t before = writer.left();
        const bool written = all();
        fuzz::require(writer.left() <= before && writer.written().size() + writer.left() == capacity);
        if (!written) return;
    }
}

void read_statistics(Bytes bytes) {
    ManagerStats stats;
    if (!unpack(bytes, stats)) return;
    fuzz::require(stats.operations.size() <= 255 && stats.node.size() <= bytes.size());
    std::vector<std::byte> packed;
    pack(stats, packed);
    fuzz::require(packed.size() <= bytes.size());
    ManagerStats again;
    fuzz::require(unpack(packed, again));
    std::vector<std::byte> same;
    pack(again, same);
    fuzz::require(same == packed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::size_t what = input.below(6);
    const std::size_t capacity = input.take<std::uint8_t>();
    const Bytes bytes = input.take_rest();
    switch (what) {
        case 0:
            read_items(bytes, [&](ItemReader& reader, ItemWriter& writer) {
                KeyBytes key;
                if (!reader.key(key)) return false;
                fuzz::require(!key.empty() && key.size() <= limits::key_bytes_max);
                fuzz::require(lies_in(key.bytes(), bytes));
                return writer.key(key);
            });
            break;
        case 1:
            read_items(bytes, [&](ItemReader& reader, ItemWriter& writer) {
                PackedPair pair;
                if (!reader.pair(pair)) return false;
                fuzz::require(!pair.key.empty() && pair.key.size() <= limits::key_bytes_max);
                fuzz::require(lies_in(pair.key.bytes(), bytes) && lies_in(pair.value, bytes));
                fuzz::require(!pair.ask_alone || pair.value.empty());
                return pair.ask_alone ? writer.pair_to_ask_alone(pair.key, pair.value_type, pair.placement,
                                                                 pair.transient)
                                      : writer.pair(pair.key, pair.value_type, pair.value, pair.placement,
                                                    pair.transient);
            });
            break;
        case 2:
            read_items(bytes, [&](ItemReader& reader, ItemWriter& writer) {
                PackedResult result;
                if (!reader.result(result)) return false;
                fuzz::require(lies_in(result.value, bytes));
                return writer.result(result.status, result.value_type, result.value);
            });
            break;
        case 3:
            read_items(bytes, [](ItemReader& reader, ItemWriter& writer) {
                std::uint16_t status = 0;
                return reader.status(status) && writer.status(status);
            });
            break;
        case 4:
            write_into_little(bytes, capacity);
            break;
        default:
            read_statistics(bytes);
    }
    return 0;
}
