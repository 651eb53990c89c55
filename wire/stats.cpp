// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/stats.h"

namespace ddict {
namespace {

/// Calls f with every number of the record, in the order of the message.
template <class Stats, class F>
void for_each_number(Stats& s, F f) {
    f(s.manager), f(s.pid), f(s.keys), f(s.pool_bytes), f(s.used_bytes), f(s.free_bytes),
        f(s.largest_free_bytes);
    f(s.index_bytes), f(s.sessions), f(s.rejected_messages), f(s.puts), f(s.gets), f(s.hits), f(s.contains);
    f(s.erases), f(s.clears), f(s.scans), f(s.refused_puts), f(s.waiting), f(s.broadcasts);
    f(s.broadcast_keys), f(s.payloads_in_flight), f(s.private_bytes), f(s.repeated_requests);
    f(s.unreachable_clients), f(s.restarts), f(s.tunnels), f(s.refused_tunnels), f(s.expired);
    f(s.working_set), f(s.newest_checkpoint), f(s.oldest_checkpoint), f(s.old_versions);
    f(s.old_version_bytes), f(s.transient_pairs), f(s.held_requests), f(s.local_reads);
}

template <class Stats, class F>
void for_each_number_of_operation(Stats& s, F f) {
    f(s.count), f(s.p50_ns), f(s.p99_ns), f(s.max_ns);
}

}  // namespace

void pack(const ManagerStats& stats, std::vector<std::byte>& out) {
    Packer packer(out);
    const auto put = [&](const auto& number) { packer.put(number); };
    for_each_number(stats, put);
    packer.put(static_cast<std::uint8_t>(stats.held_checkpoint));
    packer.put(static_cast<std::uint8_t>(stats.waits_for_keys));
    packer.put(static_cast<std::uint8_t>(stats.waits_for_writers));
    packer.put(static_cast<std::uint8_t>(stats.frozen));
    packer.put(static_cast<std::uint8_t>(stats.without_kept));
    packer.put(static_cast<std::uint8_t>(stats.operations.size()));
    for (const OperationStats& operation : stats.operations) {
        packer.put(static_cast<std::uint8_t>(operation.operation));
        for_each_number_of_operation(operation, put);
    }
    packer.put_text(stats.node).put_text(stats.transport);
}

bool unpack(Bytes in, ManagerStats& stats) {
    Unpacker reader(in);
    const auto take = [&]<class T>(T& number) { number = reader.take<T>(); };
    for_each_number(stats, take);
    stats.held_checkpoint = reader.take<std::uint8_t>() != 0;
    stats.waits_for_keys = reader.take<std::uint8_t>() != 0;
    stats.waits_for_writers = reader.take<std::uint8_t>() != 0;
    stats.frozen = reader.take<std::uint8_t>() != 0;
    stats.without_kept = reader.take<std::uint8_t>() != 0;
    stats.operations.resize(reader.take<std::uint8_t>());
    for (OperationStats& operation : stats.operations) {
        operation.operation = static_cast<Operation>(reader.take<std::uint8_t>());
        for_each_number_of_operation(operation, take);
    }
    stats.node = reader.take_text();
    stats.transport = reader.take_text();
    return reader.good();
}

}  // namespace ddict
