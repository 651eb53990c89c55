// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// usage: TARGET -max_total_time=SECONDS FOLDER
// For compilers without libFuzzer: runs every input of the folder, and then random changes of them for so
// long. DDICT_TEST_SEED=N repeats the changes.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> corpus_of(const char* folder) {
    std::vector<Bytes> corpus;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return corpus;
}

void change(Bytes& input, const std::vector<Bytes>& corpus, std::mt19937_64& random) {
    for (std::uint64_t left = random() % 6 + 1; left > 0; --left) {
        const std::size_t at = input.empty() ? 0 : random() % input.size();
        const auto byte = static_cast<std::uint8_t>(random());
        const auto where = input.begin() + static_cast<std::ptrdiff_t>(at);
        switch (random() % 4) {
            case 0:
                input.insert(where, byte);
                break;
            case 1:
                if (!input.empty()) input.erase(where);
                break;
            case 2: {
                const Bytes& other = corpus[random() % corpus.size()];
                input.insert(where, other.begin(), other.end());
                break;
            }
            default:
                if (!input.empty()) *where = byte;
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    constexpr const char* time_option = "-max_total_time=";
    if (argc != 3 || std::string(argv[1]).rfind(time_option, 0) != 0) {
        std::fprintf(stderr, "usage: %s %sSECONDS FOLDER\n", argv[0], time_option);
        return 2;
    }
    const std::chrono::seconds time(std::atoi(argv[1] + std::strlen(time_option)));
    const char* given = std::getenv("DDICT_TEST_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("DDICT_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    const std::vector<Bytes> corpus = corpus_of(argv[2]);
    if (corpus.empty()) {
        std::fprintf(stderr, "%s has no inputs\n", argv[2]);
        return 2;
    }
    for (const Bytes& input : corpus)
        LLVMFuzzerTestOneInput(input.data(), input.size());
    std::mt19937_64 random(seed);
    std::uint64_t runs = corpus.size();
    for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;
         ++runs) {
        Bytes input = corpus[random() % corpus.size()];
        change(input, corpus, random);
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%llu inputs\n", static_cast<unsigned long long>(runs));
    return 0;
}
