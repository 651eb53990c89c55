// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/words_of_line.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/base/seed.h"

namespace ddict::tools {
namespace {

using Words = std::vector<std::string>;

TEST(WordsOfLine, AreAsAShellHasThem) {
    EXPECT_EQ(split_line("").words, Words{});
    EXPECT_EQ(split_line("  put\ta  b ").words, (Words{"put", "a", "b"}));
    EXPECT_EQ(split_line("'a b' \"c d\" e\\ f").words, (Words{"a b", "c d", "e f"}));
    EXPECT_EQ(split_line("a'b'\"c\"\\d").words, Words{"abcd"});
    EXPECT_EQ(split_line("'' \"\"").words, (Words{"", ""}));
    EXPECT_EQ(split_line("'\\n' \"\\n\\\"\\\\\" \\n").words, (Words{"\\n", "\\n\"\\", "n"}));
    EXPECT_EQ(split_line("get a#b # get c").words, (Words{"get", "a#b"}));
    EXPECT_EQ(split_line("# get").words, Words{});
}

TEST(WordsOfLine, TellWhereTheLastOneIsOpen) {
    EXPECT_FALSE(split_line("get ").is_last_open);
    EXPECT_TRUE(split_line("get a").is_last_open);
    EXPECT_EQ(split_line("get ab").last_begins, 4U);
    const WordsOfLine quoted = split_line("get 'a b");
    EXPECT_EQ(quoted.words.back(), "a b");
    EXPECT_EQ(quoted.open_quote, '\'');
    EXPECT_EQ(quoted.last_begins, 4U);
    EXPECT_EQ(split_line("get \"a").open_quote, '"');
    EXPECT_TRUE(split_line("get a\\").ends_in_backslash);
    EXPECT_FALSE(split_line("get 'a\\'").ends_in_backslash);
}

TEST(WordsOfLine, OfAnyBytesComeBackQuoted) {
    std::mt19937_64 random(test_seed());
    constexpr std::string_view pieces = "ab '\"\\#\t$*-/\xc3\x9f";
    for (int i = 0; i < 2000; ++i) {
        Words words(random() % 4);
        std::string line;
        for (std::string& word : words) {
            for (auto size = random() % 6; size > 0; --size)
                word += pieces[random() % pieces.size()];
            line += quoted_word(word) + " ";
        }
        EXPECT_EQ(split_line(line).words, words) << line;
    }
}

}  // namespace
}  // namespace ddict::tools
