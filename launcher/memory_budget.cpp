// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/memory_budget.h"

#include "base/limits.h"
#include "launcher/sizes.h"

namespace ddict::launcher {
namespace {

// A manager's own memory: the program, UCX and its buffers. Measured at 15 to 20 MiB.
constexpr std::uint64_t process_bytes = std::uint64_t{24} << 20;
// Headers of segments, rounded to pages, and what a manager remembers of its first clients.
constexpr std::uint64_t segment_slack_bytes = std::uint64_t{128} << 10;

Error too_little(const std::string& need, std::uint64_t need_bytes, const std::string& where,
                 std::uint64_t have_bytes, std::string_view what_to_do) {
    std::string need_size = format_size(need_bytes);
    std::string have_size = format_size(have_bytes);
    if (need_size == have_size) {  // "needs 64M, has 64M" explains nothing
        need_size = std::to_string(need_bytes) + " bytes";
        have_size = std::to_string(have_bytes);
    }
    Error error(Errc::no_space, need + " " + need_size + ", " + where + " has " + have_size +
                                    " free: " + std::string(what_to_do));
    return error.set_operation(Operation::launch).set_bytes(need_bytes, have_bytes);
}

}  // namespace

std::uint64_t MemoryNeed::shared_bytes() const {
    // Most addresses of UCX are far below the limit; 1 KiB an entry is ample.
    return (managers - pools_kept) * (pool_bytes + segment_slack_bytes) + kept_missing_bytes +
           segment_slack_bytes + std::uint64_t{managers_total} * 1024;
}

std::uint64_t MemoryNeed::resident_bytes() const {
    return shared_bytes() + managers * process_bytes;
}

Result<void> check_memory(const MemoryNeed& need, const MemoryHave& have) {
    const std::uint32_t new_pools = need.managers - need.pools_kept;
    const std::string pools = need.kept_missing_bytes != 0
                                  ? "its pools, not all of which were there, still need"
                              : new_pools == 0 ? "it needs, without its pools,"
                              : new_pools == 1 ? "its pool needs"
                                               : std::to_string(new_pools) + " pools need";
    if (need.shared_bytes() > have.shared_free_bytes)
        return too_little(pools, need.shared_bytes(), "/dev/shm", have.shared_free_bytes,
                          "lower --total-mem, use more nodes, or have /dev/shm enlarged");
    if (need.resident_bytes() > have.free_bytes)
        return too_little(pools, need.resident_bytes(), have.limited_by, have.free_bytes,
                          "lower --total-mem, or ask for more memory or nodes");
    return {};
}

}  // namespace ddict::launcher
