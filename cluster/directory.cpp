// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "cluster/directory.h"

namespace ddict {

void pack(const DirectoryEntry& entry, std::vector<std::byte>& out) {
    Packer(out)
        .put(entry.manager)
        .put(entry.epoch)
        .put_text(entry.node)
        .put(entry.process)
        .put(entry.pool_bytes)
        .put_bytes(entry.address);
}

DirectoryEntry unpack_directory_entry(Unpacker& in) {
    DirectoryEntry entry;
    entry.manager = in.take<std::uint32_t>();
    entry.epoch = in.take<std::uint32_t>();
    entry.node = in.take_text();
    entry.process = in.take<ProcessIdentity>();
    entry.pool_bytes = in.take<std::uint64_t>();
    const Bytes address = in.take_bytes();
    entry.address.assign(address.begin(), address.end());
    return entry;
}

}  // namespace ddict
