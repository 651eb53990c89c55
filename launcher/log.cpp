// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/utc_text.h"
#include "launcher/launch_loop.h"
#include "os/file_descriptor.h"
#include "os/signals.h"

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, 4> level_names{"error", "warning", "info", "debug"};
constexpr milliseconds close_time{1'000};
constexpr std::string_view more_like_this = " more like this";

/// For how many an entry stands: managers leave some out themselves, and say in the same words how many.
std::uint32_t lines_in(const LogEntry& entry) {
    std::uint32_t lines = 1;
    if (entry.text.ends_with(more_like_this))
        std::from_chars(entry.text.data(), entry.text.data() + entry.text.size(), lines);
    return lines;
}

/// A line is a line whatever is in it.
std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
    return text;
}

}  // namespace

std::string format_log_line(const LogEntry& entry, std::chrono::system_clock::time_point time) {
    std::string line = utc_text(time, 3) + " " +
                       std::string(level_names[static_cast<std::size_t>(entry.level)]) + " " +
                       (entry.node.empty() ? "-" : one_line(entry.node));
    if (entry.manager) line += " manager=" + std::to_string(number_of(*entry.manager));
    return line + " " + std::string(entry.kind) + (entry.text.empty() ? "" : ": " + one_line(entry.text)) +
           "\n";
}

bool can_be_log(const std::string& path) {
    constexpr std::array<std::string_view, 4> streams{"/dev/std", "/dev/fd/", "/dev/tty", "/proc/"};
    return std::none_of(streams.begin(), streams.end(),
                        [&](std::string_view stream) { return path.starts_with(stream); });
}

bool LogLimit::admits(const LogEntry& entry, Clock::time_point now) {
    if (entry.level == LogLevel::error) return true;
    Kind& kind = kinds_[{std::string(entry.kind), entry.level}];
    if (kind.left_out == 0 && now - kind.since >= interval) kind = {.since = now};
    if (kind.lines < lines_max) {
        ++kind.lines;
        return true;
    }
    kind.left_out += lines_in(entry);
    return false;
}

std::vector<LogEntry> LogLimit::take_counts(Clock::time_point now) {
    std::vector<LogEntry> counts;
    for (auto& [name_and_level, kind] : kinds_) {
        if (kind.left_out == 0 || now - kind.since < interval) continue;
        counts.push_back({.level = name_and_level.second,
                          .kind = name_and_level.first,
                          .text = std::to_string(kind.left_out) + std::string(more_like_this)});
        kind = {.since = now};
    }
    return counts;
}

std::optional<std::string> Log::open(const LogSettings& settings, const os::Environment& environment) {
    if (settings.path.empty()) return std::nullopt;
    level_ = settings.level;
    auto pipe = os::make_pipe();
    auto complaints = os::make_pipe();
    if (!pipe || !complaints) return reason((pipe ? complaints : pipe).error());
    os::SpawnOptions options;
    options.program = os::own_program();
    options.argv = {"ddict-launch", "--keep-log", settings.path};
    options.environment = environment;
    const os::FileDescriptor nothing(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    options.standard_fds = {pipe->read_end.fd(), nothing.fd(), complaints->write_end.fd()};
    options.close_other_fds = true;
    options.own_process_group = true;
    options.signal_mask = os::ending_signals();  // it ends with its input
    auto process = os::ChildProcess::start(options);
    if (!process) return reason(process.error());
    process_ = *std::move(process);
    lines_.open(std::move(pipe->write_end), Output::waiting_bytes_max_default);
    complaints_ = std::move(complaints->read_end);
    os::set_non_blocking(complaints_.fd());
    return std::nullopt;
}

void Log::add(const LogEntry& entry) {
    if (!lines_.is_open() || entry.level > level_) return;
    if (limit_.admits(entry, LogLimit::Clock::now())) write(entry);
}

void Log::write(const LogEntry& entry) {
    lines_.say(format_log_line(entry, std::chrono::system_clock::now()));
}

void Log::advance() {
    if (!lines_.is_open()) return;
    lines_.flush();
    for (const LogEntry& count : limit_.take_counts(LogLimit::Clock::now()))
        write(count);
}

std::vector<std::string> Log::take_complaints() {
    std::vector<std::string> lines;
    if (complaints_.is_open() &&
        complaint_lines_.read_from(complaints_.fd(), lines) == LineReader::State::ended)
        complaints_.reset();
    return lines;
}

void Log::close() {
    if (!lines_.is_open()) return;
    for (const LogEntry& count : limit_.take_counts(LogLimit::Clock::time_point::max()))
        write(count);
    lines_.flush();
    lines_.end();
    pollfd ended{process_.pidfd(), POLLIN, 0};
    poll(&ended, 1, static_cast<int>(close_time.count()));
    // A process that waits for its file system ends when that answers.
    if (!process_.reap()) process_.abandon();
}

int keep_log(const std::vector<std::string>& args) {
    if (args.size() != 1) {
        say("--keep-log is for ddict-launch itself, not for people");
        return exit_usage;
    }
    // Nothing of the user's is held meanwhile, whatever the file system does: no folder, and no stream.
    if (chdir("/") != 0) say(std::string("cannot leave this folder: ") + std::strerror(errno));
    const os::FileDescriptor file(
        ::open(args[0].c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
    if (!file.is_open()) say("there is no log: " + args[0] + ": " + std::strerror(errno));
    bool is_good = file.is_open();
    std::array<char, 64 * 1024> chunk;
    for (;;) {
        const ssize_t got = read(STDIN_FILENO, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return is_good ? 0 : exit_bring_up_failed;
        if (!is_good || os::write_fully(file.fd(), {chunk.data(), static_cast<std::size_t>(got)})) continue;
        is_good = false;
        say("the log ends here: " + args[0] + ": " + std::strerror(errno));
    }
}

}  // namespace ddict::launcher
