// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/metrics_text.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace ddict::tools {
namespace {

struct Metric {
    std::string_view name;  // without the _total of a counter
    std::string_view help;
    std::uint64_t ManagerStats::*value;
};

constexpr Metric gauges[] = {
    {"ddict_keys", "Pairs that are there.", &ManagerStats::keys},
    {"ddict_pool_bytes", "Size of the pool.", &ManagerStats::pool_bytes},
    {"ddict_pool_used_bytes", "Taken of the pool by pairs and by the index.", &ManagerStats::used_bytes},
    {"ddict_pool_free_bytes", "Free in the pool.", &ManagerStats::free_bytes},
    {"ddict_pool_largest_free_bytes", "Largest pair that would still fit.",
     &ManagerStats::largest_free_bytes},
    {"ddict_pool_index_bytes", "The part of what is taken that is index.", &ManagerStats::index_bytes},
    {"ddict_private_bytes", "Held for requests outside the pool.", &ManagerStats::private_bytes},
    {"ddict_sessions", "Client threads that are registered.", &ManagerStats::sessions},
    {"ddict_waiting_operations", "Operations that wait for a key.", &ManagerStats::waiting},
    {"ddict_broadcasts_under_way", "Broadcasts that are under way.", &ManagerStats::broadcasts},
    {"ddict_broadcast_keys", "Keys stored by a broadcast that have a copy here.",
     &ManagerStats::broadcast_keys},
    {"ddict_payloads_in_flight", "Large values on their way in or out.", &ManagerStats::payloads_in_flight},
    {"ddict_newest_checkpoint", "The id of the newest checkpoint.", &ManagerStats::newest_checkpoint},
    {"ddict_oldest_checkpoint", "The id of the oldest checkpoint that is kept.",
     &ManagerStats::oldest_checkpoint},
    {"ddict_old_versions", "Versions of keys that older checkpoints alone need.",
     &ManagerStats::old_versions},
    {"ddict_old_version_bytes", "What those take of the pool.", &ManagerStats::old_version_bytes},
    {"ddict_transient_pairs", "Values that are of one checkpoint only.", &ManagerStats::transient_pairs},
    {"ddict_held_requests", "Requests that came too early for a checkpoint.", &ManagerStats::held_requests},
    {"ddict_tunnels", "Tunnels of children of fork() that pass through or end here.", &ManagerStats::tunnels},
};

constexpr Metric counters[] = {
    {"ddict_puts", "Pairs stored, alone or in a batch.", &ManagerStats::puts},
    {"ddict_gets", "Pairs asked for by message, alone or in a batch.", &ManagerStats::gets},
    {"ddict_get_hits", "Pairs asked for that were there.", &ManagerStats::hits},
    {"ddict_local_reads", "Keys that clients of the node have looked up in shared memory, without a message.",
     &ManagerStats::local_reads},
    {"ddict_contains", "Keys asked for without their values.", &ManagerStats::contains},
    {"ddict_erases", "Keys erased.", &ManagerStats::erases},
    {"ddict_clears", "Requests to erase everything.", &ManagerStats::clears},
    {"ddict_scans", "Requests for a part of all pairs.", &ManagerStats::scans},
    {"ddict_refused_puts", "Pairs refused for want of space, or since they are too large.",
     &ManagerStats::refused_puts},
    {"ddict_rejected_messages", "Malformed or unauthorised messages.", &ManagerStats::rejected_messages},
    {"ddict_repeated_requests", "Requests that came again over another connection.",
     &ManagerStats::repeated_requests},
    {"ddict_unreachable_clients", "Hellos of clients that could not be answered.",
     &ManagerStats::unreachable_clients},
    {"ddict_restarts", "Other processes that have taken the manager's place.", &ManagerStats::restarts},
    {"ddict_refused_tunnels", "Tunnels that could not be given.", &ManagerStats::refused_tunnels},
    {"ddict_expired", "Pairs that were erased since their time to live was over.", &ManagerStats::expired},
};

/// As both formats want it in quotes.
std::string escaped_label(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        if (c == '\\' || c == '"') escaped += '\\';
        if (c == '\n') {
            escaped += "\\n";
        } else {
            escaped += c;
        }
    }
    return escaped;
}

std::string seconds_text(double nanoseconds) {
    std::array<char, 32> digits{};
    return {digits.begin(), std::to_chars(digits.begin(), digits.end(), nanoseconds / 1e9).ptr};
}

class Writer {
  public:
    Writer(const Sample& sample, const std::string& dictionary, MetricsFormat format)
        : sample_(sample), dictionary_(escaped_label(dictionary)), format_(format) {}

    std::string text() {
        begin("ddict_manager_up", "gauge", "Whether the manager has answered.");
        for (const ManagerSample& manager : sample_.managers)
            add("ddict_manager_up", manager, manager.stats ? "1" : "0");
        for (const Metric& metric : gauges)
            add_all(metric, "gauge", metric.name);
        for (const Metric& metric : counters) {
            const std::string total = std::string(metric.name) + "_total";
            // In the older format the name of a family is that of its lines.
            add_all({format_ == MetricsFormat::prometheus ? std::string_view(total) : metric.name,
                     metric.help, metric.value},
                    "counter", total);
        }
        add_flag("ddict_frozen", "Whether no pair may be changed.", &ManagerStats::frozen);
        add_flag("ddict_began_empty", "Whether a resumed dictionary had nothing for this manager.",
                 &ManagerStats::without_kept);
        add_round_trips();
        add_durations();
        if (format_ == MetricsFormat::openmetrics) text_ += "# EOF\n";
        return std::move(text_);
    }

  private:
    void begin(std::string_view family, std::string_view type, std::string_view help) {
        const auto comment = [&](std::string_view kind, std::string_view said) {
            text_.append("# ").append(kind).append(" ").append(family).append(" ").append(said).append("\n");
        };
        comment("TYPE", type);
        if (format_ == MetricsFormat::openmetrics) {
            for (const std::string_view unit : {"bytes", "seconds"})
                if (family.ends_with("_" + std::string(unit))) comment("UNIT", unit);
        }
        comment("HELP", help);
    }

    void add(std::string_view name, const ManagerSample& manager, std::string_view value,
             const std::string& more_labels = {}) {
        text_.append(name).append("{dictionary=\"").append(dictionary_).append("\",manager=\"");
        text_.append(std::to_string(manager.manager)).append("\",node=\"");
        text_.append(escaped_label(manager.node)).append("\"").append(more_labels).append("} ");
        text_.append(value).append("\n");
    }

    void add_all(const Metric& metric, std::string_view type, std::string_view name) {
        begin(metric.name, type, metric.help);
        for (const ManagerSample& manager : sample_.managers)
            if (manager.stats) add(name, manager, std::to_string((*manager.stats).*metric.value));
    }

    void add_flag(std::string_view name, std::string_view help, bool ManagerStats::*value) {
        begin(name, "gauge", help);
        for (const ManagerSample& manager : sample_.managers)
            if (manager.stats) add(name, manager, (*manager.stats).*value ? "1" : "0");
    }

    void add_round_trips() {
        constexpr std::string_view name = "ddict_round_trip_seconds";
        begin(name, "gauge", "How long the manager took to answer an empty message just now.");
        for (const ManagerSample& manager : sample_.managers)
            if (manager.stats)
                add(name, manager, seconds_text(static_cast<double>(manager.round_trip.count())));
    }

    /// Quantiles are of all since the manager came up.
    void add_durations() {
        constexpr std::string_view name = "ddict_request_duration_seconds";
        begin(name, "summary", "How long requests took in the manager; the first is timed and every 64th.");
        for (const ManagerSample& manager : sample_.managers) {
            if (!manager.stats) continue;
            for (const OperationStats& kind : manager.stats->operations) {
                const std::string operation =
                    ",operation=\"" + std::string(ddict::name(kind.operation)) + "\"";
                for (const auto& [quantile, nanoseconds] :
                     {std::pair("0.5", kind.p50_ns), {"0.99", kind.p99_ns}, {"1", kind.max_ns}})
                    add(name, manager, seconds_text(static_cast<double>(nanoseconds)),
                        operation + ",quantile=\"" + quantile + "\"");
                add(std::string(name) + "_count", manager, std::to_string(kind.count), operation);
            }
        }
    }

    const Sample& sample_;
    const std::string dictionary_;
    const MetricsFormat format_;
    std::string text_;
};

}  // namespace

std::string metrics_text(const Sample& sample, const std::string& dictionary, MetricsFormat format) {
    return Writer(sample, dictionary, format).text();
}

}  // namespace ddict::tools
