// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A pipeline in memory that is smaller than what flows through it: ranks of a simulation push their part of
// each step, an analysis takes the parts of all ranks and gives them back. Each rank has a share of the queue
// of its own, so one that runs ahead does not take the space that another one's part of the same step needs.
//
//   eval "$(ddict-launch start --total-mem 256M --export)"
//   ./in_situ simulate 0 & ./in_situ simulate 1 & ./in_situ analyse
//   ddict-launch stop
//
// usage: in_situ simulate RANK [RANKS [STEPS]]
//        in_situ analyse [RANKS [STEPS]]
#include <ddict/dictionary.h>
#include <ddict/queue.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t part_bytes = 64 << 20;  // what a rank has of each step

struct Run {
    std::uint32_t ranks = 2;
    int steps = 8;
};

ddict::Queue parts_of(const ddict::Dictionary& dict, const Run& run) {
    // A part of each rank at a time.
    return dict.queue("parts", {.bytes = run.ranks * part_bytes, .producers = run.ranks, .lease = 5s})
        .within(120s);
}

void simulate(const ddict::Dictionary& dict, const Run& run, std::uint32_t rank) {
    auto parts = parts_of(dict, run);
    std::vector<double> part(part_bytes / sizeof(double));
    for (int step = 0; step < run.steps; ++step) {
        std::fill(part.begin(), part.end(), 1000.0 * step + rank);  // the computation
        parts.push(part);  // waits until this rank's part of the step before is done
    }
}

/// What the parts of a step have in common is only to be had with all of them.
void analyse(const ddict::Dictionary& dict, const Run& run) {
    auto parts = parts_of(dict, run);
    std::map<int, std::vector<ddict::QueueItem>> steps;
    std::vector<double> part;
    while (auto item = parts.next(ddict::QueueEnd::producers_gone)) {
        item->get_into(part);
        const int step = static_cast<int>(part[0]) / 1000;
        auto& known = steps[step];
        known.push_back(std::move(*item));
        if (known.size() < run.ranks) continue;
        double sum = 0;
        for (const ddict::QueueItem& one : known) {
            one.get_into(part);
            sum += std::accumulate(part.begin(), part.end(), 0.0) / static_cast<double>(part.size());
        }
        std::cout << "step " << step << ": " << sum << '\n';
        for (ddict::QueueItem& one : known)
            one.finish();  // now its rank has the space again
        steps.erase(step);
    }
}

}  // namespace

int main(int argc, char** argv) try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const bool simulates = words.size() > 1 && words[0] == "simulate";
    if (!simulates && (words.empty() || words[0] != "analyse")) {
        std::cerr << "usage: in_situ simulate RANK [RANKS [STEPS]] | analyse [RANKS [STEPS]]\n";
        return EXIT_FAILURE;
    }
    const std::size_t first = simulates ? 2 : 1;
    Run run;
    if (words.size() > first) run.ranks = static_cast<std::uint32_t>(std::stoul(words[first]));
    if (words.size() > first + 1) run.steps = std::stoi(words[first + 1]);
    const auto dict = ddict::Dictionary::attach();
    if (simulates) {
        simulate(dict, run, static_cast<std::uint32_t>(std::stoul(words[1])));
    } else {
        analyse(dict, run);
    }
    return EXIT_SUCCESS;
} catch (const std::exception& failure) {
    std::cerr << "in_situ: " << failure.what() << '\n';
    return EXIT_FAILURE;
}
