// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/stats_text.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/error_text.h"
#include "tools/escapes.h"
#include "tools/shown.h"

namespace ddict::tools {
namespace {

nlohmann::json times_to_json(const std::vector<OperationStats>& all) {
    nlohmann::json times = nlohmann::json::object();
    for (const auto& s : all) {
        times[std::string(name(s.operation))] = {
            {"count", s.count}, {"p50", s.p50_ns}, {"p99", s.p99_ns}, {"max", s.max_ns}};
    }
    return times;
}

nlohmann::json to_json(const ManagerStats& s) {
    return {{"manager", s.manager},
            {"node", s.node},
            {"pid", s.pid},
            {"keys", s.keys},
            {"pool_bytes", s.pool_bytes},
            {"used_bytes", s.used_bytes},
            {"free_bytes", s.free_bytes},
            {"largest_free_bytes", s.largest_free_bytes},
            {"index_bytes", s.index_bytes},
            {"sessions", s.sessions},
            {"rejected_messages", s.rejected_messages},
            {"operations",
             {{"put", s.puts},
              {"get", s.gets},
              {"get_hits", s.hits},
              {"contains", s.contains},
              {"erase", s.erases},
              {"clear", s.clears},
              {"scan", s.scans},
              {"local_read", s.local_reads},
              {"refused_put", s.refused_puts}}},
            {"waiting", s.waiting},
            {"broadcasts", s.broadcasts},
            {"broadcast_keys", s.broadcast_keys},
            {"payloads_in_flight", s.payloads_in_flight},
            {"private_bytes", s.private_bytes},
            {"repeated_requests", s.repeated_requests},
            {"unreachable_clients", s.unreachable_clients},
            {"restarts", s.restarts},
            {"tunnels", s.tunnels},
            {"refused_tunnels", s.refused_tunnels},
            {"expired", s.expired},
            {"checkpoints",
             {{"working_set", s.working_set},
              {"newest", s.newest_checkpoint},
              {"oldest", s.oldest_checkpoint},
              {"old_versions", s.old_versions},
              {"old_version_bytes", s.old_version_bytes},
              {"transient_pairs", s.transient_pairs},
              {"held_requests", s.held_requests},
              {"waits_for_keys", s.waits_for_keys},
              {"waits_for_writers", s.waits_for_writers},
              {"held", s.held_checkpoint}}},
            {"frozen", s.frozen},
            {"without_kept", s.without_kept},
            {"times_ns", times_to_json(s.operations)},
            {"transport", s.transport}};
}

nlohmann::json to_json(const ManagerSample& sample) {
    nlohmann::json manager = {{"manager", sample.manager}, {"node", sample.node}};
    if (sample.stats) manager.update(to_json(*sample.stats));
    manager["alive"] = !sample.lost;
    if (sample.lost) {
        manager["error"] = {{"code", name(sample.lost->code)}, {"message", sample.lost->message()}};
    } else {
        manager["round_trip_ns"] = sample.round_trip.count();
    }
    return manager;
}

nlohmann::json to_json(const ClientProfile& client) {
    nlohmann::json operations = nlohmann::json::object();
    for (const OperationProfile& kind : client.operations) {
        operations[std::string(name(kind.operation))] = {
            {"count", kind.count},
            {"errors", kind.errors},
            {"bytes_sent", kind.bytes_sent},
            {"bytes_received", kind.bytes_received},
            {"samples", kind.samples},
            {"p50_ns", kind.p50.count()},
            {"p90_ns", kind.p90.count()},
            {"p99_ns", kind.p99.count()},
            {"longest_ns", kind.longest.count()},
        };
    }
    return {{"threads", client.threads}, {"local_reads", client.local_reads}, {"operations", operations}};
}

int percent(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0
                      : static_cast<int>(
                            std::lround(100.0 * static_cast<double>(part) / static_cast<double>(whole)));
}

/// Of most managers nothing.
std::string tunnels_text(const ManagerStats& s) {
    std::string text;
    if (s.tunnels != 0) text += "  " + std::to_string(s.tunnels) + (s.tunnels == 1 ? " tunnel" : " tunnels");
    if (s.refused_tunnels != 0) text += "  " + std::to_string(s.refused_tunnels) + " tunnels refused";
    return text;
}

/// Of a dictionary whose programs use no checkpoints nothing.
std::string checkpoints_text(const ManagerStats& s) {
    if (s.newest_checkpoint == 0 && s.held_requests == 0 && s.old_versions == 0) return {};
    std::string text =
        "  checkpoints " + std::to_string(s.oldest_checkpoint) + "-" + std::to_string(s.newest_checkpoint);
    if (s.old_versions != 0)
        text += ", " + count_text(static_cast<double>(s.old_versions)) + " old versions " +
                size_text(s.old_version_bytes);
    if (s.transient_pairs != 0)
        text += ", " + count_text(static_cast<double>(s.transient_pairs)) + " transient";
    if (s.held_requests != 0) text += ", " + count_text(static_cast<double>(s.held_requests)) + " too early";
    return text + (s.held_checkpoint ? ", the oldest held" : "");
}

/// Before the first one has ended there is no time.
std::string duration_text(std::uint64_t nanoseconds) {
    return nanoseconds == 0 ? "-" : time_text(nanoseconds);
}

}  // namespace

std::string stats_table(const Sample& sample) {
    std::size_t node_width = 4;
    for (const ManagerSample& manager : sample.managers)
        node_width = std::max(node_width, printable(manager.node).size());
    const int width = static_cast<int>(node_width);
    std::ostringstream out;
    out << "manager  " << std::left << std::setw(width) << "node" << std::right
        << "    keys   pool   used use%   free largest sess wait  rej  transport\n";
    for (const ManagerSample& manager : sample.managers) {
        out << std::setw(7) << manager.manager << "  " << std::left << std::setw(width)
            << printable(manager.node) << std::right;
        if (!manager.stats) {
            out << "  no answer: " << printable(reason_of(*manager.lost)) << '\n';
            continue;
        }
        const ManagerStats& s = *manager.stats;
        out << std::setw(8) << count_text(static_cast<double>(s.keys)) << std::setw(7)
            << size_text(s.pool_bytes) << std::setw(7) << size_text(s.used_bytes) << std::setw(4)
            << percent(s.used_bytes, s.pool_bytes) << '%' << std::setw(7) << size_text(s.free_bytes)
            << std::setw(8) << size_text(s.largest_free_bytes) << std::setw(5)
            << count_text(static_cast<double>(s.sessions)) << std::setw(5)
            << count_text(static_cast<double>(s.waiting)) << std::setw(5)
            << count_text(static_cast<double>(s.rejected_messages)) << "  " << printable(s.transport)
            << (s.frozen ? "  frozen" : "") << (s.without_kept ? "  began empty" : "")
            << (s.restarts != 0 ? "  restarted " + std::to_string(s.restarts) + "x" : "") << tunnels_text(s)
            << checkpoints_text(s) << '\n';
    }
    out << "\nmanager  operation            count    p50    p99    max\n";
    for (const ManagerSample& manager : sample.managers) {
        if (!manager.stats) continue;
        if (manager.stats->local_reads != 0)
            out << std::setw(7) << manager.manager << "  " << std::left << std::setw(16) << "(local read)"
                << std::right << std::setw(10) << manager.stats->local_reads << '\n';
        for (const OperationStats& kind : manager.stats->operations) {
            out << std::setw(7) << manager.manager << "  " << std::left << std::setw(16)
                << name(kind.operation) << std::right << std::setw(10) << kind.count << std::setw(7)
                << duration_text(kind.p50_ns) << std::setw(7) << duration_text(kind.p99_ns) << std::setw(7)
                << duration_text(kind.max_ns) << '\n';
        }
    }
    return out.str();
}

std::string stats_json(const Sample& sample, const ClientProfile& client) {
    nlohmann::json report = {{"managers", nlohmann::json::array()}, {"client", to_json(client)}};
    for (const ManagerSample& manager : sample.managers)
        report["managers"].push_back(to_json(manager));
    return report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace ddict::tools
