// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/hostlist.h"

#include <gtest/gtest.h>

#include "tests/slurm_unit/random_hosts.h"

namespace ddict::slurm {
namespace {

using Names = std::vector<std::string>;

Names expanded(std::string_view text) {
    auto names = expand_hostlist(text);
    EXPECT_TRUE(names) << text << ": " << names.error().message();
    return names ? *names : Names{};
}

TEST(Hostlist, names_and_brackets) {
    EXPECT_EQ(expanded(""), Names{});
    EXPECT_EQ(expanded("login"), Names{"login"});
    EXPECT_EQ(expanded("n1,n2"), (Names{"n1", "n2"}));
    EXPECT_EQ(expanded("n[1-3,07-10],login"), (Names{"n1", "n2", "n3", "n07", "n08", "n09", "n10", "login"}));
    EXPECT_EQ(expanded("n[5]"), Names{"n5"});
    EXPECT_EQ(expanded("n[1-2]-ib0.site"), (Names{"n1-ib0.site", "n2-ib0.site"}));
    EXPECT_EQ(expanded("[3-4]"), (Names{"3", "4"}));
    EXPECT_EQ(expanded("b,a,a"), (Names{"b", "a", "a"}));
}

TEST(Hostlist, of_several_brackets_the_last_runs_fastest_then_the_first) {
    EXPECT_EQ(expanded("r[1-2]n[0-1]"), (Names{"r1n0", "r1n1", "r2n0", "r2n1"}));
    EXPECT_EQ(expanded("a[1-2]b[1-2]c[1-2]"),
              (Names{"a1b1c1", "a1b1c2", "a2b1c1", "a2b1c2", "a1b2c1", "a1b2c2", "a2b2c1", "a2b2c2"}));
    EXPECT_EQ(expanded("r[1,3]c[2]s[8-9]"), (Names{"r1c2s8", "r1c2s9", "r3c2s8", "r3c2s9"}));
}

TEST(Hostlist, a_number_keeps_the_width_of_its_range) {
    EXPECT_EQ(expanded("n[0098-0100]"), (Names{"n0098", "n0099", "n0100"}));
    EXPECT_EQ(expanded("n[8-11]"), (Names{"n8", "n9", "n10", "n11"}));
    EXPECT_EQ(expanded("n[09-100]").back(), "n100");
    EXPECT_EQ(expanded("n[000]"), Names{"n000"});
}

TEST(Hostlist, malformed_text_is_refused_with_its_place) {
    const std::pair<const char*, const char*> cases[] = {
        {"n[1-3", "']' is missing at character 6"},
        {"n1]", "unexpected character at character 3"},
        {"n[]", "a number is missing at character 3"},
        {"n[1,]", "a number is missing at character 5"},
        {"n[-3]", "a number is missing at character 3"},
        {"n[1-]", "a number is missing at character 5"},
        {"n[3-1]", "a range runs backwards at character 6"},
        {"n[a-b]", "a number is missing at character 3"},
        {"n[1-2-3]", "']' is missing at character 6"},
        {"n[[1]]", "a number is missing at character 3"},
        {",n1", "a name is missing at character 1"},
        {"n1,,n2", "a name is missing at character 4"},
        {"n1,", "a name is missing at character 4"},
        {"n1 n2", "unexpected character at character 3"},
        {"n1\n", "unexpected character at character 3"},
        {"n[9999999999999999999]", "a number is too long"},
    };
    for (const auto& [text, complaint] : cases) {
        const auto names = expand_hostlist(text);
        ASSERT_FALSE(names) << text;
        EXPECT_EQ(names.error().code, Errc::invalid_argument);
        EXPECT_NE(names.error().message().find(complaint), std::string::npos) << names.error().message();
    }
    EXPECT_FALSE(expand_hostlist(std::string_view("n\0001", 3)));
    EXPECT_FALSE(expand_hostlist(std::string(256, 'x')));
}

// A name that was accepted in a bracket, and then not alone, could not be folded.
TEST(Hostlist, a_name_is_as_long_as_it_may_be_with_its_numbers) {
    const std::string prefix(253, 'x');
    for (const char* const bracket : {"[98-99]", "[1,10]", "[08]"}) {
        const Names names = expanded(prefix + bracket);
        EXPECT_EQ(expanded(compress_hostlist(names)), names) << bracket;
    }
    for (const char* const bracket : {"[98-100]", "[001]", "[1]-ib"})
        EXPECT_FALSE(expand_hostlist(prefix + bracket)) << bracket;
}

TEST(Hostlist, stands_for_no_more_names_than_the_limit) {
    EXPECT_EQ(expand_hostlist("n[1-100]", 100).value().size(), 100u);
    EXPECT_FALSE(expand_hostlist("n[0-100]", 100));
    EXPECT_FALSE(expand_hostlist("n[1-100],m", 100));
    EXPECT_FALSE(expand_hostlist("n[1-11]m[1-10]", 100));
    EXPECT_FALSE(expand_hostlist("n[1-60,1-60]", 100));
    EXPECT_FALSE(expand_hostlist("n[0-999999999999999999]"));
    EXPECT_FALSE(expand_hostlist("a[1-9999]b[1-9999]c[1-9999]d[1-9999]e[1-9999]f[1-9999]"));
}

TEST(Hostlist, neighbours_are_folded) {
    EXPECT_EQ(compress_hostlist(Names{}), "");
    EXPECT_EQ(compress_hostlist(Names{"n1"}), "n1");
    EXPECT_EQ(compress_hostlist(Names{"n1", "n2", "n3"}), "n[1-3]");
    EXPECT_EQ(compress_hostlist(Names{"n1", "n3", "n4", "login", "n5"}), "n[1,3-4],login,n5");
    EXPECT_EQ(compress_hostlist(Names{"n08", "n09", "n10", "n011"}), "n[08-10,011]");
    EXPECT_EQ(compress_hostlist(Names{"n9", "n10", "n010"}), "n[9-10,010]");
    EXPECT_EQ(compress_hostlist(Names{"n2", "n1", "n1"}), "n[2,1,1]");
}

TEST(Hostlist, folding_loses_nothing) {
    RandomHosts random;
    for (int round = 0; round < 3000; ++round) {
        const Names names = random.names();
        const std::string list = compress_hostlist(names);
        ASSERT_EQ(expanded(list), names) << list << ", " << random.seed_text();
    }
}

TEST(Hostlist, survives_garbage) {
    RandomHosts random;
    int good = 0;
    for (int round = 0; round < 20000; ++round) {
        const std::string text = random.garbage();
        const auto names = expand_hostlist(text, 1000);
        if (!names) continue;
        ++good;
        ASSERT_LE(names->size(), 1000u) << text << ", " << random.seed_text();
        for (const std::string& name : *names)
            ASSERT_FALSE(name.empty()) << text << ", " << random.seed_text();
    }
    EXPECT_GT(good, 100) << random.seed_text();
}

}  // namespace
}  // namespace ddict::slurm
