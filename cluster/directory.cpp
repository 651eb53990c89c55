// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "cluster/directory.h"

#include <limits>
#include <string_view>

namespace ddict {
namespace {

/// What was read is no entry.
void spoil(Unpacker& in) noexcept {
    static_cast<void>(in.take_raw(std::numeric_limits<std::size_t>::max()));
}

}  // namespace

Error DirectoryEntry::why_lost() const {
    return Error(Errc::manager_lost,
                 reason.empty() ? "it has ended, and is not started again" : "it " + reason)
        .set_manager(number_of(shard))
        .set_node(node)
        .set_state(ManagerState::ended);
}

void pack(const DirectoryEntry& entry, std::vector<std::byte>& out) {
    Packer(out)
        .put(entry.shard)
        .put(entry.epoch)
        .put(entry.state)
        .put(static_cast<std::uint16_t>(entry.is_restartable ? 1 : 0))
        .put_text(std::string_view(entry.reason).substr(0, DirectoryEntry::reason_bytes_max))
        .put_text(entry.node)
        .put(entry.process)
        .put(entry.pool_bytes)
        .put_bytes(entry.address);
}

DirectoryEntry unpack_directory_entry(Unpacker& in) {
    DirectoryEntry entry;
    entry.shard = in.take<ShardId>();
    entry.epoch = in.take<Epoch>();
    const auto state = in.take<std::uint16_t>();
    const auto restartable = in.take<std::uint16_t>();
    entry.reason = in.take_text();
    entry.node = in.take_text();
    entry.process = in.take<ProcessIdentity>();
    entry.pool_bytes = in.take<std::uint64_t>();
    const Bytes address = in.take_bytes();
    entry.address.assign(address.begin(), address.end());
    if (state > serving_state_last || restartable > 1 || entry.epoch == no_epoch ||
        entry.reason.size() > DirectoryEntry::reason_bytes_max)
        spoil(in);
    entry.state = static_cast<ServingState>(state);
    entry.is_restartable = restartable == 1;
    return entry;
}

}  // namespace ddict
