// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/persisting.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "launcher/launch_loop.h"
#include "launcher/progress_line.h"
#include "launcher/run_command.h"
#include "os/signals.h"

namespace ddict::launcher {
namespace {

using namespace std::chrono_literals;

constexpr auto between_starts = 1s;
constexpr auto wait_for_hold_max = 5s;

}  // namespace

os::SpawnOptions ddict_beside(const Options& options, const os::Environment& environment,
                              const NodeLaunchers& launchers, std::vector<std::string> argv, int input_fd) {
    os::SpawnOptions spawn;
    spawn.program = ddict_program();
    spawn.argv = std::move(argv);
    spawn.environment = environment;
    for (const auto& [name, value] :
         handle_variables(launchers.handle(), options.name, launchers.plan().allocation.has_value()))
        spawn.environment[name] = value;
    spawn.standard_fds = {input_fd, STDERR_FILENO, STDERR_FILENO};
    spawn.signal_mask = os::ending_signals();
    return spawn;
}

void Persisting::begin() {
    if (options_.persist_freq == 0) return;
    wanted_ = true;
    start();
}

void Persisting::start() {
    std::vector<std::string> argv{"ddict", "persist", "--every", std::to_string(options_.persist_freq),
                                  "--until-input-ends"};
    if (options_.compress) argv.emplace_back("--compress");
    auto input = os::make_pipe();
    auto said = os::make_pipe();
    const auto start_child = [&]() -> Result<os::ChildProcess> {
        if (!input) return input.error();
        if (!said) return said.error();
        os::SpawnOptions spawn =
            ddict_beside(options_, environment_, launchers_, std::move(argv), input->read_end.fd());
        spawn.standard_fds = {input->read_end.fd(), said->write_end.fd(), words_};
        return os::ChildProcess::start(spawn);
    };
    auto child = start_child();
    start_at_ = Clock::now() + between_starts;
    if (!child) return say("cannot persist: " + reason(child.error()));
    child_ = *std::move(child);
    input_ = std::move(input->write_end);
    said_ = std::move(said->read_end);
}

/// It says one line, when it holds checkpoints, and nothing more.
void Persisting::listen() {
    pollfd said{said_fd(), POLLIN, 0};
    if (said.fd < 0 || ::poll(&said, 1, 0) <= 0) return;
    char line[64];
    if (::read(said.fd, line, sizeof line) > 0) holds_ = true;
    said_.reset();
}

void Persisting::advance(Clock::time_point now) {
    listen();
    if (const auto status = child_.reap()) {
        input_.reset();
        start_at_ = now + between_starts;
        if (wanted_ && launchers_.stage() == NodeLaunchers::Stage::ready)
            say("ddict persist --every " + status->describe() + "; it is started again");
    }
    if (wanted_ && !child_.running() && now >= start_at_ && launchers_.stage() == NodeLaunchers::Stage::ready)
        start();
}

void Persisting::finish(bool succeeded) {
    wanted_ = false;
    if (!succeeded && input_.is_open()) os::write_fully(input_.fd(), "stop\n");
    input_.reset();
}

void Persisting::give_up() {
    wanted_ = false;
    if (child_.running()) child_.signal(SIGKILL);
}

int begin_persisting(Persisting& persisting,
                     const std::function<LaunchLoop::Turn(std::vector<int>, int)>& turn) {
    persisting.begin();
    const auto until = Persisting::Clock::now() + wait_for_hold_max;
    while (persisting.is_awaited()) {
        const auto now = Persisting::Clock::now();
        if (now >= until) {
            say("ddict persist --every does not hold checkpoints after " +
                std::to_string(wait_for_hold_max.count()) +
                " s: steps that are retired before it does are not persisted");
            return 0;
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now);
        const int wait_ms = std::min(persisting.wait_ms(now), static_cast<int>(left.count()));
        for (const os::SignalEvent& signal : turn({persisting.fd(), persisting.said_fd()}, wait_ms).signals)
            if (signal.asks_to_end()) return signal.number;
        persisting.advance(Persisting::Clock::now());
    }
    return 0;
}

void finish(Persisting& persisting, LaunchLoop& loop) {
    constexpr std::chrono::seconds time_max{30};
    const auto until = Persisting::Clock::now() + time_max;
    persisting.finish(false);
    while (!persisting.is_idle() && Persisting::Clock::now() < until) {
        loop.turn(persisting.fd(), 1000);
        persisting.advance(Persisting::Clock::now());
    }
    persisting.give_up();
}

int Persisting::wait_ms(Clock::time_point now) const {
    if (!wanted_ || child_.running()) return 3'600'000;
    return static_cast<int>(
        std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::milliseconds>(start_at_ - now).count()));
}

}  // namespace ddict::launcher
