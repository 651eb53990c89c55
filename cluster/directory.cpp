// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "cluster/directory.h"

namespace ddict {

void pack(const DirectoryEntry& entry, std::vector<std::byte>& out) {
    Packer(out)
        .put(entry.shard)
        .put(entry.epoch)
        .put_text(entry.node)
        .put(entry.process)
        .put(entry.pool_bytes)
        .put_bytes(entry.address);
}

DirectoryEntry unpack_directory_entry(Unpacker& in) {
    DirectoryEntry entry;
    entry.shard = in.take<ShardId>();
    entry.epoch = in.take<Epoch>();
    entry.node = in.take_text();
    entry.process = in.take<ProcessIdentity>();
    entry.pool_bytes = in.take<std::uint64_t>();
    const Bytes address = in.take_bytes();
    entry.address.assign(address.begin(), address.end());
    return entry;
}

}  // namespace ddict
