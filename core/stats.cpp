// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "core/stats.h"

namespace ddict {
namespace {

/// Calls f with every number of the record, in the order of the message.
template <class Stats, class F>
void for_each_number(Stats& s, F f) {
    f(s.manager), f(s.pid), f(s.keys), f(s.pool_bytes), f(s.used_bytes), f(s.free_bytes),
        f(s.largest_free_bytes);
    f(s.index_bytes), f(s.sessions), f(s.rejected_messages), f(s.puts), f(s.gets), f(s.hits), f(s.contains);
    f(s.erases), f(s.clears), f(s.scans), f(s.refused_puts);
}

}  // namespace

void pack(const ManagerStats& stats, std::vector<std::byte>& out) {
    Packer packer(out);
    for_each_number(stats, [&](const auto& number) { packer.put(number); });
    packer.put_text(stats.node).put_text(stats.transport);
}

bool unpack(Bytes in, ManagerStats& stats) {
    Unpacker reader(in);
    for_each_number(stats, [&]<class T>(T& number) { number = reader.take<T>(); });
    stats.node = reader.take_text();
    stats.transport = reader.take_text();
    return reader.good();
}

}  // namespace ddict
