// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line and its environment variables, and sizes as people write them.
#include "launcher/options.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <filesystem>

#include <fstream>
#include <sstream>

#include "launcher/sizes.h"
#include "os/environment.h"

namespace ddict::launcher {
namespace {

using namespace std::chrono_literals;

std::string why_not(const std::vector<std::string>& args, const os::Environment& environment = {}) {
    const auto options = parse_options(args, environment);
    return options ? "accepted" : options.error().detail.data();
}

TEST(Sizes, AreWrittenWithUnitsOrWithout) {
    const std::pair<const char*, std::uint64_t> sizes[] = {{"0", 0},
                                                           {"65536", 65536},
                                                           {"64K", 64 << 10},
                                                           {"512m", 512 << 20},
                                                           {"2G", std::uint64_t{2} << 30},
                                                           {"1.5G", std::uint64_t{3} << 29},
                                                           {"0.25M", 256 << 10},
                                                           {"8388607T", 0x7fffff0000000000}};
    for (const auto& [text, bytes] : sizes) {
        const auto parsed = parse_size(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(*parsed, bytes) << text;
    }
}

TEST(Sizes, RefuseWhatIsNone) {
    for (const char* const text : {"", "G", "x", "-1", "1.5", "1..5G", "1.5GB", "1 G", "1.T", ".5G",
                                   "99999999T", "18446744073709551616", "1e9", "0x10", "1.0000000001G"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Seconds, AreShownAsTheyWereGiven) {
    EXPECT_EQ(format_seconds(60s), "60");
    EXPECT_EQ(format_seconds(10ms), "0.01");
    EXPECT_EQ(format_seconds(1500ms), "1.5");
    EXPECT_EQ(format_seconds(0ms), "0");
    EXPECT_EQ(format_seconds(10'001ms), "10.001");
}

TEST(Sizes, ThatAreOfferedCanBeUsed) {
    const std::string offer = parse_size("1X").error().detail.data();
    for (const char* const text : {"2G", "512M", "1.5G", "268435456"}) {
        EXPECT_NE(offer.find(text), std::string::npos) << offer;
        EXPECT_GE(parse_size(text).value(), limits::pool_bytes_min);
    }
}

TEST(Sizes, AreShownShort) {
    EXPECT_EQ(format_size(0), "0");
    EXPECT_EQ(format_size(1023), "1023");
    EXPECT_EQ(format_size(1024), "1K");
    EXPECT_EQ(format_size(std::uint64_t{3} << 29), "1.5G");
    EXPECT_EQ(format_size((std::uint64_t{1} << 20) - 1), "1023.9K");
    EXPECT_EQ(format_size(std::uint64_t{5} << 52), "20480T");
}

TEST(Options, HaveDefaults) {
    const auto options = parse_options({"--", "program", "--nodes", "9"}, {});
    ASSERT_TRUE(options);
    EXPECT_EQ(options->verb, Verb::run);
    EXPECT_FALSE(options->nodes);
    EXPECT_EQ(options->managers_per_node, 1U);
    EXPECT_EQ(options->total_bytes, 256U << 20);
    EXPECT_EQ(options->timeout, 60s);
    EXPECT_EQ(options->name, "default");
    EXPECT_EQ(options->command, (std::vector<std::string>{"program", "--nodes", "9"}));
}

TEST(Options, CommandLineWinsOverEnvironment) {
    const os::Environment environment{{"DDICT_NODES", "4"}, {"DDICT_TOTAL_MEM", "1G"}, {"DDICT_TIMEOUT", ""}};
    const auto options = parse_options({"--nodes", "2", "--timeout=1.5", "--", "x"}, environment);
    ASSERT_TRUE(options);
    EXPECT_EQ(options->nodes, 2U);
    EXPECT_EQ(options->total_bytes, 1U << 30);
    EXPECT_EQ(options->timeout, 1500ms);
}

TEST(Options, WhoWaitsNeedsTwoCheckpoints) {
    EXPECT_TRUE(parse_options({"--wait-for-keys", "--working-set", "2", "--", "x"}, {})->working_set.waits());
    EXPECT_NE(why_not({"--wait-for-keys", "--", "x"}).find("--working-set 2"), std::string::npos);
    const std::string why = why_not({"--", "x"}, {{"DDICT_WAIT_FOR_WRITERS", "1"}});
    EXPECT_TRUE(why.starts_with("DDICT_WAIT_FOR_WRITERS needs two checkpoints")) << why;
}

/// Who has never written an option must not look for it.
TEST(Options, WhatAVariableHasSetIsCalledByTheVariable) {
    for (const auto& [option, value] :
         {std::pair("save-before", "9"), {"save-on", "USR2"}, {"load", "latest"}}) {
        const auto text = std::find_if(option_texts().begin(), option_texts().end(),
                                       [&](const OptionText& one) { return one.option == option; });
        const std::string by_option = why_not({"--" + std::string(option), value, "--", "x"});
        const std::string by_variable = why_not({"--", "x"}, {{std::string(text->variable), value}});
        EXPECT_TRUE(by_option.starts_with("--" + std::string(option))) << by_option;
        EXPECT_TRUE(by_variable.starts_with(text->variable)) << by_variable;
    }
}

TEST(Options, EveryOneHasAVariableThatWorks) {
    for (const OptionText& text : option_texts()) {
        const std::string value = text.value == "SIZE" ? "3M"
                                  : text.value == "NAME" || text.value == "DIR" || text.value == "FILE"
                                      ? "abc"
                                  : text.value == "HOW"   ? "streams"
                                  : text.value == "LEVEL" ? "error"
                                  : text.value == "TO"    ? "core"
                                  : text.value.empty()    ? "1"
                                                          : "3";
        std::vector<std::string> args{"--" + std::string(text.option), value, "--", "x"};
        if (text.value.empty()) args.erase(args.begin() + 1);
        // When to save can be said only where there is a folder for it.
        os::Environment base{{"DDICT_SAVE", "folder"}};
        if (text.option == "allow-empty") base["DDICT_RESUME"] = "1";
        if (text.option == "persist-count" || text.option == "persist-freq" || text.option == "restore-from")
            base["DDICT_PERSIST_PATH"] = "folder";
        if (text.option == "read-only")
            base.insert({{"DDICT_PERSIST_PATH", "folder"}, {"DDICT_RESTORE_FROM", "3"}});
        if (text.option == "compress") base["DDICT_SAVE"] = "folder";
        if (text.option.starts_with("wait-for")) base["DDICT_WORKING_SET"] = "2";
        os::Environment with_variable = base;
        with_variable[std::string(text.variable)] = value;
        const auto by_option = parse_options(args, base);
        const auto by_variable = parse_options({"--", "x"}, with_variable);
        const auto by_nothing = parse_options({"--", "x"}, base);
        ASSERT_TRUE(by_option && by_variable && by_nothing) << text.option;
        const auto all = [](const Options& o) {
            return std::tuple(o.nodes, o.nodelist, o.managers_per_node, o.total_bytes, o.timeout, o.name,
                              o.bootstrap, o.hosts, o.rsh, o.log.path, o.log.level, o.state_dir,
                              o.manager_program, o.bind, o.prefault, o.huge_pages, o.restart, o.fail_on_loss,
                              o.quiet, o.load, o.save, o.save_before, o.save_on, o.save_keep, o.compress,
                              o.keep, o.resume, o.allow_empty, o.working_set.packed(), o.persist.path,
                              o.persist.count, o.persist_freq, o.restore_from, o.persist.read_only);
        };
        EXPECT_EQ(all(*by_option), all(*by_variable)) << text.option;
        EXPECT_NE(all(*by_option), all(*by_nothing)) << text.option;
    }
}

TEST(Options, NameWhatTheyCannotUnderstand) {
    EXPECT_NE(why_not({"--nodes", "0", "--", "x"}).find("--nodes: '0' is not a number from 1"),
              std::string::npos);
    EXPECT_NE(why_not({"--", "x"}, {{"DDICT_TOTAL_MEM", "2 pounds"}})
                  .find("DDICT_TOTAL_MEM: invalid size '2 pounds'"),
              std::string::npos);
    EXPECT_NE(why_not({"--nodelist", "n[3-1]", "--", "x"}).find("--nodelist: list of nodes: a range runs"),
              std::string::npos);
    EXPECT_NE(why_not({"--managers-per-node=257", "--", "x"}).find("--managers-per-node"), std::string::npos);
    EXPECT_NE(why_not({"--timeout", "-1", "--", "x"}).find("--timeout"), std::string::npos);
    EXPECT_NE(why_not({"--timeout", "nan", "--", "x"}).find("--timeout"), std::string::npos);
    EXPECT_NE(why_not({"--name", "../escape", "--", "x"}).find("--name"), std::string::npos);
    EXPECT_NE(why_not({"--frobnicate", "--", "x"}).find("frobnicate"), std::string::npos);
    EXPECT_NE(why_not({"--node=2", "--", "x"}).find("--node"), std::string::npos) << "no abbreviations";
    EXPECT_NE(why_not({"-n", "2", "--", "x"}).find("unrecognised option '-n'"), std::string::npos);
    EXPECT_NE(why_not({"--name", "a", "stop"}).find("'stop' comes first: ddict-launch stop"),
              std::string::npos);
}

TEST(Options, WantTheCommandBehindTwoDashes) {
    EXPECT_NE(why_not({"./program"}).find("A program to run is written after --"), std::string::npos);
    for (const char* const word : {"help", "foo", "Stop", "./program"})
        EXPECT_EQ(
            why_not({"--nodes", "2", word}).find("there is no command '" + std::string(word) + "'; see "), 0U)
            << word;
    EXPECT_EQ(why_not({"stop", "--name", "a", "extra"}),
              "stop takes no word 'extra'; see ddict-launch --help");
    EXPECT_EQ(why_not({"status", "a"}), "status takes no word 'a'; see ddict-launch --help");
    EXPECT_NE(why_not({"start", "stop"}).find("'stop' comes first"), std::string::npos);
    EXPECT_NE(why_not({"--nodes", "2"}).find("no command"), std::string::npos);
    EXPECT_NE(why_not({"stop", "--", "x"}).find("leave out --"), std::string::npos);
}

TEST(Options, KnowTheVerbs) {
    EXPECT_EQ(parse_options({"start", "--export"}, {}).value().verb, Verb::start);
    EXPECT_TRUE(parse_options({"start", "--export"}, {}).value().export_line);
    EXPECT_EQ(parse_options({"status", "--json"}, {}).value().verb, Verb::status);
    EXPECT_EQ(parse_options({"--check", "--nodes", "2"}, {}).value().verb, Verb::check);
    EXPECT_EQ(parse_options({"--help"}, {{"DDICT_NODES", "bad"}}).value().verb, Verb::help);
    EXPECT_EQ(parse_options({"-h"}, {}).value().verb, Verb::help);
    EXPECT_EQ(parse_options({"status", "-h"}, {}).value().verb, Verb::help);
    EXPECT_EQ(parse_options({"--", "program", "-h"}, {}).value().verb, Verb::run) << "that is the command's";
    EXPECT_EQ(parse_options({"--", "start"}, {}).value().verb, Verb::run);
    EXPECT_NE(why_not({"stop", "--export"}).find("--export belongs to"), std::string::npos);
    EXPECT_NE(why_not({"--json", "--", "x"}).find("--json belongs to"), std::string::npos);
    const Options restart = parse_options({"restart", "--manager", "0", "--name", "other"}, {}).value();
    EXPECT_EQ(restart.verb, Verb::restart);
    EXPECT_EQ(restart.manager, 0U);
    EXPECT_EQ(restart.name, "other");
    EXPECT_EQ(parse_options({"restart", "--manager=65535"}, {}).value().manager, 65535U);
    EXPECT_NE(why_not({"restart"}).find("which manager?"), std::string::npos);
    EXPECT_NE(why_not({"stop", "--manager", "1"}).find("--manager belongs to"), std::string::npos);
    for (const std::string wrong : {"65536", "-1", "one", "1,2"})
        EXPECT_NE(why_not({"restart", "--manager=" + wrong}).find("is not the number of a manager"),
                  std::string::npos)
            << wrong;
    EXPECT_NE(why_not({"restart", "--manager", "1", "2"}).find("restart takes no word '2'"),
              std::string::npos);
}

TEST(Options, ADictionaryIsFoundByItsJob) {
    for (const char* const verb : {"status", "env", "exec", "stop"}) {
        std::vector<std::string> words{verb, "--job", "27"};
        if (std::string_view(verb) == "exec") words.insert(words.end(), {"--", "x", "--job"});
        const Options options = parse_options(words, {}).value();
        EXPECT_EQ(options.job, "27");
        EXPECT_FALSE(options.name_given);
    }
    EXPECT_EQ(parse_options({"restart", "--manager=1", "--job=27"}, {}).value().job, "27");
    for (const std::string wrong : {"27_3", "one", "-1"})
        EXPECT_NE(why_not({"status", "--job=" + wrong}).find("squeue --format=%A"), std::string::npos)
            << wrong;
    EXPECT_NE(why_not({"start", "--job", "27"}).find("--job belongs to"), std::string::npos);
    EXPECT_NE(why_not({"exec", "--job", "27"}).find("no command"), std::string::npos);
    EXPECT_NE(why_not({"status", "27"}).find("status takes no word '27'"), std::string::npos);
}

TEST(Options, KeepAndResumeBelongToWhatEndsAndBegins) {
    EXPECT_TRUE(parse_options({"stop", "--keep"}, {}).value().keep);
    EXPECT_TRUE(parse_options({"start", "--resume", "--allow-empty"}, {}).value().allow_empty);
    EXPECT_TRUE(parse_options({"serve", "--resume"}, {}).value().resume);
    EXPECT_TRUE(parse_options({"--check", "--resume"}, {}).value().resume);
    EXPECT_NE(why_not({"start", "--keep"}).find("--keep belongs to"), std::string::npos);
    EXPECT_NE(why_not({"stop", "--resume"}).find("--resume belongs to"), std::string::npos);
    EXPECT_NE(why_not({"--allow-empty", "--", "x"}).find("needs --resume"), std::string::npos);
    EXPECT_TRUE(parse_options({"--", "x"}, {{"DDICT_ALLOW_EMPTY", "1"}})) << "of other dictionaries, perhaps";
    EXPECT_NE(why_not({"--resume", "--load", "a", "--", "x"}).find("choose one"), std::string::npos);
    EXPECT_NE(why_not({"discard"}).find("--name NAME"), std::string::npos);
    EXPECT_EQ(parse_options({"discard", "--name", "a"}, {}).value().verb, Verb::discard);
}

TEST(Options, HelpAndTheDocumentSayTheSame) {
    std::ifstream file(DDICT_SOURCE_DIR "/docs/environment.md");
    ASSERT_TRUE(file);
    std::ostringstream expected;
    for (const OptionText& text : option_texts())
        expected << "| `--" << text.option << "` | `" << text.variable << "` | " << text.value << " | "
                 << text.preset << " | " << text.meaning << " |\n";
    std::string table;
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("| `--")) table += line + "\n";
    EXPECT_EQ(table, expected.str());
}

TEST(Options, HelpNamesEveryOptionAndFitsTheScreen) {
    const std::string help = help_text();
    for (const OptionText& text : option_texts()) {
        EXPECT_NE(help.find("--" + std::string(text.option) + (text.value.empty() ? "" : " ") +
                            std::string(text.value) + ", "),
                  std::string::npos);
        EXPECT_NE(help.find(text.variable), std::string::npos);
    }
    for (const char* const verb : {"start", "stop", "status", "env", "exec", "--job", "serve", "--check",
                                   "--export", "--json", "DDICT_UCX_NET_DEVICES"})
        EXPECT_NE(help.find(verb), std::string::npos) << verb;
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);)
        EXPECT_LE(line.size(), 92U) << line;
}

TEST(Options, SayWhenToSave) {
    const auto options =
        parse_options({"--load", "latest", "--save", "dir", "--save-before", "90", "--save-on",
                       "USR2,SIGTERM,RTMIN+1", "--save-keep", "2", "--", "program"},
                      {});
    ASSERT_TRUE(options) << options.error().message();
    EXPECT_EQ(options->load, load_latest);
    EXPECT_EQ(options->save_before, 90s);
    EXPECT_EQ(options->save_on, (std::vector{SIGUSR2, SIGTERM, SIGRTMIN + 1}));
    EXPECT_EQ(options->save_keep, 2U);
    const auto variables = parse_options({"--", "program"}, {{"DDICT_SAVE", "dir"},
                                                             {"DDICT_SAVE_BEFORE", "1.5"},
                                                             {"DDICT_SAVE_ON", "12"},
                                                             {"DDICT_SAVE_KEEP", "7"}});
    ASSERT_TRUE(variables) << variables.error().message();
    EXPECT_EQ(variables->save_before, 1500ms);
    EXPECT_EQ(variables->save_on, std::vector{SIGUSR2});
    EXPECT_EQ(variables->save_keep, 7U);
}

TEST(Options, ThatSaveAreRefusedWhereTheyCannotBeMeant) {
    for (const char* const text :
         {"KILL", "STOP", "SEGV", "CHLD", "USR2,", "USR2,,TERM", ",USR2", "USR3", "0"})
        EXPECT_NE(why_not({"--save", "dir", "--save-on", text, "--", "program"}).find(" is not a signal"),
                  std::string::npos)
            << text;
    for (const auto& [option, value] : {std::pair("--save-before", "60"), std::pair("--save-on", "USR2"),
                                        std::pair("--save-keep", "2"), std::pair("--load", "latest")}) {
        EXPECT_NE(why_not({option, value, "--", "program"}).find("needs --save DIR"), std::string::npos)
            << option;
        EXPECT_NE(why_not({"start", option, value}).find("belongs to: ddict-launch -- COMMAND"),
                  std::string::npos)
            << option;
    }
    EXPECT_NE(why_not({"--", "program"}, {{"DDICT_SAVE_ON", "USR2"}}).find("needs --save DIR"),
              std::string::npos);
    EXPECT_EQ(why_not({"--", "program"}, {{"DDICT_SAVE_KEEP", "2"}}), "accepted")
        << "nothing is lost by that";
    EXPECT_EQ(why_not({"--load", "./latest", "--", "program"}), "accepted");
    EXPECT_NE(why_not({"--save", "dir", "--save-keep", "0", "--", "program"}), "accepted");
    EXPECT_NE(why_not({"--save", "dir", "--save-before", "0", "--", "program"}), "accepted");
}

TEST(Options, ThatPersist) {
    const auto options =
        parse_options({"start", "--persist-path", "steps", "--persist-count", "3"}, os::Environment{});
    ASSERT_TRUE(options) << options.error().message();
    EXPECT_EQ(options->persist.path, (std::filesystem::current_path() / "steps").string());
    EXPECT_EQ(options->persist.count, 3U);
    EXPECT_EQ(options->restore_from, std::nullopt);
    const auto restores = parse_options({"--persist-path", "/steps", "--restore-from", "0", "--", "program"},
                                        os::Environment{});
    ASSERT_TRUE(restores) << restores.error().message();
    EXPECT_EQ(restores->restore_from, 0U);
    EXPECT_EQ(restores->persist, (PersistSettings{.path = "/steps", .count = 0}));
}

TEST(Options, ThatPersistAreRefusedWhereTheyCannotBeMeant) {
    for (const char* const option : {"--persist-count", "--restore-from"})
        EXPECT_NE(why_not({option, "2", "--", "program"}).find("needs --persist-path DIR"), std::string::npos)
            << option;
    EXPECT_NE(why_not({"--", "program"}, {{"DDICT_RESTORE_FROM", "2"}}).find("needs --persist-path DIR"),
              std::string::npos);
    EXPECT_EQ(why_not({"--", "program"}, {{"DDICT_PERSIST_COUNT", "2"}}), "accepted")
        << "nothing is lost by that";
    const std::vector<std::string> path{"--persist-path", "/steps"};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.begin(), path.begin(), path.end());
        more.insert(more.end(), {"--", "program"});
        return why_not(more);
    };
    EXPECT_NE(with({"--read-only"}).find("--read-only needs --restore-from ID"), std::string::npos);
    EXPECT_EQ(with({"--read-only", "--restore-from", "2"}), "accepted");
    EXPECT_EQ(why_not({"start", "--read-only", "--persist-path", "/steps"}), "accepted") << "ddict restore";
    EXPECT_NE(why_not({"start", "--read-only"}).find("needs --persist-path"), std::string::npos);
    EXPECT_NE(with({"--restore-from", "2", "--load", "/other"}).find("are two ways to begin"),
              std::string::npos);
    EXPECT_NE(with({"--restore-from", "2", "--resume"}).find("are two ways to begin"), std::string::npos);
    for (const char* const text : {"-1", "x", "1073741823", "4294967296"})
        EXPECT_NE(with({"--restore-from=" + std::string(text)}).find("is not a number from 0 to 1073741822"),
                  std::string::npos)
            << text;
    EXPECT_NE(with({"--persist-count", "0"}), "accepted");
    EXPECT_NE(why_not({"--persist-path", std::string(5000, 'x'), "--", "program"})
                  .find("is not the path of a folder"),
              std::string::npos);
    EXPECT_NE(why_not({"start", "--persist-path", "/steps", "--restore-from", "1"}).find("ddict restore"),
              std::string::npos);
    EXPECT_NE(why_not({"stop", "--persist-path", "/steps"}).find("belongs to what begins"),
              std::string::npos);
}

}  // namespace
}  // namespace ddict::launcher
