// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/completion.h"

#include <gtest/gtest.h>

namespace ddict::tools {
namespace {

const std::vector<Option> everywhere{
    {.name = "--timeout", .value = "SECONDS", .help = "how long"},
    {.name = "--help", .letter = 'h', .help = "this"},
};

const std::vector<Command> commands{
    {.name = "get",
     .options = {{.name = "--type", .help = "its type"}},
     .summary = "get it",
     .completes = {{.kind = Completes::Kind::key}}},
    {.name = "put",
     .options =
         {{.name = "--as", .letter = 'a', .value = "TYPE", .completes = {.kind = Completes::Kind::type}}},
     .completes = {{.kind = Completes::Kind::key}, {}}},
    {.name = "checkpoint",
     .completes = {{.kind = Completes::Kind::words, .words = "ls|load"}, {.kind = Completes::Kind::file}}},
    {.name = "restart", .completes = {{.kind = Completes::Kind::manager}}},
};

using Words = std::vector<std::string>;

Candidates found(const Words& words) {
    const Known known{
        .keys =
            [](const std::string& beginning, bool is_escaped) {
                return is_escaped ? Words{beginning + "\\"} : Words{beginning + "1", beginning + "2"};
            },
        .managers =
            [] {
                return Words{"0", "1"};
            }};
    return candidates_for(words, everywhere, commands, known);
}

Words texts(const Words& words) {
    Words all;
    for (const Candidate& one : found(words).all)
        all.push_back(one.text);
    return all;
}

TEST(Completion, OfCommands) {
    EXPECT_EQ(texts({""}), (Words{"get", "put", "checkpoint", "restart", "help"}));
    EXPECT_EQ(texts({}), texts({""}));
    EXPECT_EQ(texts({"p"}), Words{"put"});
    EXPECT_EQ(texts({"--timeout", "5", "g"}), Words{"get"});
    EXPECT_EQ(texts({"help", "re"}), Words{"restart"});
    EXPECT_EQ(texts({"x"}), Words{});
    EXPECT_EQ(found({"ge"}).all, (std::vector<Candidate>{{"get", "get it"}}));
}

TEST(Completion, OfOptionsOfTheCommandAndOfAll) {
    EXPECT_EQ(texts({"get", "-"}), (Words{"--type", "--timeout", "--help"}));
    EXPECT_EQ(texts({"get", "k", "--ti"}), Words{"--timeout"});
    EXPECT_EQ(texts({"--t"}), Words{"--timeout"});
    EXPECT_EQ(texts({"put", "--t"}), Words{"--timeout"});
    EXPECT_EQ(texts({"get", "--", "-"}), (Words{"-1", "-2"})) << "that is no option";
}

TEST(Completion, OfTheValuesOfOptions) {
    EXPECT_EQ(texts({"put", "--as", "complex1"}), Words{"complex128"});
    EXPECT_EQ(texts({"put", "-a", "complex1"}), Words{"complex128"});
    EXPECT_EQ(texts({"put", "--as=complex1"}), Words{"--as=complex128"});
    EXPECT_EQ(texts({"get", "--timeout", ""}), Words{});
    EXPECT_EQ(texts({"get", "--timeout", "5", "k"}), (Words{"k1", "k2"}));
}

TEST(Completion, OfOperands) {
    EXPECT_EQ(texts({"get", "k"}), (Words{"k1", "k2"}));
    EXPECT_EQ(texts({"get", "a", "b", "k"}), (Words{"k1", "k2"})) << "the last kind is for all others";
    EXPECT_EQ(texts({"put", "k"}), (Words{"k1", "k2"}));
    EXPECT_EQ(texts({"put", "k", "v"}), Words{}) << "a value can be anything";
    EXPECT_EQ(texts({"get", "--escaped", "k"}), Words{"k\\"});
    EXPECT_EQ(texts({"get", "k", "--escaped", "k"}), Words{"k\\"});
    EXPECT_EQ(texts({"restart", "0", ""}), (Words{"0", "1"}));
    EXPECT_EQ(texts({"checkpoint", "l"}), (Words{"ls", "load"}));
    EXPECT_FALSE(found({"checkpoint", "l"}).are_files);
    EXPECT_TRUE(found({"checkpoint", "ls", ""}).are_files);
}

TEST(Completion, InsertsWhatAllWordsBeginWith) {
    EXPECT_EQ(common_beginning({}), "");
    EXPECT_EQ(common_beginning({"one"}), "one");
    EXPECT_EQ(common_beginning({"run/energy", "run/entropy"}), "run/en");
    EXPECT_EQ(common_beginning({"run", "run/entropy"}), "run");
    EXPECT_EQ(common_beginning({"a", "b"}), "");
    EXPECT_EQ(common_beginning({"a", ""}), "");
}

TEST(Completion, InsertsNoPartOfACharacter) {
    EXPECT_EQ(common_beginning({"ä", "ö"}), "") << "two bytes, the first in common";
    EXPECT_EQ(common_beginning({"maß", "maü"}), "ma");
    EXPECT_EQ(common_beginning({"maßa", "maßb", "maü"}), "ma");
    EXPECT_EQ(common_beginning({"maü", "maßa", "maßb"}), "ma");
    EXPECT_EQ(common_beginning({"mü", "müh"}), "mü") << "whole as it is";
    EXPECT_EQ(common_beginning({"müa", "müb"}), "mü");
    EXPECT_EQ(common_beginning({"x→", "x⇒"}), "x") << "three bytes, one in common";
    EXPECT_EQ(common_beginning({"x→", "x↓"}), "x") << "three bytes, two in common";
    EXPECT_EQ(common_beginning({"x😀", "x😁"}), "x") << "four bytes, three in common";
    EXPECT_EQ(common_beginning({"é😀", "é😁"}), "é");
    EXPECT_EQ(common_beginning({"é😀", "é"}), "é");
}

}  // namespace
}  // namespace ddict::tools
