// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/host_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <set>
#include <sstream>

#include "base/limits.h"
#include "base/shell_words.h"
#include "os/child_process.h"
#include "os/file_descriptor.h"
#include "os/host_name.h"

namespace ddict::launcher {
namespace {

constexpr std::size_t file_bytes_max = std::size_t{8} << 20;
constexpr std::size_t host_bytes_max = 255;
constexpr std::string_view digits = "0123456789";

bool is_host(std::string_view name) {
    // What a remote shell could take for an option is none.
    return !name.empty() && name.size() <= host_bytes_max && name.front() != '-' && name.front() != '.' &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '-' || c == '_';
           });
}

bool is_number(std::string_view word) {
    return !word.empty() && word.find_first_not_of(digits) == std::string_view::npos;
}

bool counts_slots(std::string_view word) {
    constexpr std::string_view names[] = {"slots", "max_slots", "max-slots", "="};
    const std::string_view name =
        word.substr(0, std::max<std::size_t>(word.find('='), word.starts_with('=') ? 1 : 0));
    return is_number(word) || std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Error wrong_line(std::size_t number, const std::string& line, const std::string& why) {
    return Error(Errc::invalid_argument,
                 "line " + std::to_string(number) + " ('" + line.substr(0, 60) + "') " + why)
        .set_operation(Operation::launch);
}

Error wrong(const std::string& text) {
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

/// A file that is none (a pipe that nobody writes to) is not waited for.
Result<std::string> read_host_file(const std::string& path) {
    const os::FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat info {};
    if (!file.is_open() || fstat(file.fd(), &info) != 0)
        return wrong(std::string("cannot be read: ") + std::strerror(errno) +
                     ": give a file with a host on each line");
    if (!S_ISREG(info.st_mode)) return wrong("is no file: give one with a host on each line");
    std::string text(file_bytes_max + 1, '\0');
    std::size_t size = 0;
    for (ssize_t got = 1; got != 0 && size < text.size(); size += static_cast<std::size_t>(got)) {
        got = read(file.fd(), text.data() + size, text.size() - size);
        if (got < 0) return wrong(std::string("cannot be read: ") + std::strerror(errno));
    }
    if (size > file_bytes_max) return wrong("this is no host file: it is too large");
    text.resize(size);
    return text;
}

std::string_view short_name(std::string_view name) {
    return is_number(name.substr(0, 1)) ? name : name.substr(0, name.find('.'));
}

}  // namespace

Result<std::vector<std::string>> parse_host_file(std::string_view text) {
    std::vector<std::string> hosts;
    std::set<std::string> known;
    std::istringstream lines{std::string(text)};
    std::size_t number = 0;
    for (std::string line; std::getline(lines, line);) {
        ++number;
        std::istringstream words(line.substr(0, line.find('#')));
        std::string host;
        if (!(words >> host)) continue;
        // MPICH: "name:4".
        if (const std::size_t colon = host.find(':');
            colon != std::string::npos && is_number(host.substr(colon + 1)))
            host.resize(colon);
        if (!is_host(host)) return wrong_line(number, line, "does not begin with the name of a host");
        for (std::string word; words >> word;) {
            if (!counts_slots(word))
                return wrong_line(number, line,
                                  "has a word that is not understood: '" + word.substr(0, 40) + "'");
        }
        if (hosts.size() == limits::hosts_max) return wrong_line(number, line, "is one host too many");
        if (known.insert(host).second) hosts.push_back(host);
    }
    if (hosts.empty()) return wrong("no line names a host");
    return hosts;
}

bool is_ssh(const std::vector<std::string>& shell) {
    return std::string_view(shell[0]).substr(shell[0].rfind('/') + 1) == "ssh";
}

std::vector<std::string> remote_shell(const Options& options) {
    std::istringstream words(options.rsh);
    std::vector<std::string> shell{std::istream_iterator<std::string>(words), {}};
    if (is_ssh(shell))
        shell.insert(shell.end(),
                     {"-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=10",
                      "-o", "ServerAliveCountMax=3", "-o", "LogLevel=ERROR"});
    return shell;
}

std::string remote_line(const os::Environment& variables, const std::vector<std::string>& args) {
    std::vector<std::string> words{"exec", "env"};
    for (const auto& [name, value] : variables)
        words.push_back(name + "=" + value);
    words.push_back(os::own_program());
    words.insert(words.end(), args.begin(), args.end());
    return shell_line(words);
}

bool is_this_host(std::string_view name) {
    const std::string own = os::host_name();
    return name == "localhost" || name == own || short_name(name) == own || name == short_name(own);
}

Result<std::optional<slurm::Allocation>> find_allocation(const Options& options,
                                                         const os::Environment& environment) {
    if (options.hosts.empty()) return slurm::detect_allocation(environment);
    if (environment.contains("SLURM_JOB_ID"))
        return wrong(
            options.given_by("hosts") +
            " is for where there is no Slurm: in a job leave it out, --nodelist chooses among its nodes");
    const std::string whose = options.given_by("hosts") + " " + options.hosts + ": ";
    const auto text = read_host_file(options.hosts);
    if (!text) return wrong(whose + text.error().detail.data());
    const auto hosts = parse_host_file(*text);
    if (!hosts) return wrong(whose + hosts.error().detail.data());
    slurm::Allocation allocation;
    for (const std::string& host : *hosts)
        allocation.nodes.push_back({.name = host});
    return std::optional(std::move(allocation));
}

}  // namespace ddict::launcher
