// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/escapes.h"

#include <gtest/gtest.h>

#include <clocale>
#include <random>

namespace ddict::tools {
namespace {

TEST(Escapes, WhatCannotBePrintedIsSpelled) {
    EXPECT_EQ(printable("a\tb\\"), "a\\x09b\\x5c");
    EXPECT_EQ(printable(std::string_view("\x1b[2J\0\x7f", 6)), "\\x1b[2J\\x00\\x7f");
    EXPECT_EQ(printable("  a b  "), "\\x20 a b \\x20");
    EXPECT_EQ(printable(" "), "\\x20");
    EXPECT_EQ(unescaped(printable("  a b  ")), "  a b  ");
    EXPECT_EQ(printable("Größe 龍 🐉"), "Größe 龍 🐉");
}

TEST(Escapes, ALoneDashIsNoStandardInput) {
    EXPECT_EQ(printable("-"), "\\x2d");
    EXPECT_EQ(unescaped("\\x2d"), "-");
    EXPECT_EQ(printable("--"), "--");
    EXPECT_EQ(printable("a-"), "a-");
}

TEST(Escapes, ControlCharactersOfOneByteAndOfTwo) {
    for (int byte = 0x80; byte <= 0x9f; ++byte) {
        const auto c = static_cast<char>(byte);
        EXPECT_EQ(printable({&c, 1}).size(), 4u) << byte;
        const std::string two{'\xc2', c};
        EXPECT_EQ(printable(two).size(), 8u) << byte;
        EXPECT_EQ(printable_text(two).size(), 8u) << byte;
    }
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // begins a sequence, as ESC [ does
}

TEST(Escapes, WhatIsNoUtf8IsSpelledByteByByte) {
    EXPECT_EQ(printable("\xff"), "\\xff");
    EXPECT_EQ(printable("\xc3"), "\\xc3");
    EXPECT_EQ(printable("\xc3x"), "\\xc3x");
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                          // overlong
    EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");                 // overlong
    EXPECT_EQ(printable("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf");        // overlong
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");                 // a surrogate
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");        // above U+10FFFF
    EXPECT_EQ(printable("\xf0\x9f\x90"), "\\xf0\\x9f\\x90");                 // cut
    EXPECT_EQ(printable("\xe2\x82\xac\xe2\x82"), "\xe2\x82\xac\\xe2\\x82");  // a whole one, and a cut one
}

TEST(Escapes, WhatIsInvisibleOrTurnsTheTextIsSpelled) {
    for (const char* text : {"\u00ad", "\u200b", "\u200f", "\u2028", "\u202e", "\u2066", "\ufeff", "\uffff",
                             "\U000e0041", "\U0001fffe"}) {
        EXPECT_EQ(printable(text).substr(0, 2), "\\x") << text;
        EXPECT_EQ(unescaped(printable(text)), text);
    }
}

TEST(Escapes, TextForPeopleKeepsItsLines) {
    EXPECT_EQ(printable_text("a\tb\\n\nc\x1b\x80"), "a\tb\\n\nc\\x1b\\x80");
}

TEST(Escapes, AnyBytesComeBack) {
    const unsigned seed = std::random_device()();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    // Half of them from bytes that are likely to make up UTF-8.
    const std::string likely = "az\\x09\xc2\xc3\xe2\x80\x82\xac\xbf\xf0\x9f\x90\x89\xff\x1b\n";
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes(random() % 12, '\0');
        for (char& c : bytes)
            c = round % 2 == 0 ? static_cast<char>(random()) : likely[random() % likely.size()];
        const std::string shown = printable(bytes);
        ASSERT_EQ(unescaped(shown), bytes) << shown;
        ASSERT_EQ(printable(shown).find('\n'), std::string::npos);
        for (const char c : shown)
            ASSERT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << shown;
    }
}

TEST(Escapes, OnlyWhatIsPrintedIsRead) {
    EXPECT_EQ(unescaped("a\\x5Cb"), "a\\b");
    EXPECT_EQ(unescaped("\\x00\\xfF"), std::string("\0\xff", 2));
    for (const char* wrong : {"\\", "\\n", "a\\x", "\\x1", "\\x1g", "\\\\", "x\\x0"})
        EXPECT_EQ(unescaped(wrong), std::nullopt) << wrong;
}

TEST(Escapes, WidthIsInColumns) {
    ASSERT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
    EXPECT_EQ(width_of("Größe"), 5u);
    EXPECT_EQ(width_of("龍"), 2u);
    EXPECT_EQ(width_of("e\u0301"), 1u);  // an accent of its own
    EXPECT_EQ(width_of("\\x1b"), 4u);
    EXPECT_EQ(beginning_of("龍龍", 3), "龍");
    EXPECT_EQ(beginning_of("Größe", 4), "Größ");
    EXPECT_EQ(beginning_of("ab\\x1bc", 5), "ab");
    EXPECT_EQ(beginning_of("ab\\x1bc", 6), "ab\\x1b");
    EXPECT_EQ(beginning_of("abc", 100), "abc");
    EXPECT_EQ(beginning_of("", 0), "");
}

}  // namespace
}  // namespace ddict::tools
