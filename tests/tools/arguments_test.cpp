// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/arguments.h"

#include <gtest/gtest.h>

#include <array>

#include "tools/help.h"
#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

const std::vector<Option> everywhere{
    {.name = "--timeout", .value = "SECONDS", .help = "how long"},
    {.name = "--help", .letter = 'h', .help = "this"},
    {.name = "--version", .help = "the version"},
};

const std::vector<Command> commands{
    {.name = "get", .operands = "KEY", .operands_min = 1, .operands_max = 1, .summary = "get it"},
    {.name = "put",
     .operands = "KEY VALUE",
     .operands_min = 2,
     .operands_max = 2,
     .options = {{.name = "--escaped", .help = "with \\xNN"},
                 {.name = "--as", .value = "TYPE", .help = "type"}},
     .summary = "put it"},
    {.name = "keys",
     .operands = "[PREFIX]",
     .operands_max = 1,
     .options = {{.name = "--null", .letter = '0', .help = "zero bytes"}},
     .summary = "list them",
     .also = "--all"},
    {.name = "drop",
     .operands = "KEY",
     .operands_min = 1,
     .operands_max = 1,
     .options = {{.name = "--stdin", .help = "from there", .replaces_operands = true}},
     .summary = "drop it"},
};

Arguments parsed(std::vector<std::string> words) {
    return Arguments(words, everywhere, commands);
}

std::string refused(std::vector<std::string> words) {
    try {
        parsed(std::move(words));
    } catch (const UsageError& error) {
        return error.what();
    }
    return "(accepted)";
}

using Words = std::vector<std::string>;

TEST(Arguments, WordsWithoutAnOption) {
    constexpr std::array<std::string_view, 2> left_out{"--timeout", "--as"};
    for (const Words& words : {Words{"--timeout", "5", "put", "--as", "int", "--escaped", "k", "--", "--as"},
                               Words{"put", "--escaped", "k", "--timeout=5", "--as=x", "--", "--as"}})
        EXPECT_EQ(parsed(words).words_without(left_out), (Words{"put", "--escaped", "k", "--", "--as"}));
    EXPECT_EQ(parsed({"-h", "get"}).words_without(left_out), (Words{"-h", "get"}));
}

TEST(Arguments, OptionsStandAnywhere) {
    for (const Words& words : {Words{"--timeout", "5", "put", "--as", "int", "k", "v"},
                               Words{"put", "k", "v", "--as=int", "--timeout=5"},
                               Words{"put", "--timeout", "5", "k", "--as", "int", "v"}}) {
        const Arguments arguments = parsed(words);
        EXPECT_EQ(arguments.command()->name, "put");
        EXPECT_EQ(arguments.operands(), (Words{"k", "v"}));
        EXPECT_EQ(arguments.value("--as"), "int");
        EXPECT_EQ(arguments.seconds("--timeout", 1, 10), std::chrono::seconds(5));
    }
}

TEST(Arguments, HelpIsHelpWhereverItStands) {
    EXPECT_TRUE(parsed({"get", "--help"}).has("--help"));
    EXPECT_TRUE(parsed({"get", "-h", "k"}).has("--help"));
    EXPECT_TRUE(parsed({"-h"}).has("--help"));
    EXPECT_EQ(parsed({"-h"}).command(), nullptr);
    EXPECT_FALSE(parsed({"get", "--", "--help"}).has("--help"));
}

TEST(Arguments, TheWordHelpIsTheOption) {
    EXPECT_TRUE(parsed({"help"}).has("--help"));
    EXPECT_EQ(parsed({"help"}).command(), nullptr);
    EXPECT_TRUE(parsed({"help", "put"}).has("--help"));
    EXPECT_EQ(parsed({"help", "put"}).command()->name, "put");
    EXPECT_FALSE(parsed({"get", "help"}).has("--help")) << "it is the key";
    EXPECT_EQ(refused({"help", "fly"}), "there is no command 'fly'");
    EXPECT_EQ(refused({"help", "help"}), "there is no command 'help'");
}

TEST(Arguments, AfterTwoDashesNothingIsAnOption) {
    EXPECT_EQ(parsed({"put", "--", "-k", "--escaped"}).operands(), (Words{"-k", "--escaped"}));
    EXPECT_EQ(parsed({"put", "--", "--", "-"}).operands(), (Words{"--", "-"}));
    EXPECT_EQ(parsed({"--", "get", "-k"}).operands(), (Words{"-k"}));
    EXPECT_EQ(parsed({"put", "a", "--", "--"}).operands_before_dashes(), 1u);
    EXPECT_EQ(parsed({"put", "a", "b"}).operands_before_dashes(), std::nullopt);
}

TEST(Arguments, NumbersAreNoOptions) {
    for (const char* number : {"-5", "-.5", "-1e3", "-inf", "-nan", "-nan(0x1)", "-0", "-"})
        EXPECT_EQ(parsed({"put", "k", number}).operands().back(), number);
    EXPECT_TRUE(parsed({"keys", "-0"}).has("--null"));
    EXPECT_EQ(parsed({"keys", "-5"}).operands(), (Words{"-5"}));
}

TEST(Arguments, WhatMakesNoSenseIsRefused) {
    EXPECT_EQ(refused({}), "no command was given");
    EXPECT_EQ(refused({"fly\x1b"}), "there is no command 'fly\\x1b'");
    EXPECT_EQ(refused({"--fly", "get", "k"}), "unknown option '--fly'");
    EXPECT_EQ(refused({"get", "--json"}),
              "unknown option '--json' of get (a key or value that begins with a dash stands after --)");
    EXPECT_EQ(refused({"get", "-x"}),
              "unknown option '-x' of get (a key or value that begins with a dash stands after --)");
    EXPECT_EQ(refused({"--escaped", "put", "k", "v"}), "unknown option '--escaped'");
    EXPECT_EQ(refused({"put", "k", "v", "--as"}), "--as takes a value: TYPE");
    EXPECT_EQ(refused({"put", "k", "v", "--escaped=1"}), "--escaped takes no value");
    EXPECT_EQ(refused({"get"}), "get takes KEY, not 0 words");
    EXPECT_EQ(refused({"get", "a", "b"}), "get takes KEY, not 2 words");
    EXPECT_EQ(refused({"keys", "a", "b"}), "keys takes [PREFIX], or --all, not 2 words");
}

TEST(Arguments, SecondsAreANumberAllOfIt) {
    for (const char* text : {"", "x", "5x", " 5", "0", "-1", "nan", "inf", "11"})
        EXPECT_THROW(static_cast<void>(parsed({"get", "k", "--timeout", text}).seconds("--timeout", 0.5, 10)),
                     UsageError)
            << text;
    EXPECT_EQ(parsed({"get", "k"}).seconds("--timeout", 1, 10), std::nullopt);
    EXPECT_EQ(parsed({"get", "k", "--timeout", "1.5"}).seconds("--timeout", 1, 10),
              std::chrono::milliseconds(1500));
}

TEST(Arguments, EscapedWordsStandForBytes) {
    EXPECT_EQ(parsed({"put", "--escaped", "a\\x00b", "v"}).text(0), std::string("a\0b", 3));
    EXPECT_EQ(parsed({"put", "a\\x00b", "v"}).text(0), "a\\x00b");
    EXPECT_THROW(static_cast<void>(parsed({"put", "--escaped", "a\\b", "v"}).text(0)), UsageError);
}

TEST(Help, HasEverythingWithin80Columns) {
    const std::string all = help_text(commands, everywhere);
    for (const Command& command : commands) {
        EXPECT_NE(all.find("  " + std::string(command.name) + " "), std::string::npos);
        const std::string one = help_text(command, everywhere);
        for (const Option& option : command.options)
            EXPECT_NE(one.find(option.name), std::string::npos);
        for (const Option& option : everywhere)
            EXPECT_EQ(one.find("\n  " + std::string(option.name)), std::string::npos)
                << "it is of all commands";
        EXPECT_EQ(one.find("Exit status"), std::string::npos);
        EXPECT_NE(one.find("'ddict --help' has"), std::string::npos) << "it says where the rest stands";
    }
    EXPECT_NE(all.find("Exit status"), std::string::npos);
    EXPECT_NE(help_text(commands[2], everywhere).find("\n       ddict keys --all [OPTIONS]\n"),
              std::string::npos);
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = all.find('\n', begin)) != all.npos; begin = end + 1)
        EXPECT_LE(end - begin, 80u) << all.substr(begin, end - begin);
}

TEST(Arguments, WhatWasProbablyMeantIsSaid) {
    EXPECT_NE(refused({"gte", "k"}).find("did you mean 'get'?"), std::string::npos) << refused({"gte", "k"});
    EXPECT_NE(refused({"kyes"}).find("did you mean 'keys'?"), std::string::npos);
    EXPECT_NE(refused({"put", "k", "v", "--escape"}).find("did you mean '--escaped'?"), std::string::npos);
    EXPECT_NE(refused({"get", "k", "--timout=5"}).find("did you mean '--timeout'?"), std::string::npos);
    EXPECT_EQ(refused({"get", "k", "--escaped"}).find("did you mean"), std::string::npos)
        << "no option of get is near";
    EXPECT_EQ(refused({"xylophone"}).find("did you mean"), std::string::npos);
    EXPECT_EQ(refused({"x"}).find("did you mean"), std::string::npos);
}

TEST(Arguments, SomeOptionsStandForOperands) {
    EXPECT_NE(refused({"drop"}), "(accepted)");
    EXPECT_EQ(refused({"drop", "--stdin"}), "(accepted)");
    EXPECT_EQ(refused({"drop", "--stdin", "key"}), "(accepted)");
    EXPECT_NE(refused({"drop", "--stdin", "key", "another"}), "(accepted)");
}

}  // namespace
}  // namespace ddict::tools
