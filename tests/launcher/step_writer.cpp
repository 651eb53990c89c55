// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// step_writer FIRST LAST: puts "step" at each of these checkpoints.
#include <cstdlib>
#include <string>

#include <ddict/dictionary.h>

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const ddict::Dictionary dict = ddict::Dictionary::attach();
    for (int step = std::atoi(argv[1]); step <= std::atoi(argv[2]); ++step)
        dict.at(static_cast<std::uint32_t>(step)).put("step", "of " + std::to_string(step));
    return 0;
}
