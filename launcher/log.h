// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The log of a dictionary (--log): one line for each thing that has happened to it. The launcher alone knows
// all of it, and a process of its own writes the file: so a file system that does not answer holds up nobody.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/ids.h"
#include "launcher/events.h"
#include "launcher/lifeline.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

enum class LogLevel { error, warning, info, debug };

struct LogSettings {
    std::string path;  // absolute; empty: no log
    LogLevel level = LogLevel::info;
};

struct LogEntry {
    LogLevel level = LogLevel::info;
    std::string_view kind;  // in a word: "lost". Entries of one kind and level count together
    std::string node = {};  // host name; empty: the launcher
    std::optional<ShardId> manager = std::nullopt;
    std::string text;
};

/// Not what stands for a stream of a process (/dev/stderr): another process is to write it.
bool can_be_log(const std::string& path);

/// "2026-11-30T05:22:11.123Z warning n2 manager=3 lost: was killed": '-' where there is no node.
std::string format_log_line(const LogEntry& entry, std::chrono::system_clock::time_point time);

/// Of each kind and level so many lines a second, and then a line that says how many there were; errors are
/// never left out. Pure.
class LogLimit {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::uint32_t lines_max = 10;
    static constexpr std::chrono::seconds interval{1};

    /// Whether this one is to be written.
    bool admits(const LogEntry& entry, Clock::time_point now);
    /// "37 more like this", for each kind of which an interval has ended.
    std::vector<LogEntry> take_counts(Clock::time_point now);

  private:
    struct Kind {
        Clock::time_point since{};
        std::uint32_t lines = 0;
        std::uint32_t left_out = 0;
    };
    std::map<std::pair<std::string, LogLevel>, Kind> kinds_;
};

/// Belongs to one thread; never waits.
class Log {
  public:
    /// Starts the process that writes. Why there is none; nothing if there is, or none is wanted.
    std::optional<std::string> open(const LogSettings& settings, const os::Environment& environment);
    void add(const LogEntry& entry);
    /// To be called now and then.
    void advance();
    /// What the process says of its file, which it cannot open or write; also after close().
    std::vector<std::string> take_complaints();
    /// Readable when there is some.
    int complaints_fd() const { return complaints_.fd(); }
    /// Lets the process write what it has, for a second at most.
    void close();
    ~Log() { close(); }

  private:
    void write(const LogEntry& entry);

    LogLevel level_ = LogLevel::info;
    LogLimit limit_;
    os::ChildProcess process_;
    LifelineWriter lines_;
    os::FileDescriptor complaints_;
    LineReader complaint_lines_;
};

/// ddict-launch --keep-log FILE: appends its standard input to the file, which it makes for this user alone.
/// Where it cannot be opened, it says so once, and reads on.
int keep_log(const std::vector<std::string>& args);

}  // namespace ddict::launcher
