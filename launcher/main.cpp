// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// ddict-launch: see options.cpp for what it can do.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <new>
#include <string_view>
#include <vector>

#include "launcher/background.h"
#include "launcher/check.h"
#include "launcher/client_hosts.h"
#include "launcher/discard.h"
#include "launcher/exec.h"
#include "launcher/host_step.h"
#include "launcher/launch_loop.h"
#include "launcher/lifeline_environment.h"
#include "launcher/node/node_launcher.h"
#include "launcher/record_keeper.h"
#include "launcher/remote_host.h"
#include "launcher/restart.h"
#include "launcher/run_command.h"
#include "launcher/sweep.h"
#include "os/descriptors.h"
#include "os/environment.h"
#include "os/signals.h"

namespace {

using namespace ddict::launcher;

int run_node(const Options& options, const ddict::os::Environment& environment) {
    const auto complete = take_environment(STDIN_FILENO, options.hidden, environment);
    const auto plan = complete ? parse_node_arguments(options.hidden, *complete) : complete.error();
    if (plan) return run_node_launcher(*plan, *complete);
    say(reason(plan.error()));
    return exit_usage;
}

int dispatch(const Options& options, const ddict::os::Environment& environment) {
    switch (options.verb) {
        case Verb::run:
            return run_command(options, environment);
        case Verb::start:
            return start(options, environment);
        case Verb::stop:
            return stop(options, environment);
        case Verb::status:
            return status(options, environment);
        case Verb::env:
            return print_environment(options, environment);
        case Verb::exec:
            return exec(options, environment);
        case Verb::restart:
            return restart(options, environment);
        case Verb::discard:
            return discard(options, environment);
        case Verb::serve:
            return serve(options, environment);
        case Verb::check:
            return check(options, environment);
        case Verb::node:
            return run_node(options, environment);
        case Verb::check_node:
            return check_node(options, environment);
        case Verb::addresses:
            return print_addresses();
        case Verb::on_hosts:
            return run_on_hosts(options.hidden, environment);
        case Verb::keep_log:
            return keep_log(options.hidden);
        case Verb::lives:
            return print_liveness(options.hidden);
        case Verb::discard_here:
            return discard_here(options.hidden);
        case Verb::sweep:
            return sweep(options.hidden);
        case Verb::keep_record:
            return keep_record(options.hidden, environment);
        case Verb::help:
            std::cout << help_text();
            return 0;
        case Verb::version:
            std::cout << "ddict-launch " << DDICT_VERSION << "\n";
            return 0;
    }
    return exit_usage;
}

/// Whether a line is wanted that a shell evaluates: that of "start --export" or of "env".
bool is_for_eval(const Options& options) {
    return options.verb == Verb::env || options.export_line;
}

/// The same of words that are no options, as far as they tell.
bool look_for_eval(const std::vector<std::string_view>& words) {
    const auto command = std::find(words.begin(), words.end(), "--");
    const auto is_there = [&](std::string_view word) {
        return std::find(words.begin(), command, word) != command;
    };
    return is_there("env") || is_there("--export");
}

int run(int argc, char** argv) {
    ddict::os::remember_inherited();
    ddict::os::ensure_standard_descriptors();
    // Somebody who does not care for his children may have started this: the end of ours must be told.
    std::signal(SIGCHLD, SIG_DFL);
    ddict::os::Environment environment = ddict::os::environment_of_this_process();
    const auto options = parse_options({argv + 1, argv + argc}, environment);
    int status = exit_usage;
    bool for_eval = false;
    if (options) {
        // For whatever asks another host: the option wins over the variable there too.
        const bool may_be_given = options->hidden.empty();
        if (may_be_given && (options->rsh != Options().rsh || environment.contains("DDICT_RSH")))
            environment["DDICT_RSH"] = options->rsh;
        status = dispatch(*options, environment);
        for_eval = is_for_eval(*options);
    } else if (argc > 1 && std::string_view(argv[1]) == "serve") {
        say_cannot_serve(options.error().code, reason(options.error()));
    } else {
        say(reason(options.error()));
        for_eval = look_for_eval({argv + 1, argv + argc});
    }
    if (status != 0 && for_eval) std::cout << "false\n";  // then eval fails too
    if (std::cout.flush() || status != 0) return status;
    say("cannot write to the standard output");
    return options && options->verb == Verb::status ? exit_not_known : exit_bring_up_failed;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::bad_alloc&) {
        say("out of memory");
    } catch (const std::exception& error) {
        say(error.what());
    }
    return exit_bring_up_failed;
}
