// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/sweep.h"

#include <charconv>
#include <chrono>
#include <thread>

#include "base/hex.h"
#include "cluster/directory.h"
#include "launcher/launch_loop.h"
#include "launcher/progress_line.h"
#include "shm/segment.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;

// Slurm has been told to kill what lives on.
constexpr std::chrono::seconds death_grace{3};
constexpr std::chrono::milliseconds look_again{50};

constexpr std::string_view prefix = "--id=";

bool is_there(std::uint64_t dictionary_id) {
    const auto directory =
        shm::Segment::open(shm::directory_segment_name(dictionary_id), shm::Access::read_only);
    return directory || directory.error().code != Errc::dictionary_gone;
}

}  // namespace

std::vector<std::string> sweep_arguments(std::uint64_t dictionary_id) {
    return {std::string(prefix) + hex(dictionary_id)};
}

int sweep(const std::vector<std::string>& args) {
    std::uint64_t id = 0;
    const std::string text =
        args.size() == 1 && args[0].starts_with(prefix) ? args[0].substr(prefix.size()) : "";
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
        say("--sweep is for ddict-launch itself, not for people");
        return exit_usage;
    }
    const auto deadline = Clock::now() + death_grace;
    for (;;) {
        shm::remove_stale_segments();
        if (!is_there(id)) return 0;
        if (Clock::now() >= deadline) break;
        std::this_thread::sleep_for(look_again);
    }
    say("a node launcher that should be dead holds /dev/shm/" + shm::directory_segment_name(id));
    return exit_bring_up_failed;
}

}  // namespace ddict::launcher
