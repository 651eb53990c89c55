// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Counts the primes below a limit, block by block, so that it can be stopped and go on later: what a block
// has is a pair of the dictionary from when it is known, and a block whose pair is there is not done again.
// So it goes on from any save, also from one that was made while it ran (examples/requeue.sbatch). USR2 and
// TERM end it after the block that it is at, with status 75, "try again later". Each task does every n-th
// block; the first one adds them up.
//
//   ddict-launch -- srun --ntasks=8 primes [LIMIT]    in a Slurm job
//   ddict-launch -- primes [LIMIT]                    one process
#include <ddict/dictionary.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

constexpr int try_again_later = 75;  // EX_TEMPFAIL of <sysexits.h>
constexpr std::int64_t block_size = 20'000;

volatile std::sig_atomic_t is_to_stop = 0;

std::int64_t number_from(const char* variable, std::int64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::atoll(text);
}

bool is_prime(std::int64_t number) {
    if (number < 2 || (number % 2 == 0 && number != 2)) return false;
    for (std::int64_t i = 3; i * i <= number; i += 2) {
        if (number % i == 0) return false;
    }
    return true;
}

std::int64_t primes_between(std::int64_t begin, std::int64_t end) {
    std::int64_t count = 0;
    for (std::int64_t number = begin; number < end; ++number)
        count += is_prime(number) ? 1 : 0;
    return count;
}

std::string key_of(std::int64_t block) {
    return "primes/" + std::to_string(block);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGUSR2, [](int) { is_to_stop = 1; });
    std::signal(SIGTERM, [](int) { is_to_stop = 1; });
    const std::int64_t limit = argc > 1 ? std::atoll(argv[1]) : 40'000'000;
    const std::int64_t blocks = (limit + block_size - 1) / block_size;
    const std::int64_t task = number_from("SLURM_PROCID", 0);
    const std::int64_t tasks = number_from("SLURM_NTASKS", 1);
    try {
        const ddict::Dictionary dict = ddict::Dictionary::attach();
        std::int64_t known = 0;
        for (std::int64_t block = task; block < blocks; block += tasks) {
            if (is_to_stop != 0) return try_again_later;
            const std::string key = key_of(block);
            if (dict.contains(key)) {
                ++known;
            } else {
                const std::int64_t begin = block * block_size;
                dict.put(key, primes_between(begin, std::min(begin + block_size, limit)));
            }
        }
        std::cout << "task " << task << " is done; " << known << " of its blocks were there" << std::endl;
        if (task != 0) return 0;
        std::int64_t count = 0;
        for (std::int64_t block = 0; block < blocks;) {
            // Of another task, which may have been told to stop.
            const auto found =
                dict.within(std::chrono::milliseconds(200)).try_wait_for<std::int64_t>(key_of(block));
            if (found) {
                count += *found;
                ++block;
            } else if (found.error().code != ddict::Errc::timeout) {
                throw ddict::Exception(found.error());
            } else if (is_to_stop != 0) {
                return try_again_later;
            }
        }
        std::cout << count << " primes below " << limit << std::endl;
        return 0;
    } catch (const ddict::Exception& error) {
        std::cerr << "primes: " << error.what() << '\n';
        return 1;
    }
}
