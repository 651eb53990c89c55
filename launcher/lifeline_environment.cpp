// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/lifeline_environment.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>

#include "base/base64url.h"
#include "base/bytes.h"
#include "launcher/host_step.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds read_timeout{30};
constexpr std::size_t bytes_max = std::size_t{1} << 20;
constexpr std::string_view variable_line = "e ";
constexpr std::string_view last_line = "end";

bool is_passed_on(std::string_view name) {
    // Of another dictionary, and of each host its own.
    if (name == "DDICT_HANDLE" || name == rank_variable || name == hosts_follow_variable) return false;
    return name.starts_with("DDICT_") || name.starts_with("UCX_");
}

Error failed(Errc code, const std::string& why) {
    return Error(code, "the environment of this node launcher did not come over its standard input: " + why)
        .set_operation(Operation::launch);
}

/// One byte after the other: what follows is for somebody else.
Result<std::string> read_line(int fd, Clock::time_point deadline, std::size_t& left) {
    std::string line;
    for (;;) {
        const auto wait = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (wait <= 0) return failed(Errc::timeout, "nothing came in time");
        pollfd in{fd, POLLIN, 0};
        if (poll(&in, 1, static_cast<int>(wait)) <= 0) continue;
        char c = 0;
        const ssize_t got = read(fd, &c, 1);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0) return failed(Errc::protocol, "it ended before");
        if (left-- == 0) return failed(Errc::protocol, "it is too long");
        if (c == '\n') return line;
        line += c;
    }
}

}  // namespace

std::string format_environment(const os::Environment& environment) {
    std::string lines;
    for (const auto& [name, value] : environment) {
        if (is_passed_on(name))
            lines += std::string(variable_line) + encode_base64url(bytes_of(name + "=" + value)) + "\n";
    }
    return lines + std::string(last_line) + "\n";
}

Result<os::Environment> take_environment(int fd, const std::vector<std::string>& args,
                                         os::Environment environment) {
    if (std::find(args.begin(), args.end(), environment_on_lifeline) == args.end()) return environment;
    const auto deadline = Clock::now() + read_timeout;
    std::size_t left = bytes_max;
    for (;;) {
        const auto line = read_line(fd, deadline, left);
        if (!line) return line.error();
        if (*line == last_line) return environment;
        if (!line->starts_with(variable_line)) return failed(Errc::protocol, "it begins with something else");
        const auto decoded = decode_base64url(std::string_view(*line).substr(variable_line.size()));
        const std::string_view text = decoded ? text_of(*decoded) : std::string_view();
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos || !is_passed_on(text.substr(0, equals)))
            return failed(Errc::protocol, "it has a line that is malformed");
        environment[std::string(text.substr(0, equals))] = text.substr(equals + 1);
    }
}

}  // namespace ddict::launcher
