// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/events.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/counted.h"

namespace ddict::launcher {
namespace {

using nlohmann::json;

constexpr std::string_view prefix = "@ddict ";
constexpr std::size_t text_bytes_max = 800;
constexpr std::size_t handle_part_bytes = 400;
constexpr std::size_t line_bytes_max = 64 * 1024;
// More than a pipe holds: of one that has ended everything is read in one turn.
constexpr std::size_t turn_bytes_max = std::size_t{2} << 20;
constexpr std::array<std::string_view, 18> kind_names{
    "node", "manager", "handle", "ready", "error", "lost",   "back",    "stopped", "ending",
    "beat", "resumed", "fill",   "gone",  "part",  "filled", "summary", "moved",   "session"};

/// The value of a field if it has the type asked for, otherwise none.
std::string text_field(const json& object, const char* field) {
    const auto found = object.find(field);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

template <class T>
T number_field(const json& object, const char* field) {
    const auto found = object.find(field);
    if (found == object.end() || !found->is_number_unsigned()) return 0;
    const auto value = found->get<std::uint64_t>();
    return value <= std::numeric_limits<T>::max() ? static_cast<T>(value) : 0;
}

EndSummary summary_in(const json& object, const Event& event) {
    return {.managers = number_field<std::uint32_t>(object, "managers"),
            .fullest_manager = number_of(event.manager),
            .fullest_node = event.node,
            .peak_bytes = event.fill.used_bytes,
            .pool_bytes = event.fill.pool_bytes,
            .pairs = event.pairs,
            .requests = number_field<std::uint64_t>(object, "requests"),
            .refused_puts = number_field<std::uint64_t>(object, "refused"),
            .local_reads = number_field<std::uint64_t>(object, "reads"),
            .is_partial = object.value("partial", json()) == json(true)};
}

std::string dump(const Event& event, std::string_view text) {
    json object{{"event", kind_names[static_cast<std::size_t>(event.kind)]},
                {"node", event.node},
                {"index", number_of(event.node_id)}};
    const bool is_back = event.kind == Event::Kind::back;
    if (event.kind == Event::Kind::manager || event.kind == Event::Kind::lost || is_back ||
        event.kind == Event::Kind::fill || event.kind == Event::Kind::filled ||
        event.kind == Event::Kind::moved || event.kind == Event::Kind::session)
        object["manager"] = number_of(event.manager);
    if (is_back) object["ms"] = event.milliseconds;
    if (is_back || event.kind == Event::Kind::resumed) {
        object["pairs"] = event.pairs;
        object["missing"] = event.missing;
    }
    if (event.kind == Event::Kind::fill) {
        object["percent"] = event.fill.percent;
        object["used"] = event.fill.used_bytes;
        object["pool"] = event.fill.pool_bytes;
    }
    if (event.kind == Event::Kind::summary) {
        const EndSummary& summary = event.summary;
        object["managers"] = summary.managers;
        object["manager"] = summary.fullest_manager;
        object["used"] = summary.peak_bytes;
        object["pool"] = summary.pool_bytes;
        object["pairs"] = summary.pairs;
        object["requests"] = summary.requests;
        object["refused"] = summary.refused_puts;
        object["reads"] = summary.local_reads;
        object["partial"] = summary.is_partial;
    }
    if (event.kind == Event::Kind::part) object["key"] = event.key;
    if (event.kind == Event::Kind::part || event.kind == Event::Kind::moved) {
        object["part"] = event.part;
        object["parts"] = event.parts;
    }
    if (event.kept) object["kept"] = true;
    if (event.kind == Event::Kind::error) object["code"] = name(event.code);
    if (!text.empty()) object["text"] = text;
    if (!event.step.empty()) object["step"] = event.step;
    return std::string(prefix) + object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string format_event(const Event& event) {
    // Characters that JSON escapes can make a line longer than its text.
    for (std::size_t bytes = text_bytes_max;; bytes /= 2) {
        std::string line =
            dump(event, bytes >= event.text.size() ? event.text : event.text.substr(0, bytes) + "...");
        if (line.size() <= event_line_bytes_max || bytes == 0) return line;
    }
}

std::vector<std::string> format_handle(const Event& from, std::string_view handle) {
    std::vector<std::string> lines;
    for (; !handle.empty(); handle.remove_prefix(std::min(handle.size(), handle_part_bytes))) {
        Event part = from;
        part.kind = Event::Kind::handle;
        part.text = handle.substr(0, handle_part_bytes);
        lines.push_back(format_event(part));
    }
    return lines;
}

std::optional<Event> parse_event(std::string_view line) {
    if (!line.starts_with(prefix)) return std::nullopt;
    line.remove_prefix(prefix.size());
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) return std::nullopt;
    const std::string kind = text_field(object, "event");
    for (std::size_t i = 0; i < kind_names.size(); ++i) {
        if (kind_names[i] != kind) continue;
        Event event;
        event.kind = static_cast<Event::Kind>(i);
        event.node = text_field(object, "node");
        event.node_id = NodeId{number_field<std::uint32_t>(object, "index")};
        event.manager = ShardId{number_field<std::uint32_t>(object, "manager")};
        event.milliseconds = number_field<std::uint64_t>(object, "ms");
        event.pairs = number_field<std::uint64_t>(object, "pairs");
        event.missing = number_field<std::uint64_t>(object, "missing");
        event.kept = object.value("kept", json()) == json(true);
        event.fill = {number_field<std::uint32_t>(object, "percent"),
                      number_field<std::uint64_t>(object, "used"),
                      number_field<std::uint64_t>(object, "pool")};
        event.key = text_field(object, "key");
        event.part = number_field<std::uint32_t>(object, "part");
        event.parts = number_field<std::uint32_t>(object, "parts");
        if (event.kind == Event::Kind::summary) event.summary = summary_in(object, event);
        event.text = text_field(object, "text");
        event.step = text_field(object, "step");
        event.code = errc_named(text_field(object, "code"));
        return event;
    }
    return std::nullopt;
}

LineReader::State LineReader::read_from(int fd, std::vector<std::string>& lines) {
    std::array<char, 4096> chunk;
    for (std::size_t taken = 0; taken < turn_bytes_max;) {
        const ssize_t got = read(fd, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return State::open;
        if (got <= 0) {
            if (!rest_.empty()) lines.push_back(std::move(rest_));
            rest_.clear();
            return State::ended;
        }
        taken += static_cast<std::size_t>(got);
        rest_.append(chunk.data(), static_cast<std::size_t>(got));
        for (std::size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1))
            lines.push_back(rest_.substr(0, end));
        if (rest_.size() > line_bytes_max) {
            lines.push_back(std::move(rest_));
            rest_.clear();
        }
    }
    return State::open;
}

bool ForeignLines::admits() {
    return ++lines_ <= shown_max_;
}

std::string ForeignLines::left_out() const {
    if (lines_ <= shown_max_) return {};
    return counted(lines_ - shown_max_, "more line") + " of standard output left out";
}

}  // namespace ddict::launcher
