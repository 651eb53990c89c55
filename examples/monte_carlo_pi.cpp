// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Pi by chance, by several clients, step by step and without a barrier: at each step a client throws its
// darts, puts how many have hit, gets what the others have put at this very step, and goes on until all
// darts together are exact enough. A get waits for a client that is slower; nobody is more than a step
// ahead, so nobody's step is lost to a slower reader. All clients see the same numbers, and stop at the same
// step.
//
//   ddict-launch --working-set 2 --wait-for-keys -- srun --ntasks=4 monte_carlo_pi    in a Slurm job
//   monte_carlo_pi CLIENTS CLIENT                                                     each one by hand
#include <ddict/dictionary.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr std::int64_t darts_of_step = 200'000;
constexpr double error_wanted = 0.002;

int number_from(const char* variable, int otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::atoi(text);
}

std::int64_t hits_of(std::mt19937_64& random, std::int64_t darts) {
    std::uniform_real_distribution<double> side(0, 1);
    std::int64_t hits = 0;
    for (std::int64_t i = 0; i < darts; ++i) {
        const double x = side(random);
        const double y = side(random);
        hits += x * x + y * y <= 1 ? 1 : 0;
    }
    return hits;
}

std::string key_of(int client) {
    return "hits/" + std::to_string(client);
}

}  // namespace

int main(int argc, char** argv) {
    const int clients = argc > 2 ? std::atoi(argv[1]) : number_from("SLURM_NTASKS", 1);
    const int own = argc > 2 ? std::atoi(argv[2]) : number_from("SLURM_PROCID", 0);
    try {
        auto dict = ddict::Dictionary::attach();
        std::mt19937_64 random(static_cast<std::uint64_t>(own) + 1);
        std::int64_t own_hits = 0;
        for (int step = 1;; ++step, dict.checkpoint()) {
            own_hits += hits_of(random, darts_of_step);
            dict.put(key_of(own), own_hits);
            std::int64_t hits = 0;
            for (int client = 0; client < clients; ++client)
                hits += dict.get<std::int64_t>(key_of(client));
            const auto darts = static_cast<double>(darts_of_step * step * clients);
            const double share = static_cast<double>(hits) / darts;
            const double error = 4 * std::sqrt(share * (1 - share) / darts);
            if (error > error_wanted) continue;
            std::cout << "client " << own << ": pi is " << std::setprecision(5) << 4 * share << " after "
                      << step << " steps" << std::endl;
            return 0;
        }
    } catch (const ddict::Exception& e) {
        std::cerr << "client " << own << ": " << e.what() << std::endl;
        return 1;
    }
}
