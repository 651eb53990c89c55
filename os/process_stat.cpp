// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/process_stat.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "os/boot_clock.h"
#include "os/error.h"
#include "os/small_file.h"

namespace ddict::os {
namespace {

/// A field, counted as in proc(5), from 3 on; null if there are fewer. The second is the program's name in
/// parentheses and may hold anything.
const char* field_of(const char* stat, int number) {
    const char* at = std::strrchr(stat, ')');
    for (int field = 2; at != nullptr && field < number; ++field)
        at = std::strchr(at + 1, ' ');
    return at == nullptr ? nullptr : at + 1;
}

}  // namespace

Error process_ended(std::int32_t pid) {
    return Error(Errc::manager_lost, "process " + std::to_string(pid) + " of this host has ended")
        .set_state(ManagerState::ended);
}

Result<ProcessStat> process_stat(std::int32_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    std::array<char, 1024> text;
    const ssize_t bytes = read_small_file(path.c_str(), std::span(text).first(text.size() - 1));
    if (bytes == -ENOENT || bytes == -ESRCH) return process_ended(pid);
    if (bytes < 0) return error_of(static_cast<int>(-bytes), "reading " + path);
    text[static_cast<std::size_t>(bytes)] = '\0';
    const char* state = field_of(text.data(), 3);
    const char* start = field_of(text.data(), 22);
    if (state == nullptr || start == nullptr)
        return Error(Errc::system, path + " is not what Linux writes there");
    const Result<std::int64_t> ahead = boot_clock_ahead_ticks();
    if (!ahead) return ahead.error();
    return ProcessStat{.state = *state,
                       .start_time = std::strtoull(start, nullptr, 10) - static_cast<std::uint64_t>(*ahead)};
}

}  // namespace ddict::os
