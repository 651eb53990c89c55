// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Counts words with many clients: every word is a counter in the dictionary, and fetch_add makes it right
// however many processes add at once. Each process reads every n-th line; the first one waits for the others
// and prints the ten words that are most frequent.
//
//   ddict-launch -- srun --ntasks=8 word_count FILE...     in a Slurm job
//   ddict-launch -- word_count FILE...                     one process
#include <ddict/dictionary.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

int number_from(const char* variable, int otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::atoi(text);
}

/// The words of every `clients`-th line.
std::unordered_map<std::string, std::int64_t> count_words(std::istream& in, int client, int clients) {
    std::unordered_map<std::string, std::int64_t> counts;
    std::string line;
    for (int number = 0; std::getline(in, line); ++number) {
        if (number % clients != client) continue;
        std::string word;
        for (const char c : line + ' ') {
            if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
                word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            } else if (!word.empty()) {
                ++counts[word];
                word.clear();
            }
        }
    }
    return counts;
}

void print_most_frequent(const ddict::View& dict) {
    std::vector<std::pair<std::int64_t, std::string>> words;
    for (const auto& [key, count] : dict.items<std::string, std::int64_t>("word/"))
        words.emplace_back(-count, key.substr(5));
    std::sort(words.begin(), words.end());
    words.resize(std::min<std::size_t>(words.size(), 10));
    for (const auto& [count, word] : words)
        std::cout << -count << ' ' << word << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: word_count FILE...\n";
        return 2;
    }
    const int client = number_from("SLURM_PROCID", 0);
    const int clients = number_from("SLURM_NTASKS", 1);
    try {
        const auto dict = ddict::Dictionary::attach();
        for (int i = 1; i < argc; ++i) {
            std::ifstream file(argv[i]);
            if (!file) throw std::runtime_error(std::string("cannot read ") + argv[i]);
            for (const auto& [word, count] : count_words(file, client, clients))
                dict.fetch_add("word/" + word, count);
        }
        dict.fetch_add("clients that are done");
        if (client != 0) return 0;
        dict.wait_for_value("clients that are done", std::int64_t{clients});
        print_most_frequent(dict);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "word_count: " << error.what() << '\n';
        return 1;
    }
}
