// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/activity.h"

#include <ddict/view.h>

#include <algorithm>
#include <map>

#include "tools/error_text.h"

namespace ddict::tools {
namespace {

using std::chrono::steady_clock;

/// What only asks for the state of things, as this program does all the time.
bool is_asking(Operation operation) {
    return operation == Operation::stats || operation == Operation::ping ||
           operation == Operation::directory || operation == Operation::attach ||
           operation == Operation::detach;
}

/// What is counted by pairs, as puts and gets.
bool is_counted_by_pairs(Operation operation) {
    return operation == Operation::put || operation == Operation::get || operation == Operation::batch_put ||
           operation == Operation::batch_get;
}

double rate(std::uint64_t now, std::uint64_t before, double seconds) {
    return now < before ? 0 : static_cast<double>(now - before) / seconds;
}

std::uint64_t count_of(const ManagerStats& stats, Operation operation) {
    for (const OperationStats& kind : stats.operations) {
        if (kind.operation == operation) return kind.count;
    }
    return 0;
}

/// Whether the counters of both began at the same time.
bool comparable(const ManagerSample& now, const ManagerSample* before) {
    return before != nullptr && now.stats && before->stats && now.stats->pid == before->stats->pid;
}

}  // namespace

ExitStatus status_of(const Sample& sample) {
    const auto is_lost = [](const ManagerSample& manager) { return manager.lost.has_value(); };
    const auto& all = sample.managers;
    if (std::none_of(all.begin(), all.end(), is_lost)) return success;
    return std::all_of(all.begin(), all.end(), is_lost) ? status_of(all.front().lost->code) : partial;
}

Sample ask_each(const View& dict) {
    Sample sample;
    for (const ManagerHealth& health : dict.health()) {
        ManagerSample& found = sample.managers.emplace_back();
        found.manager = health.manager;
        found.node = health.node;
        found.lost = health.error;
        if (found.lost) found.lost->set_operation(Operation::stats);
        found.round_trip = health.round_trip;
        if (found.lost) continue;
        if (Result<ManagerStats> stats = dict.try_stats(health.manager)) {
            found.node = stats->node;
            found.stats = *std::move(stats);
        } else {
            found.lost = stats.error();
        }
    }
    sample.at = steady_clock::now();
    return sample;
}

Sample take_sample(const View& dict, std::chrono::milliseconds timeout) {
    const View quick = dict.within(timeout);
    Result<std::vector<ManagerStats>> all = quick.try_stats();
    if (!all) return ask_each(quick);
    Sample sample;
    for (ManagerStats& stats : *all) {
        ManagerSample& found = sample.managers.emplace_back();
        found.manager = stats.manager;
        found.node = stats.node;
        found.stats = std::move(stats);
    }
    sample.at = steady_clock::now();
    return sample;
}

std::optional<double> ManagerActivity::operations() const {
    if (!puts || !gets || !local_reads || !other) return std::nullopt;
    return *puts + *gets + *local_reads + *other;
}

const ManagerSample* ActivityLog::earlier(std::uint32_t manager) const {
    if (!before_) return nullptr;
    const std::vector<ManagerSample>& all = before_->managers;
    const auto found =
        std::lower_bound(all.begin(), all.end(), manager,
                         [](const ManagerSample& sample, std::uint32_t id) { return sample.manager < id; });
    return found != all.end() && found->manager == manager ? &*found : nullptr;
}

ManagerActivity ActivityLog::compare(const ManagerSample& now, const ManagerSample* before, double seconds) {
    ManagerActivity activity;
    activity.manager = now.manager;
    activity.node = now.node;
    activity.stats = now.stats;
    if (!now.stats) {
        if (now.lost) {
            activity.lost = reason_of(*now.lost);
            activity.may_live = now.lost->manager_state != ManagerState::ended;
        }
        return activity;
    }
    const bool compared = comparable(now, before);
    if (compared) {
        activity.puts = rate(now.stats->puts, before->stats->puts, seconds);
        activity.gets = rate(now.stats->gets, before->stats->gets, seconds);
        activity.local_reads = rate(now.stats->local_reads, before->stats->local_reads, seconds);
        activity.other = 0;
    }
    // Of the last interval, or of all time where nothing has been done lately.
    double busiest = -1;
    for (const OperationStats& kind : now.stats->operations) {
        if (is_asking(kind.operation)) continue;
        const double lately =
            compared ? rate(kind.count, count_of(*before->stats, kind.operation), seconds) : 0;
        if (compared && !is_counted_by_pairs(kind.operation)) *activity.other += lately;
        // All of one manager's counts are below 2^53: a fraction of them only breaks ties.
        const double weight = lately + static_cast<double>(kind.count) * 1e-18;
        if (weight <= busiest) continue;
        busiest = weight;
        activity.p50_ns = kind.p50_ns;
        activity.p99_ns = kind.p99_ns;
    }
    return activity;
}

void ActivityLog::add_up_kinds(const Sample& now, double seconds) {
    std::map<Operation, KindActivity> sums;
    std::map<Operation, std::vector<std::uint64_t>> medians;
    for (const ManagerSample& sample : now.managers) {
        if (!sample.stats) continue;
        const ManagerSample* before = earlier(sample.manager);
        const bool compared = comparable(sample, before);
        for (const OperationStats& kind : sample.stats->operations) {
            if (is_asking(kind.operation) || kind.count == 0) continue;
            KindActivity& sum = sums[kind.operation];
            sum.operation = kind.operation;
            sum.count += kind.count;
            if (compared) {
                sum.rate = sum.rate.value_or(0) +
                           rate(kind.count, count_of(*before->stats, kind.operation), seconds);
            }
            medians[kind.operation].push_back(kind.p50_ns);
            sum.p99_ns = std::max(sum.p99_ns, kind.p99_ns);
            sum.max_ns = std::max(sum.max_ns, kind.max_ns);
        }
    }
    activity_.kinds.clear();
    for (auto& [operation, sum] : sums) {
        std::vector<std::uint64_t>& all = medians[operation];
        const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
        std::nth_element(all.begin(), middle, all.end());
        sum.p50_ns = *middle;
        activity_.kinds.push_back(sum);
    }
    std::stable_sort(
        activity_.kinds.begin(), activity_.kinds.end(), [](const KindActivity& a, const KindActivity& b) {
            return std::pair(a.rate.value_or(0), a.count) > std::pair(b.rate.value_or(0), b.count);
        });
}

void ActivityLog::add(Sample sample) {
    double seconds = 0;
    if (before_) {
        activity_.interval = std::chrono::duration_cast<std::chrono::milliseconds>(sample.at - before_->at);
        seconds = std::max(std::chrono::duration<double>(sample.at - before_->at).count(), 1e-3);
    }
    activity_.managers.clear();
    activity_.operations.reset();
    for (const ManagerSample& now : sample.managers) {
        if (nodes_.size() <= now.manager) nodes_.resize(now.manager + 1);
        if (lost_since_.size() <= now.manager) lost_since_.resize(now.manager + 1);
        if (!now.node.empty()) nodes_[now.manager] = now.node;
        ManagerActivity manager = compare(now, earlier(now.manager), seconds);
        if (manager.node.empty()) manager.node = nodes_[now.manager];
        std::optional<steady_clock::time_point>& since = lost_since_[now.manager];
        if (manager.stats) {
            since.reset();
        } else {
            if (!since) since = sample.at;
            manager.lost_for = std::chrono::duration_cast<std::chrono::seconds>(sample.at - *since);
        }
        if (const auto operations = manager.operations())
            activity_.operations = activity_.operations.value_or(0) + *operations;
        activity_.managers.push_back(std::move(manager));
    }
    add_up_kinds(sample, seconds);
    if (activity_.operations) {
        if (activity_.history.size() == history_max) activity_.history.erase(activity_.history.begin());
        activity_.history.push_back(*activity_.operations);
    }
    before_ = std::move(sample);
}

}  // namespace ddict::tools
