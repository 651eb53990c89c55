// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/remote_host.h"

#include <charconv>
#include <chrono>
#include <iostream>

#include "launcher/host_file.h"
#include "launcher/launch_loop.h"
#include "launcher/node_check.h"
#include "os/child_process.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds ask_timeout{10};
constexpr std::string_view alive = "ddict-process alive";
constexpr std::string_view stale = "ddict-process stale";

}  // namespace

std::vector<std::string> on_host(const std::string& host, const std::vector<std::string>& args,
                                 const os::Environment& environment, bool on_terminal) {
    Options options;
    if (const auto rsh = os::value_of(environment, "DDICT_RSH"); !rsh.empty()) options.rsh = rsh;
    std::vector<std::string> argv = remote_shell(options);
    if (on_terminal && is_ssh(argv)) argv.emplace_back("-t");
    os::Environment variables;
    for (const char* name : {"PATH", "LD_LIBRARY_PATH"}) {
        if (const auto value = os::value_of(environment, name); !value.empty()) variables[name] = value;
    }
    argv.insert(argv.end(), {host, remote_line(variables, args)});
    return argv;
}

Verdict ask_host(const ProcessRecord& process, const os::Environment& environment) {
    const std::vector<std::string> args{"--lives",
                                        process.host,
                                        process.machine,
                                        process.boot_id,
                                        process.pid_namespace,
                                        std::to_string(process.pid),
                                        std::to_string(process.start_time)};
    const auto asked = os::capture_output(on_host(process.host, args, environment), environment, ask_timeout);
    const std::string where = "it was started on " + process.host;
    if (!asked) return {Liveness::unknown, where + ", which cannot be asked: " + reason(asked.error())};
    const std::string answer = last_line(asked->output);
    if (answer == alive) return {Liveness::alive, {}};
    if (answer == stale) return {Liveness::stale, {}};
    return {Liveness::unknown, where + ", which cannot be asked: " + last_line(asked->errors)};
}

int print_liveness(const std::vector<std::string>& args) {
    ProcessRecord process;
    const auto number = [](const std::string& text, auto& into) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
        return error == std::errc() && end == text.data() + text.size();
    };
    if (args.size() != 6 || !number(args[4], process.pid) || !number(args[5], process.start_time) ||
        process.pid <= 1) {
        say("--lives is for ddict-launch itself, not for people");
        return exit_usage;
    }
    process.host = args[0];
    process.machine = args[1];
    process.boot_id = args[2];
    process.pid_namespace = args[3];
    RendezvousRecord record;
    record.launcher = process;
    const Verdict verdict = liveness_of(record, {});
    if (verdict.liveness == Liveness::unknown) {
        say(verdict.why);
        return exit_not_known;
    }
    std::cout << (verdict.liveness == Liveness::stale ? stale : alive) << "\n";
    return 0;
}

}  // namespace ddict::launcher
