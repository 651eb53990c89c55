// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A filter of the user's, beside the data: one process on each node looks at the pairs of that node's
// managers, straight in their memory, keeps the ten best by its own measure, and sends only those. The first
// one merges them in order.
//
//   ddict-launch -- srun --ntasks-per-node=1 filter      in a Slurm job
//   ddict-launch --managers-per-node 2 -- filter         one process
#include <ddict/dictionary.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr int particles_each = 1000;
constexpr std::size_t wanted = 10;

struct Particle {
    int number;
    double mass, speed;
};

int number_from(const char* variable, int otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::atoi(text);
}

void simulate(ddict::View dict, int process) {
    dict.start_batch_put();
    for (int i = 0; i < particles_each; ++i) {
        const int number = process * particles_each + i;
        dict.put("particle/" + std::to_string(number),
                 Particle{number, 1.0 + number % 7, 300.0 + 200 * std::sin(number)});
    }
    dict.end_batch_put();
}

double energy(const Particle& particle) {
    return particle.mass * particle.speed * particle.speed / 2;
}

/// The best of those that pass, in order.
std::vector<Particle> best_of(std::vector<Particle> particles) {
    std::sort(particles.begin(), particles.end(),
              [](const Particle& a, const Particle& b) { return energy(a) > energy(b); });
    particles.resize(std::min(particles.size(), wanted));
    return particles;
}

std::vector<Particle> best_here(const ddict::View& dict) {
    std::vector<Particle> passed;
    for (const auto& [key, particle] : dict.local_items<std::string, Particle>("particle/")) {
        if (particle.number % 2 == 0) passed.push_back(particle);
    }
    return best_of(passed);
}

/// Returns when all processes have come here.
void meet(const ddict::View& dict, const std::string& where, int processes) {
    dict.fetch_add(where);
    dict.wait_for_value(where, std::int64_t{processes});
}

}  // namespace

int main() {
    const int process = number_from("SLURM_PROCID", 0);
    const int processes = number_from("SLURM_NTASKS", 1);
    try {
        const auto dict = ddict::Dictionary::attach();
        simulate(dict, process);
        meet(dict, "simulated", processes);
        dict.put("best/" + std::to_string(process), best_here(dict));
        if (process != 0) return 0;
        std::vector<Particle> all;
        for (int i = 0; i < processes; ++i) {
            const auto some = dict.wait_for<std::vector<Particle>>("best/" + std::to_string(i));
            all.insert(all.end(), some.begin(), some.end());
        }
        for (const Particle& particle : best_of(all))
            std::cout << particle.number << ' ' << std::lround(energy(particle)) << '\n';
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "filter: " << error.what() << '\n';
        return 1;
    }
}
