// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Random lists of hosts. The seed is DDICT_TEST_SEED, or random; it belongs into every message of a failure.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace ddict::slurm {

class RandomHosts {
  public:
    RandomHosts() : seed_(chosen_seed()), engine_(seed_) {}

    std::string seed_text() const { return "DDICT_TEST_SEED=" + std::to_string(seed_); }

    std::size_t below(std::size_t end) {
        return std::uniform_int_distribution<std::size_t>(0, end - 1)(engine_);
    }

    /// Names as clusters have them: runs of numbers, some padded, some names alone.
    std::vector<std::string> names() {
        std::vector<std::string> all;
        for (std::size_t run = below(6); run > 0; --run) {
            const std::string prefix = one_of({"n", "node", "rack1-n", "a1b", "x0"});
            if (below(4) == 0) {
                all.push_back(one_of({"login", "gpu-a", "n"}));
                continue;
            }
            const std::size_t width = below(5);
            const std::size_t first = below(below(2) ? 12 : 1200);
            for (std::size_t n = first, end = first + 1 + below(12); n < end; ++n) {
                std::string digits = std::to_string(n);
                if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
                all.push_back(prefix + digits);
            }
        }
        return all;
    }

    /// A list that Slurm takes, of some thousand names at the most.
    std::string list() {
        std::string text;
        for (std::size_t items = 1 + below(4); items > 0; --items) {
            if (!text.empty()) text += ',';
            text += one_of({"n", "rack", "c-", "x1y"});
            for (std::size_t brackets = below(4); brackets > 0; --brackets) {
                text += bracket();
                if (brackets > 1)
                    text += one_of({"", "n", "-ib"});  // Slurm takes no text after the last bracket
            }
        }
        return text;
    }

    /// Mostly malformed.
    std::string garbage() {
        std::string text;
        for (std::size_t length = below(14); length > 0; --length)
            text += "nab[[]]--,,0123 9\x01"[below(19)];
        return text;
    }

  private:
    static std::uint64_t chosen_seed() {
        const char* const text = std::getenv("DDICT_TEST_SEED");
        return text ? std::strtoull(text, nullptr, 10) : std::random_device()();
    }

    std::string one_of(std::initializer_list<const char*> choices) {
        return choices.begin()[below(choices.size())];
    }

    std::string bracket() {
        std::string text = "[";
        for (std::size_t ranges = 1 + below(2); ranges > 0; --ranges) {
            if (text.size() > 1) text += ',';
            const std::size_t first = below(120);
            const std::size_t width = below(4);
            std::string digits = std::to_string(first);
            if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
            text += digits;
            if (below(2)) {
                std::string last = std::to_string(first + below(5));
                if (last.size() < digits.size()) last.insert(0, digits.size() - last.size(), '0');
                text += "-" + last;
            }
        }
        return text + "]";
    }

    const std::uint64_t seed_;
    std::mt19937_64 engine_;
};

}  // namespace ddict::slurm
