// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/connection_errors.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace ddict {
namespace {

std::string words_of_silent_one(const std::string& over, const std::string& back) {
    const std::optional<Error> trouble;
    return describe({.trouble = trouble, .says_hello = true, .over = over, .back = back}).message();
}

TEST(Unanswered, NamesTheWayThereAndThoseBack) {
    const std::string text = words_of_silent_one("tcp/eth0", "eth0 usb0");
    EXPECT_NE(text.find("over tcp/eth0"), std::string::npos) << text;
    EXPECT_NE(text.find("(DDICT_UCX_NET_DEVICES; back: eth0 usb0)"), std::string::npos) << text;
}

TEST(Unanswered, SaysNothingOfAWayBackThatIsTheOnlyOne) {
    const std::string text = words_of_silent_one("tcp/eth0", "");
    EXPECT_NE(text.find("the network fails there (DDICT_UCX_NET_DEVICES)"), std::string::npos) << text;
    EXPECT_EQ(text.find("back"), std::string::npos) << text;
}

TEST(Unanswered, IsNotCutBeforeWhatToDoWhereDevicesAreMany) {
    std::string devices;
    for (int i = 0; i < 40; ++i)
        devices += (i == 0 ? "eth" : " eth") + std::to_string(i);
    const std::string text = words_of_silent_one("tcp/eth0", devices);
    EXPECT_NE(text.find("(DDICT_UCX_NET_DEVICES; back: eth0 "), std::string::npos) << text;
}

}  // namespace
}  // namespace ddict
