// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/check_step.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "launcher/events.h"
#include "launcher/exchange.h"
#include "launcher/launch_loop.h"
#include "launcher/lifeline.h"
#include "launcher/node_step.h"
#include "launcher/sizes.h"
#include "os/file_descriptor.h"
#include "slurm/hostlist.h"

namespace ddict::launcher {
namespace {

/// Who has kept the others waiting.
std::string silence(const LaunchPlan& plan, const std::set<std::uint32_t>& heard) {
    std::vector<std::string> silent;
    for (std::uint32_t node = 0; node < plan.nodes; ++node)
        if (!heard.contains(node)) silent.push_back(plan.allocation->nodes[node].name);
    return "no answer within " + format_seconds(plan.timeout) + " s" +
           (silent.empty() ? ", though all have begun" : " from " + slurm::compress_hostlist(silent));
}

}  // namespace

Result<os::Captured> ask_nodes(const LaunchPlan& plan, const os::Environment& environment) {
    LaunchPlan nameless = plan;
    nameless.identity.secret = {};
    const auto step = node_step(nameless, environment, "--check-node");
    if (!step) return step.error();
    auto pipe = os::make_pipe();
    if (!pipe) return pipe.error();
    LifelineWriter lifeline;
    lifeline.open(std::move(pipe->write_end));
    lifeline.say(step->first_lines);
    ExchangeBoard exchanges(plan.nodes);
    std::set<std::uint32_t> heard;
    std::string trouble;  // the first: that others end with it is no news
    const auto give_up = [&](const std::string& why) {
        if (trouble.empty()) trouble = why;
        lifeline.end();  // which ends them
    };
    std::string rest;
    const auto answer_parts = [&](std::string_view output) {
        lifeline.flush();
        rest.append(output);
        for (std::size_t end; (end = rest.find('\n')) != std::string::npos; rest.erase(0, end + 1)) {
            const auto event = parse_event(std::string_view(rest).substr(0, end));
            if (!event) continue;
            if (event->kind == Event::Kind::gone) give_up(event->node + ": " + event->text);
            if (event->kind != Event::Kind::part) continue;
            heard.insert(number_of(event->node_id));
            const auto complete = exchanges.add(*event);
            complete ? lifeline.say(*complete) : give_up(reason(complete.error()));
        }
    };
    std::vector<std::string> argv = step->argv;
    argv[0] = step->program;
    auto answer = os::capture_output(argv, step->environment, plan.timeout,
                                     {.input_fd = pipe->read_end.fd(), .on_output = answer_parts});
    if (!trouble.empty()) return Error(Errc::system, trouble).set_operation(Operation::launch);
    if (!answer && answer.error().code == Errc::timeout && plan.bootstrap == Bootstrap::streams)
        return Error(Errc::timeout, silence(plan, heard)).set_operation(Operation::launch);
    return answer;
}

}  // namespace ddict::launcher
