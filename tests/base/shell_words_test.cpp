// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "base/shell_words.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

namespace ddict {
namespace {

TEST(ShellWords, AShellReadsThemAsTheyAre) {
    const std::vector<std::string> words{
        "plain-1.0_x", "", "two words", "it's", "'", "$HOME `id` \"*\" ;&|\\", "a\nb"};
    EXPECT_EQ(shell_word("plain-1.0_x"), "plain-1.0_x");
    FILE* const shell = popen(("printf '<%s>' " + shell_line(words)).c_str(), "r");
    ASSERT_NE(shell, nullptr);
    std::string said(1024, '\0');
    said.resize(fread(said.data(), 1, said.size(), shell));
    EXPECT_EQ(pclose(shell), 0);
    std::string wanted;
    for (const std::string& word : words)
        wanted += "<" + word + ">";
    EXPECT_EQ(said, wanted);
}

}  // namespace
}  // namespace ddict
