// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The reader of a ring whose writer may write anything at any time between its steps.
#include <memory>

#include "samehost/ring.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;
using namespace ddict::samehost;

namespace {

struct Memory {
    RingControl control{};
    alignas(cache_line_bytes) std::array<std::byte, ring_bytes> data{};
};

void read_one(RingReader& reader, const Memory& memory) {
    const bool was_broken = reader.is_broken();
    const std::optional<Record> record = reader.next();
    fuzz::require(!was_broken || !record);
    if (!record) return;
    fuzz::require(record->kind > RecordKind::skip && record->kind <= last_record_kind);
    fuzz::require(record->header_bytes <= record->content.size());
    fuzz::require(record->content.size() <= record_content_max);
    fuzz::require(record->content.data() >= memory.data.data() &&
                  record->content.data() + record->content.size() <= memory.data.data() + ring_bytes);
    unsigned sum = 0;  // all of it can be read
    for (const std::byte byte : record->content)
        sum += static_cast<unsigned>(byte);
    fuzz::require(sum <= 255 * record_content_max);
    reader.advance();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto memory = std::make_unique<Memory>();
    std::fill(memory->data.begin(), memory->data.end(), std::byte{0});
    memory->control.read = 0;
    memory->control.attention = 0;
    memory->control.wants_space = 0;
    RingReader reader(memory->data.data(), memory->control);
    for (fuzz::Input input(data, size); !input.is_empty();) {
        switch (input.take<std::uint8_t>() % 8) {
            case 0:
            case 1:
                fuzz::scribble(input, memory->data);
                break;
            case 2:
                memory->control.attention = input.take<std::uint32_t>();
                memory->control.wants_space = input.take<std::uint32_t>();
                break;
            case 3:
                static_cast<void>(reader.publish());
                break;
            case 4:
                static_cast<void>(reader.stop_polling());
                break;
            default:
                read_one(reader, *memory);
        }
    }
    return 0;
}
