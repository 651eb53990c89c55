// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/remote_host.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iostream>
#include <span>
#include <sstream>
#include <string_view>

#include "launcher/host_file.h"
#include "launcher/launch_loop.h"
#include "launcher/node_check.h"
#include "os/child_process.h"
#include "os/host_name.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds ask_timeout{10};
constexpr std::string_view answer_begin = "ddict-process ";
constexpr std::string_view alive = "alive";
constexpr std::string_view stale = "stale";
constexpr std::string_view unknown = "unknown ";
// Of one process, for ddict-launch --lives; and of how many are asked about in one command line.
constexpr std::size_t words_each = 6;
constexpr std::size_t processes_max = 500;

bool are_same(const ProcessRecord& a, const ProcessRecord& b) {
    return a.host == b.host && a.pid == b.pid && a.start_time == b.start_time && a.boot_id == b.boot_id &&
           a.machine == b.machine && a.pid_namespace == b.pid_namespace;
}

/// What was said of each process; the shell of that host may have said something before.
std::vector<std::string> answers_in(const std::string& output) {
    std::vector<std::string> answers;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(answer_begin)) answers.push_back(line.substr(answer_begin.size()));
    return answers;
}

Verdict verdict_in(const std::string& answer, const std::string& where) {
    if (answer == alive) return {Liveness::alive, {}};
    if (answer == stale) return {Liveness::stale, {}};
    const bool is_unknown = answer.starts_with(unknown);
    return {Liveness::unknown, where + (is_unknown ? ", and there: " + answer.substr(unknown.size())
                                                   : ", which has answered: " + answer)};
}

/// Requires words_each words.
std::optional<ProcessRecord> process_in(std::span<const std::string> words) {
    const auto number = [](const std::string& text, auto& into) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
        return error == std::errc() && end == text.data() + text.size();
    };
    ProcessRecord process;
    if (!number(words[4], process.pid) || !number(words[5], process.start_time) || process.pid <= 1)
        return std::nullopt;
    process.host = words[0];
    process.machine = words[1];
    process.boot_id = words[2];
    process.pid_namespace = words[3];
    return process;
}

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

OtherHosts::Asked& OtherHosts::find(const ProcessRecord& process) {
    const auto found = std::find_if(asked_.begin(), asked_.end(),
                                    [&](const Asked& one) { return are_same(one.process, process); });
    return found != asked_.end() ? *found : asked_.emplace_back(Asked{process, std::nullopt});
}

void OtherHosts::foresee(const RendezvousRecord& record) {
    if (record.of_hosts && record.launcher.host != os::host_name()) find(record.launcher);
}

Verdict OtherHosts::ask(const ProcessRecord& process) {
    Asked& asked = find(process);
    while (!asked.verdict)
        ask_host(process.host);
    return *asked.verdict;
}

/// Of all there that nothing is known of, as far as they go into one command line.
void OtherHosts::ask_host(const std::string& host) {
    std::vector<std::string> args{"--lives"};
    std::vector<Asked*> about;
    for (Asked& one : asked_) {
        if (one.verdict || one.process.host != host || about.size() == processes_max) continue;
        about.push_back(&one);
        const ProcessRecord& process = one.process;
        args.insert(args.end(), {process.host, process.machine, process.boot_id, process.pid_namespace,
                                 std::to_string(process.pid), std::to_string(process.start_time)});
    }
    const auto output = os::capture_output(on_host(host, args, environment_), environment_, ask_timeout);
    const std::string where = "it was started on " + host;
    const std::vector<std::string> answers = output ? answers_in(output->output) : std::vector<std::string>();
    const std::string why = output ? last_line(output->errors) : reason(output.error());
    for (std::size_t i = 0; i < about.size(); ++i)
        about[i]->verdict = answers.size() == about.size()
                                ? verdict_in(answers[i], where)
                                : Verdict{Liveness::unknown, where + ", which cannot be asked: " + why};
}

int print_liveness(const std::vector<std::string>& args) {
    std::vector<ProcessRecord> processes;
    const bool is_whole = !args.empty() && args.size() % words_each == 0;
    for (std::size_t i = 0; is_whole && i < args.size(); i += words_each) {
        if (const auto process = process_in(std::span(args).subspan(i, words_each)))
            processes.push_back(*process);
    }
    if (!is_whole || processes.size() != args.size() / words_each) {
        say("--lives is for ddict-launch itself, not for people");
        return exit_usage;
    }
    for (const ProcessRecord& process : processes) {
        RendezvousRecord record;
        record.launcher = process;
        const Verdict verdict = liveness_of(record, {});
        std::cout << answer_begin;
        if (verdict.liveness == Liveness::unknown) {
            std::cout << unknown << verdict.why << "\n";
        } else {
            std::cout << (verdict.liveness == Liveness::stale ? stale : alive) << "\n";
        }
    }
    return 0;
}

}  // namespace ddict::launcher
