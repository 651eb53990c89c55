// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "rpc/reply_errors.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace ddict {
namespace {

/// A manager keeps a wait for a day at the most, whatever is asked.
TEST(ReplyErrors, AWaitThatItsManagerHasEndedEarlySaysSo) {
    wire::ReplyHeader header;
    header.status = static_cast<std::uint16_t>(Errc::timeout);
    Request request;
    request.verb = wire::Verb::wait_for;
    request.argument = wait_argument(limits::wait_max);
    EXPECT_EQ(error_of(header, request).message().find("24 hours"), std::string::npos);
    for (const std::uint16_t flags : {std::uint16_t{0}, wire::wait_for_value}) {
        request.argument = wait_argument(limits::wait_max + std::chrono::seconds(1));
        request.flags = flags;
        const std::string message = error_of(header, request).message();
        EXPECT_NE(message.find("a wait ends after 24 hours: wait again"), std::string::npos) << message;
        EXPECT_EQ(message.find("wait for longer"), std::string::npos) << message;
    }
}

/// What the manager says is there (1, its type, its size), and what was waited for.
TEST(ReplyErrors, AWaitForAValueNamesTheTypeOfAnother) {
    wire::ReplyHeader header;
    header.status = static_cast<std::uint16_t>(Errc::timeout);
    Request request;
    request.verb = wire::Verb::wait_for;
    request.flags = wire::wait_for_value;
    request.value_type = 0x0113;
    const auto message = [&] { return error_of(header, request).message(); };
    EXPECT_NE(message().find("the key did not take the value in time; its manager answers"),
              std::string::npos);
    header.argument = 1;
    for (const std::uint16_t may_be_equal : {std::uint16_t{0x0113}, type_bytes}) {
        header.value_type = may_be_equal;
        EXPECT_NE(message().find("it has another one; its manager answers: wait for longer"),
                  std::string::npos);
    }
    for (const std::uint16_t type : {std::uint16_t{0x0112}, type_text, user_type(0x7fff)}) {
        header.value_type = type;
        EXPECT_NE(
            message().find("it has one of type " + type_in_words(type) + ", not int64, and no value of "),
            std::string::npos)
            << message();
        EXPECT_EQ(message().find("wait for longer"), std::string::npos) << message();
        EXPECT_EQ(message().find("..."), std::string::npos) << "it is cut: " << message();
    }
}

}  // namespace
}  // namespace ddict
