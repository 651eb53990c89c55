// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A program of somebody else, built against the installed package alone.
#include <ddict/dictionary.h>

#include <iostream>
#include <vector>

int main() {
    auto dict = ddict::Dictionary::attach();
    dict.put("Hello", "Dragon");
    dict.put(7, std::vector<double>{1, 2, 3});
    const ddict::Result<std::string> missing = dict.try_get("nobody");
    std::cout << "ddict " << EXPECTED_VERSION << ": " << dict.get("Hello") << ' '
              << dict.get<std::vector<double>>(7).size() << ' '
              << (missing ? "found" : ddict::name(missing.error().code)) << '\n';
}
