// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/top_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "tools/escapes.h"
#include "tools/shown.h"

namespace ddict::tools {
namespace {

constexpr std::size_t width_min = 60;

// ---- pieces of lines ----

/// The first `width` columns of a text, filled up with blanks.
std::string fitted(const std::string& text, std::size_t width, bool right) {
    std::string cut;
    std::size_t columns = 0;
    for (const char c : text) {
        if ((static_cast<unsigned char>(c) & 0xc0) != 0x80 && columns++ == width) break;
        cut += c;
    }
    const std::string blanks(width - std::min(columns_of(cut), width), ' ');
    return right ? blanks + cut : cut + blanks;
}

/// The beginning of a line that fits, as wide as the page.
Line fitted(Line line, std::size_t width) {
    std::size_t left = width;
    for (Span& span : line) {
        if (columns_of(span.text) > left) span.text = fitted(span.text, left, false);
        left -= columns_of(span.text);
    }
    if (left > 0) line.push_back({std::string(left, ' '), line.empty() ? Tint::plain : line.back().tint});
    std::erase_if(line, [](const Span& span) { return span.text.empty(); });
    return line;
}

std::string rate_text(const std::optional<double>& rate) {
    return rate ? count_text(std::round(*rate)) : "-";
}

std::string count_of(std::uint64_t count) {
    return count_text(static_cast<double>(count));
}

std::string duration_text(std::uint64_t nanoseconds) {
    return nanoseconds == 0 ? "-" : time_text(nanoseconds);
}

double share(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : std::clamp(static_cast<double>(part) / static_cast<double>(whole), 0.0, 1.0);
}

Tint tint_of_use(double used) {
    return used < 0.75 ? Tint::good : used < 0.9 ? Tint::warning : Tint::alarm;
}

/// A bar and its percentage, `width` columns together.
Line bar(double used, std::size_t width, bool utf8) {
    constexpr std::array<const char*, 8> eighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    constexpr std::size_t percent_width = 5;
    const std::size_t cells = width - percent_width;
    const std::size_t parts = utf8 ? eighths.size() : 1;  // of a cell
    const auto filled = static_cast<std::size_t>(std::lround(used * static_cast<double>(cells * parts)));
    std::string full, empty;
    for (std::size_t i = 0; i < filled / parts; ++i)
        full += utf8 ? "█" : "#";
    full += eighths[filled % parts];
    for (std::size_t i = columns_of(full); i < cells; ++i)
        empty += utf8 ? "·" : "-";
    const auto percent = std::to_string(std::lround(used * 100)) + "%";
    return {{full, tint_of_use(used)}, {empty, Tint::faint}, {fitted(percent, percent_width, true)}};
}

/// The last values, a column each.
std::string curve(const std::vector<double>& values, std::size_t width, bool utf8) {
    constexpr std::array<const char*, 9> blocks{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    constexpr std::array<const char*, 9> marks{" ", ".", ".", ":", ":", "=", "=", "#", "#"};
    const std::size_t count = std::min(values.size(), width);
    const auto first = values.end() - static_cast<std::ptrdiff_t>(count);
    const double highest = count == 0 ? 0 : *std::max_element(first, values.end());
    std::string text(width - count, ' ');
    for (auto value = first; value != values.end(); ++value) {
        const auto level =
            highest <= 0 ? 0 : static_cast<std::size_t>(std::ceil(*value / highest * (blocks.size() - 1)));
        text += utf8 ? blocks.at(level) : marks.at(level);
    }
    return text;
}

// ---- the table of managers ----

struct Column {
    const char* title;
    std::size_t width;
    bool right;
    std::string (*text)(const ManagerActivity& manager);  ///< none: the pool's bar
};

std::string id_of(const ManagerActivity& m) {
    return std::to_string(m.manager);
}
std::string node_of(const ManagerActivity& m) {
    return printable(m.node);
}
std::string keys_of(const ManagerActivity& m) {
    return count_of(m.stats->keys);
}
std::string free_of(const ManagerActivity& m) {
    return size_text(m.stats->free_bytes);
}
std::string largest_of(const ManagerActivity& m) {
    return size_text(m.stats->largest_free_bytes);
}
std::string operations_of(const ManagerActivity& m) {
    return rate_text(m.operations());
}
std::string puts_of(const ManagerActivity& m) {
    return rate_text(m.puts);
}
std::string gets_of(const ManagerActivity& m) {
    return rate_text(m.gets);
}
std::string local_reads_of(const ManagerActivity& m) {
    return rate_text(m.local_reads);
}
std::string other_of(const ManagerActivity& m) {
    return rate_text(m.other);
}
std::string p50_of(const ManagerActivity& m) {
    return duration_text(m.p50_ns);
}
std::string p99_of(const ManagerActivity& m) {
    return duration_text(m.p99_ns);
}
std::string sessions_of(const ManagerActivity& m) {
    return count_of(m.stats->sessions);
}
std::string waits_of(const ManagerActivity& m) {
    return count_of(m.stats->waiting);
}
std::string rejected_of(const ManagerActivity& m) {
    return count_of(m.stats->rejected_messages);
}

constexpr std::size_t manager_width = 4;

/// As many as there is space for; node and pool take what is left over.
std::vector<Column> columns(std::size_t width) {
    std::vector<Column> table{{"MGR", manager_width, true, id_of},
                              {"NODE", 9, false, node_of},
                              {"KEYS", 5, true, keys_of},
                              {"POOL", 13, false, nullptr},
                              {"PUT/s", 5, true, puts_of},
                              {"GET/s", 5, true, gets_of},
                              {"LOC/s", 5, true, local_reads_of},
                              {"OTH/s", 5, true, other_of},
                              {"p50", 5, true, p50_of},
                              {"p99", 5, true, p99_of},
                              {"SESS", 4, true, sessions_of},
                              {"WAIT", 4, true, waits_of}};
    const auto used = [&] {
        std::size_t sum = table.size() - 1;
        for (const Column& column : table)
            sum += column.width;
        return sum;
    };
    const auto insert_if_space = [&](std::size_t before, const Column& column) {
        if (used() + column.width + 1 <= width)
            table.insert(table.begin() + static_cast<std::ptrdiff_t>(before), column);
    };
    while (used() > width && table.size() > 5)
        table.pop_back();
    if (width > 90) {
        insert_if_space(4, {"FREE", 6, true, free_of});
        insert_if_space(5, {"LARGEST", 7, true, largest_of});
        insert_if_space(6, {"OPS/s", 5, true, operations_of});
        insert_if_space(table.size(), {"REJ", 4, true, rejected_of});
    }
    const std::size_t left = width > used() ? width - used() : 0;
    const std::size_t to_pool = std::min<std::size_t>(left / 2, 20);
    table[3].width += to_pool;
    table[1].width += std::min<std::size_t>(left - to_pool, 24);
    return table;
}

Line heading(const std::vector<Column>& table) {
    std::string text;
    for (const Column& column : table)
        text += (text.empty() ? "" : " ") + fitted(column.title, column.width, column.right);
    return {{text, Tint::heading}};
}

Line row(const std::vector<Column>& table, const ManagerActivity& manager, bool utf8) {
    Line line;
    if (!manager.stats) {
        // What remains is known; the rest of the line says what has happened.
        const std::string id = fitted(std::to_string(manager.manager), manager_width, true);
        line.push_back({id + " " + fitted(printable(manager.node), table[1].width, false) +
                            (manager.may_live ? " SILENT for " : " LOST for ") +
                            std::to_string(manager.lost_for.count()) + " s: " + printable(manager.lost),
                        Tint::alarm});
        return line;
    }
    for (const Column& column : table) {
        if (!line.empty()) line.push_back({" "});
        if (column.text != nullptr) {
            line.push_back({fitted(column.text(manager), column.width, column.right)});
            continue;
        }
        const double used = share(manager.stats->used_bytes, manager.stats->pool_bytes);
        for (Span& span : bar(used, column.width, utf8))
            line.push_back(std::move(span));
    }
    return line;
}

std::vector<const ManagerActivity*> in_order(const Activity& activity, Order order) {
    std::vector<const ManagerActivity*> all;
    for (const ManagerActivity& manager : activity.managers)
        all.push_back(&manager);
    const auto weight = [&](const ManagerActivity& manager) {
        if (!manager.stats) return 2e300;
        if (order == Order::operations) return manager.operations().value_or(0);
        return order == Order::memory ? share(manager.stats->used_bytes, manager.stats->pool_bytes) : 0;
    };
    std::stable_sort(all.begin(), all.end(), [&](const ManagerActivity* a, const ManagerActivity* b) {
        return weight(*a) > weight(*b);
    });
    return all;
}

// ---- totals ----

struct Totals {
    std::uint64_t keys = 0, used = 0, pool = 0, waiting = 0, rejected = 0, refused = 0, restarts = 0;
    std::uint64_t clients = 0;  // each has at most one session a manager
    std::size_t lost = 0, silent = 0, frozen = 0;
    std::set<std::string> nodes;
};

Totals add_up(const Activity& activity) {
    Totals sum;
    for (const ManagerActivity& manager : activity.managers) {
        if (!manager.node.empty()) sum.nodes.insert(manager.node);
        if (!manager.stats) {
            ++(manager.may_live ? sum.silent : sum.lost);
            continue;
        }
        const ManagerStats& stats = *manager.stats;
        sum.keys += stats.keys;
        sum.used += stats.used_bytes;
        sum.pool += stats.pool_bytes;
        sum.waiting += stats.waiting;
        sum.rejected += stats.rejected_messages;
        sum.refused += stats.refused_puts;
        sum.restarts += stats.restarts;
        sum.clients = std::max(sum.clients, stats.sessions);
        sum.frozen += stats.frozen ? 1 : 0;
    }
    return sum;
}

std::string counted(std::size_t count, const std::string& noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::vector<Line> head(const Activity& activity, const PageOptions& options, std::size_t width) {
    const Totals sum = add_up(activity);
    std::vector<Line> lines;
    Line first{{"ddict top", Tint::strong}};
    if (!activity.dictionary.empty()) first.push_back({"  " + printable(activity.dictionary), Tint::strong});
    first.push_back(
        {"  " + counted(activity.managers.size(), "manager") + " on " + counted(sum.nodes.size(), "node")});
    if (sum.lost > 0) first.push_back({"  " + std::to_string(sum.lost) + " LOST", Tint::alarm});
    if (sum.silent > 0) first.push_back({"  " + std::to_string(sum.silent) + " SILENT", Tint::alarm});
    if (sum.lost + sum.silent == 0) first.push_back({"  all alive", Tint::good});
    if (sum.frozen > 0) {
        const bool all = sum.frozen + sum.lost + sum.silent == activity.managers.size();
        first.push_back({all ? "  FROZEN" : "  " + std::to_string(sum.frozen) + " FROZEN", Tint::warning});
    }
    if (sum.restarts > 0) first.push_back({"  restarts " + count_of(sum.restarts), Tint::warning});
    // Since the managers came up.
    if (sum.refused > 0) first.push_back({"  refused puts " + count_of(sum.refused), Tint::warning});
    if (sum.rejected > 0) first.push_back({"  rejected " + count_of(sum.rejected), Tint::warning});
    lines.push_back(first);

    Line second{{"memory "}};
    for (Span& span : bar(share(sum.used, sum.pool), std::min<std::size_t>(width / 4, 40), options.utf8))
        second.push_back(std::move(span));
    second.push_back({"  " + size_text(sum.used) + " of " + size_text(sum.pool)});
    second.push_back({"   keys "});
    second.push_back({count_of(sum.keys), Tint::strong});
    second.push_back({"   clients " + count_of(sum.clients)});
    second.push_back({"   waiting " + count_of(sum.waiting)});
    lines.push_back(second);

    const std::string rate = rate_text(activity.operations);
    Line third{{"ops/s  "}, {fitted(rate, 6, false), Tint::strong}};
    third.push_back({curve(activity.history, width - columns_of(third), options.utf8), Tint::good});
    lines.push_back(third);
    return lines;
}

// ---- the table of kinds of operations ----

std::vector<Line> kinds(const Activity& activity, std::size_t lines_max) {
    std::vector<Line> lines;
    if (activity.kinds.empty() || lines_max < 2) return lines;
    lines.push_back({{fitted("OPERATION", 18, false) + " REQ/s    TOTAL   p50   p99   max", Tint::heading}});
    for (const KindActivity& kind : activity.kinds) {
        if (lines.size() == lines_max) break;
        const bool idle = kind.rate.value_or(0) < 0.5;
        lines.push_back(
            {{fitted(std::string(name(kind.operation)), 18, false) + " " +
                  fitted(rate_text(kind.rate), 5, true) + " " + fitted(count_of(kind.count), 8, true) + " " +
                  fitted(duration_text(kind.p50_ns), 5, true) + " " +
                  fitted(duration_text(kind.p99_ns), 5, true) + " " +
                  fitted(duration_text(kind.max_ns), 5, true),
              idle ? Tint::faint : Tint::plain}});
    }
    return lines;
}

Line foot(const Activity& activity, const PageOptions& options, const Page& page) {
    constexpr std::array<const char*, 3> orders{"manager", "operations", "memory"};
    const std::size_t all = activity.managers.size();
    std::string text = "q quit  s sort: " + std::string(orders.at(static_cast<std::size_t>(options.order)));
    if (page.managers_shown < all) {
        text += "  up/down: " + std::to_string(page.first + 1) + "-" +
                std::to_string(page.first + page.managers_shown) + " of " + std::to_string(all);
    }
    return {{text + "  (LOC: reads of shared memory, by no message)", Tint::faint}};
}

/// How many lines there are for kinds, of those that are left beside the rest.
std::size_t lines_for_kinds(std::size_t buffer, std::size_t managers, std::size_t kinds) {
    if (kinds == 0) return 0;
    constexpr std::size_t kinds_wished = 6;
    const std::size_t wished = std::min(kinds, kinds_wished) + 2;  // with a blank line and a heading
    const std::size_t rows = std::min<std::size_t>(managers, 4);
    if (buffer <= rows + 2) return 0;
    // What the managers leave over is theirs too.
    return std::min(std::max(wished, buffer > managers ? buffer - managers : 0), buffer - rows);
}

}  // namespace

std::size_t columns_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::size_t columns_of(const Line& line) {
    std::size_t sum = 0;
    for (const Span& span : line)
        sum += columns_of(span.text);
    return sum;
}

std::string plain_text(const Line& line) {
    std::string text;
    for (const Span& span : line)
        text += span.text;
    return text.erase(text.find_last_not_of(' ') + 1);
}

Page page_of(const Activity& activity, const PageOptions& options) {
    const std::size_t width = std::max(options.width, width_min);
    const std::vector<Column> table = columns(width);
    const std::vector<const ManagerActivity*> managers = in_order(activity, options.order);
    Page page;
    page.lines = head(activity, options, width);
    page.lines.emplace_back();
    page.lines.push_back(heading(table));
    const std::size_t fixed = page.lines.size() + (options.keys ? 1 : 0);
    const std::size_t buffer = options.height == 0      ? managers.size() + activity.kinds.size() + 2
                               : options.height > fixed ? options.height - fixed
                                                        : 0;
    const std::size_t for_kinds = lines_for_kinds(buffer, managers.size(), activity.kinds.size());
    page.managers_shown = std::min(managers.size(), buffer - for_kinds);
    page.first = std::min(options.first, managers.size() - page.managers_shown);
    for (std::size_t i = 0; i < page.managers_shown; ++i)
        page.lines.push_back(row(table, *managers[page.first + i], options.utf8));
    if (for_kinds > 1) {
        page.lines.emplace_back();
        for (Line& line : kinds(activity, for_kinds - 1))
            page.lines.push_back(std::move(line));
    }
    if (options.keys) {
        const std::size_t lines = options.height == 0 ? 0 : options.height - 1;
        while (page.lines.size() < lines)
            page.lines.emplace_back();
        page.lines.push_back(foot(activity, options, page));
    }
    if (options.height > 0 && page.lines.size() > options.height) page.lines.resize(options.height);
    for (Line& line : page.lines)
        line = fitted(std::move(line), options.width);
    return page;
}

}  // namespace ddict::tools
