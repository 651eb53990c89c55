// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Slurm's lists of hosts: what is accepted stands for a bounded number of names, and the names folded
// together again stand for the same.
#include <string>
#include <vector>

#include "slurm/hostlist.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;

namespace {

constexpr std::size_t hosts_limit = 2000;

void expand(std::string_view text) {
    const Result<std::vector<std::string>> names = slurm::expand_hostlist(text, hosts_limit);
    if (!names) return fuzz::require(names.error().code == Errc::invalid_argument);
    fuzz::require(names->size() <= hosts_limit && names->empty() == text.empty());
    for (const std::string& name : *names) {
        fuzz::require(!name.empty() && name.find_first_of(",[] \n") == std::string::npos);
        fuzz::require(name.size() <= text.size() + 20);
    }
    const std::string list = slurm::compress_hostlist(*names);
    const Result<std::vector<std::string>> again = slurm::expand_hostlist(list, hosts_limit);
    fuzz::require(again.has_value() && *again == *names);
}

/// Pieces of lists, each for a byte: brackets match more often than in any text.
std::string list_of(fuzz::Input& input) {
    constexpr std::array<std::string_view, 22> pieces{"n",
                                                      "rack",
                                                      "[",
                                                      "]",
                                                      ",",
                                                      "-",
                                                      "0",
                                                      "1",
                                                      "9",
                                                      "10",
                                                      "007",
                                                      "[1-3]",
                                                      "[08-11]",
                                                      "[1,3,5-6]",
                                                      "99999999999999999",
                                                      "999999999999999999",
                                                      "a1",
                                                      ".site",
                                                      "[0-999]",
                                                      "[00-2]",
                                                      "x",
                                                      "-ib"};
    std::string text;
    while (!input.is_empty())
        text += input.pick(pieces);
    return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    if (input.flip()) {
        expand(list_of(input));
    } else {
        const auto rest = input.take_bytes(size);
        expand(std::string(rest.begin(), rest.end()));
    }
    return 0;
}
