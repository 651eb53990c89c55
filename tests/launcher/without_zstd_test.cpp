// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A ddict that is built without zstd: it says so when it is started, and not when the job is over and is to
// be saved. Linked with persist/no_compression.cpp in the place of what compresses.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "launcher/options.h"
#include "persist/compression.h"

namespace ddict::launcher {
namespace {

Result<Options> parsed(std::vector<std::string> args, const os::Environment& environment = {}) {
    args.insert(args.end(), {"--", "program"});
    return parse_options(args, environment);
}

TEST(WithoutZstd, NothingIsCompressed) {
    EXPECT_FALSE(persist::can_compress());
    EXPECT_EQ(persist::make_compressor(), nullptr);
}

TEST(WithoutZstd, ToCompressIsRefusedAtTheStart) {
    for (const bool by_variable : {false, true}) {
        const os::Environment environment =
            by_variable ? os::Environment{{"DDICT_COMPRESS", "1"}} : os::Environment();
        std::vector<std::string> args{"--save", "folder"};
        if (!by_variable) args.emplace_back("--compress");
        const auto options = parsed(args, environment);
        ASSERT_FALSE(options);
        EXPECT_NE(options.error().message().find("built without zstd"), std::string::npos)
            << options.error().message();
    }
    EXPECT_TRUE(parsed({"--save", "folder"}));
    EXPECT_TRUE(parsed({}, {{"DDICT_COMPRESS", "1"}})) << "it saves nothing";
}

}  // namespace
}  // namespace ddict::launcher
