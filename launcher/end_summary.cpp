// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/end_summary.h"

#include "base/counted.h"
#include "launcher/sizes.h"

namespace ddict::launcher {
namespace {

double share_of(const EndSummary& summary) {
    return summary.pool_bytes == 0
               ? 0
               : static_cast<double>(summary.peak_bytes) / static_cast<double>(summary.pool_bytes);
}

std::string count_of(std::uint64_t count, std::string_view noun) {
    return count == 0 ? "no " + std::string(noun) + "s" : counted(count, noun);
}

std::string used_of(std::uint64_t used, std::uint64_t pool) {
    return format_size(used) + " of " + format_size(pool);
}

}  // namespace

void EndSummary::add(const EndSummary& other) {
    if (share_of(other) > share_of(*this)) {
        fullest_manager = other.fullest_manager;
        fullest_node = other.fullest_node;
        peak_bytes = other.peak_bytes;
        pool_bytes = other.pool_bytes;
    }
    managers += other.managers;
    pairs += other.pairs;
    requests += other.requests;
    refused_puts += other.refused_puts;
    local_reads += other.local_reads;
    is_partial = is_partial || other.is_partial;
}

EndSummary end_summary_of(std::uint32_t manager, const std::string& node, const ManagerSummary& summary) {
    return {.managers = 1,
            .fullest_manager = manager,
            .fullest_node = node,
            .peak_bytes = summary.peak_bytes,
            .pool_bytes = summary.pool_bytes,
            .pairs = summary.pairs,
            .requests = summary.requests,
            .refused_puts = summary.refused_puts,
            .local_reads = summary.local_reads};
}

std::string what_was_lost(const Ending& ending) {
    const std::string of_all = " of " + std::to_string(ending.managers);
    std::string text = ending.has_lost_keys ? "keys lost" : "";
    if (ending.lost != 0) text = counted(ending.lost, "manager") + of_all + " lost";
    if (ending.unheard != 0)
        text += (text.empty() ? "" : ", ") + counted(ending.unheard, "manager") + of_all +
                " not heard any more: keys there may be lost";
    return text.empty() ? "nothing lost" : text;
}

std::optional<std::string> end_summary_text(const EndSummary& summary, const Ending& ending) {
    if (summary.managers == 0) {
        const bool is_lost = ending.lost != 0 || ending.unheard != 0 || ending.has_lost_keys;
        return is_lost ? std::optional(what_was_lost(ending)) : std::nullopt;
    }
    const bool is_partial = summary.is_partial || summary.managers < ending.managers;
    const auto known = [is_partial](std::uint64_t count, std::string_view noun) {
        return is_partial ? "at least " + counted(count, noun) : count_of(count, noun);
    };
    std::string text = ending.managers == 1 ? "its pool" : "the fullest pool";
    text += " was up to " + std::to_string(static_cast<int>(share_of(summary) * 100)) + "% full (" +
            used_of(summary.peak_bytes, summary.pool_bytes) + ", manager " +
            std::to_string(summary.fullest_manager) + " on " + summary.fullest_node + "); ";
    text += count_of(summary.pairs, "pair") + " at the end, ";
    text += known(summary.requests, "request") + ", ";
    if (summary.local_reads != 0) text += known(summary.local_reads, "read") + " from shared memory, ";
    text += known(summary.refused_puts, "put") + " refused, ";
    text += what_was_lost(ending);
    const std::uint32_t known_of = summary.managers + ending.unheard;
    if (known_of < ending.managers)
        text += "; " + counted(ending.managers - known_of, "manager") + " ended without a word";
    return text;
}

std::string fill_text(std::uint32_t manager, const std::string& node, const PoolFill& fill) {
    return "the pool of manager " + std::to_string(manager) + " on " + node + " is " +
           std::to_string(fill.percent) + "% full (" + used_of(fill.used_bytes, fill.pool_bytes) +
           "): when it is full, puts there fail with no_space. 'ddict du' shows what takes it; erase what is "
           "not "
           "needed, or give the next one more --total-mem";
}

}  // namespace ddict::launcher
