// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/restarts.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace ddict::launcher {

using std::chrono::milliseconds;

void Restarts::begin(std::vector<DirectoryEntry> entries) {
    shards_.clear();
    for (DirectoryEntry& entry : entries)
        shards_.emplace_back().entry = std::move(entry);
}

const DirectoryEntry& Restarts::change(Shard& shard, ServingState state, std::string reason) {
    shard.entry.epoch = next(shard.entry.epoch);
    shard.entry.state = state;
    shard.entry.reason = std::move(reason);
    if (state != ServingState::restarting) shard.due.reset();
    return shard.entry;
}

const DirectoryEntry& Restarts::on_end(std::uint32_t local, const End& end) {
    Shard& shard = shards_[local];
    if (shard.entry.state == ServingState::serving) return on_end_of_serving(shard, end);
    if (!options_.enabled || !end.may_restart || end.is_hopeless) return give_up(local, end.how);
    return on_failed_attempt(shard, end.how);
}

const DirectoryEntry& Restarts::on_end_of_serving(Shard& shard, const End& end) {
    const auto now = options_.now();
    const std::string how(end.how);
    shard.down_since = now;
    shard.how = how;
    while (!shard.ends.empty() && now - shard.ends.front() >= limits::restarts_counted_within)
        shard.ends.pop_front();
    if (!end.is_wanted) shard.ends.push_back(now);
    if (!options_.enabled || !end.may_restart) return change(shard, ServingState::lost, how);
    if (shard.ends.size() < limits::ends_of_manager_max) {
        shard.failed_attempts = 0;
        shard.due = now;
        return change(shard, ServingState::restarting, {});
    }
    constexpr auto within = std::chrono::duration_cast<std::chrono::seconds>(limits::restarts_counted_within);
    return change(shard, ServingState::lost,
                  how + "; that was " + std::to_string(shard.ends.size()) + " times within " +
                      std::to_string(within.count()) + " s, and it is not started again");
}

const DirectoryEntry& Restarts::on_failed_start(std::uint32_t local, std::string_view why) {
    return on_failed_attempt(shards_[local], why);
}

/// The directory says already that it is restarting.
const DirectoryEntry& Restarts::on_failed_attempt(Shard& shard, std::string_view why) {
    if (++shard.failed_attempts < limits::restart_attempts_max) {
        shard.due = options_.now() + limits::restart_delay_first * (1U << (shard.failed_attempts - 1));
        return shard.entry;
    }
    return change(shard, ServingState::lost,
                  shard.how + "; " + std::to_string(shard.failed_attempts) +
                      " attempts to start it again failed: " + std::string(why));
}

const DirectoryEntry& Restarts::give_up(std::uint32_t local, std::string_view why) {
    Shard& shard = shards_[local];
    return change(shard, ServingState::lost,
                  shard.how + " and could not be started again: " + std::string(why));
}

std::vector<std::uint32_t> Restarts::take_due() {
    std::vector<std::uint32_t> due;
    const auto now = options_.now();
    for (std::uint32_t local = 0; local < shards_.size(); ++local) {
        if (!shards_[local].due || *shards_[local].due > now) continue;
        shards_[local].due.reset();
        due.push_back(local);
    }
    return due;
}

std::optional<milliseconds> Restarts::next_due_in() const {
    std::optional<Clock::time_point> next;
    for (const Shard& shard : shards_)
        if (shard.due) next = next ? std::min(*next, *shard.due) : *shard.due;
    if (!next) return std::nullopt;
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(*next - options_.now()));
}

Restarts::Back Restarts::on_back(std::uint32_t local, const DirectoryEntry& announced) {
    Shard& shard = shards_[local];
    shard.entry.process = announced.process;
    shard.entry.pool_bytes = announced.pool_bytes;
    shard.entry.address = announced.address;
    return {.entry = change(shard, ServingState::serving, {}),
            .how = shard.how,
            .down = std::chrono::ceil<milliseconds>(options_.now() - shard.down_since)};
}

}  // namespace ddict::launcher
