// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Where managers are that were started again, as node launchers tell the launcher: whatever they say, the
// handle stays one of the same dictionary, with the same seeds, each at the same place or at a newer one.
#include <string>
#include <vector>

#include "base/base64url.h"
#include "base/limits.h"
#include "cluster/handle.h"
#include "launcher/moved_managers.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;
using namespace ddict::launcher;

namespace {

DirectoryEntry entry_of(std::uint32_t shard, std::uint32_t epoch) {
    DirectoryEntry entry;
    entry.shard = ShardId{shard};
    entry.epoch = Epoch{epoch};
    entry.node = "n1";
    entry.address.assign(20 * epoch, std::byte(epoch));
    return entry;
}

Handle first_handle() {
    Handle handle;
    handle.dictionary_id = 7;
    handle.managers = 4;
    handle.nodes = 2;
    handle.name = "default";
    handle.seeds = {entry_of(0, 1), entry_of(2, 1)};
    return handle;
}

/// Bytes of the input, or a piece of an entry that is well-formed.
std::string text_of(fuzz::Input& input, std::uint32_t shard) {
    if (input.flip()) return encode_base64url(input.take_raw(input.below(64)));
    std::vector<std::byte> packed;
    pack(entry_of(shard, static_cast<std::uint32_t>(input.below(5))), packed);
    const Bytes whole = packed;
    const std::size_t begin = std::min(input.below(128), whole.size());
    return encode_base64url(whole.subspan(begin, std::min(input.below(256), whole.size() - begin)));
}

void check(const Handle& before, const std::string& text) {
    fuzz::require(text.size() <= limits::handle_bytes_max);
    const Result<Handle> now = Handle::parse(text);
    fuzz::require(now.has_value());
    fuzz::require(now->dictionary_id == before.dictionary_id && now->seeds.size() == before.seeds.size());
    unsigned newer = 0;
    for (std::size_t i = 0; i < before.seeds.size(); ++i) {
        fuzz::require(now->seeds[i].shard == before.seeds[i].shard);
        fuzz::require(!is_newer(before.seeds[i], now->seeds[i]));
        newer += is_newer(now->seeds[i], before.seeds[i]) ? 1U : 0U;
    }
    fuzz::require(newer == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    std::string handle = first_handle().serialize();
    MovedManagers moved;
    while (!input.is_empty()) {
        Event part;
        part.kind = Event::Kind::moved;
        part.manager = ShardId{static_cast<std::uint32_t>(input.below(4))};
        part.part = static_cast<std::uint32_t>(input.below(3));
        part.parts = static_cast<std::uint32_t>(input.below(4));
        part.text = text_of(input, number_of(part.manager));
        const auto renewed = moved.add(part, handle);
        if (!renewed) continue;
        check(Handle::parse(handle).value(), *renewed);
        handle = *renewed;
    }
    return 0;
}
