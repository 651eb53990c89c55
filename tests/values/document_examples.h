// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ddict {

/// "    01 ab ..." up to the first word that is not two hex digits, or that stands behind three blanks.
inline std::vector<std::byte> bytes_of_line(std::string_view line) {
    std::vector<std::byte> out;
    std::size_t at = 4;
    const auto digit = [&](std::size_t i) {
        const std::string_view digits = "0123456789abcdef";
        return i < line.size() ? digits.find(line[i]) : std::string_view::npos;
    };
    while (digit(at) != std::string_view::npos && digit(at + 1) != std::string_view::npos &&
           (at + 2 == line.size() || line[at + 2] == ' ')) {
        out.push_back(static_cast<std::byte>(digit(at) * 16 + digit(at + 1)));
        at += 2;
        std::size_t blanks = 0;
        for (; at < line.size() && line[at] == ' '; ++at)
            ++blanks;
        if (blanks > 2) break;
    }
    return out;
}

/// The examples of a document by name, out of its section "Examples": a name is an indented line that holds
/// no bytes, and its bytes follow.
inline std::map<std::string, std::vector<std::byte>> examples_of(const char* path) {
    std::ifstream document(path);
    EXPECT_TRUE(document.is_open()) << path;
    std::map<std::string, std::vector<std::byte>> out;
    std::string line;
    std::string name;
    bool in_examples = false;
    while (std::getline(document, line)) {
        if (line.starts_with("## ")) in_examples = line == "## Examples";
        if (!in_examples || !line.starts_with("    ")) continue;
        const std::vector<std::byte> bytes = bytes_of_line(line);
        if (bytes.empty()) {
            name = line.substr(4);
        } else {
            out[name].insert(out[name].end(), bytes.begin(), bytes.end());
        }
    }
    return out;
}

}  // namespace ddict
