// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/error.h>
#include <ddict/key_bytes.h>
#include <ddict/result.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <set>

namespace ddict {
namespace {

TEST(Error, EveryCodeHasANameOfItsOwn) {
    std::set<std::string_view> names;
    for (std::uint16_t code = 1; code <= errc_last; ++code)
        names.insert(name(static_cast<Errc>(code)));
    EXPECT_EQ(names.size(), errc_last);
    EXPECT_FALSE(names.contains("unknown"));
    EXPECT_EQ(name(Errc::no_space), "no_space");
    EXPECT_EQ(name(static_cast<Errc>(errc_last + 1)), "unknown");
}

TEST(Error, MessageSaysWhatWhereAndWhatToDo) {
    Error error(Errc::no_space);
    error.set_operation(Operation::put).set_key("Hello").set_manager(3).set_node("n2").set_bytes(8272, 128);
    EXPECT_EQ(
        error.message(),
        "put of key 'Hello' on manager 3 (n2): no_space: needs 8272 bytes, has 128; erase keys, or start "
        "the dictionary with a larger --total-mem");
}

TEST(Error, MessageOfLittle) {
    EXPECT_EQ(Error(Errc::not_found).message(), "not_found");
    EXPECT_EQ(Error(Errc::system, "no UCX device").message(), "system: no UCX device");
    EXPECT_EQ(Error(Errc::busy).set_manager(3).set_node("n1").message(),
              "manager 3 (n1): busy; try again, or with fewer operations at once");
    EXPECT_EQ(Error(Errc::not_found).set_key("k").message(), "key 'k': not_found");
}

TEST(Error, WhatIsAboutAPrefixNamesNoKey) {
    for (const Operation operation : {Operation::scan, Operation::count_prefix, Operation::erase_prefix}) {
        Error error(Errc::busy);
        error.set_operation(operation).set_key("user/");
        const std::string expected = std::string(name(operation)) + " of prefix 'user/': busy;";
        EXPECT_EQ(error.message().substr(0, expected.size()), expected);
    }
}

template <class Number>
std::string words_of(Number number, std::uint16_t type) {
    const KeyBytes key(std::as_bytes(std::span(&number, 1)), type);
    EXPECT_EQ(Error(Errc::not_found).set_key(key).message(), "key " + in_words(key) + ": not_found");
    return in_words(key);
}

TEST(Error, KeysAreShownByTheirType) {
    EXPECT_EQ(words_of(std::int64_t{42}, key_type_int64), "42");
    EXPECT_EQ(words_of(INT64_MIN, key_type_int64), "-9223372036854775808");
    EXPECT_EQ(words_of(UINT64_MAX, key_type_uint64), "18446744073709551615 (uint64)");
    EXPECT_EQ(words_of(1.5, key_type_float64), "1.5");
    EXPECT_EQ(words_of(-2.0, key_type_float64), "-2.0");
    EXPECT_EQ(words_of(1e300, key_type_float64), "1e+300");
    EXPECT_EQ(words_of(std::numeric_limits<double>::infinity(), key_type_float64), "inf");
    EXPECT_EQ(words_of(std::uint32_t{0x01'6261}, type_bytes), "'ab\\x01\\x00' (bytes)");
    EXPECT_EQ(words_of('k', user_type(7)), "'k' (user type 7)");
    EXPECT_EQ(words_of('k', key_type_int64), "'k' (int64)") << "no int64, whatever it says";
    EXPECT_EQ(words_of(std::int32_t{0}, type_text), "'\\x00\\x00\\x00\\x00'");
    const std::string longest(50, 'k');
    EXPECT_EQ(
        Error(Errc::not_found).set_key(KeyBytes(std::as_bytes(std::span(longest)), user_type(7))).message(),
        "key '" + std::string(40, 'k') + "...' (user type 7): not_found");
    EXPECT_EQ(Error(Errc::not_found)
                  .set_key(KeyBytes(std::as_bytes(std::span(longest)), user_type(7)))
                  .set_key("k")
                  .message(),
              "key 'k': not_found");
}

TEST(Error, EveryCodeSaysWhetherItLeavesDoubt) {
    Error error(Errc::timeout, "the manager did not answer in time");
    EXPECT_EQ(error.message(),
              "timeout: the manager did not answer in time; raise the deadline or try again");
    for (std::uint16_t code = 1; code <= errc_last; ++code) {
        error.code = static_cast<Errc>(code);
        error.in_doubt = true;
        EXPECT_NE(error.message().find("; it may or may not have taken effect"), std::string::npos);
        error.in_doubt = false;
        EXPECT_EQ(error.message().find("may or may not"), std::string::npos);
    }
}

TEST(Error, ALossSaysWhetherTheManagerIsDead) {
    Error lost(Errc::manager_lost);
    lost.set_operation(Operation::get).set_manager(0);
    const auto says = [&](const char* words) { return lost.message().find(words) != std::string::npos; };
    EXPECT_FALSE(says("held is lost")) << lost.message();
    lost.set_state(ManagerState::ended);
    EXPECT_TRUE(says("what it held is lost")) << lost.message();
    for (const ManagerState state : {ManagerState::silent, ManagerState::unreachable}) {
        lost.set_state(state);
        EXPECT_TRUE(says("it may live all the same")) << lost.message();
    }
    lost.set_operation(Operation::attach);
    EXPECT_TRUE(
        says("it has ended ('ddict-launch status' shows what runs), or this process cannot reach its nodes"))
        << lost.message();
    EXPECT_FALSE(says("keys")) << "before anything was attached there are none: " << lost.message();
}

TEST(Error, ATimeoutSaysWhetherTheManagerAnswers) {
    Error late(Errc::timeout);
    late.set_operation(Operation::wait_for).set_state(ManagerState::answered);
    EXPECT_NE(late.message().find("its manager answers"), std::string::npos) << late.message();
    late.set_detail("it has another value; wait for that");
    EXPECT_EQ(late.message(), "wait_for: timeout: it has another value; wait for that");
    late.set_state(ManagerState::silent);
    EXPECT_EQ(late.message().find("its manager answers"), std::string::npos) << late.message();
}

/// The rows of the tables of docs/errors.md, by the name in their first column; the other columns.
std::map<std::string, std::vector<std::string>> rows_of_document() {
    std::map<std::string, std::vector<std::string>> rows;
    std::ifstream file(DDICT_ERRORS_DOCUMENT);
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("| `", 0) != 0) continue;
        const std::string name = line.substr(3, line.find('`', 3) - 3);
        std::vector<std::string>& columns = rows[name];
        for (std::size_t at = line.find('|', 1); at + 1 < line.size(); at = line.find('|', at + 1))
            columns.push_back(line.substr(at + 1, line.find('|', at + 1) - at - 1));
    }
    return rows;
}

TEST(Error, EveryCodeAndEveryStateIsInTheTable) {
    auto rows = rows_of_document();
    for (std::uint16_t code = 1; code <= errc_last; ++code) {
        const std::string name(ddict::name(static_cast<Errc>(code)));
        const std::vector<std::string>& columns = rows[name];
        ASSERT_EQ(columns.size(), 4u) << name;
        for (int i = 0; i < 3; ++i)
            EXPECT_GT(columns[static_cast<std::size_t>(i)].size(), 3u) << name << " has an empty column";
        rows.erase(name);
    }
    for (const ManagerState state : {ManagerState::unknown, ManagerState::answered, ManagerState::silent,
                                     ManagerState::unreachable, ManagerState::ended}) {
        const std::string name(ddict::name(state));
        EXPECT_EQ(rows[name].size(), 2u) << name;
        rows.erase(name);
    }
    for (const auto& [name, columns] : rows)
        ADD_FAILURE() << "there is no such code or state: " << name;
}

TEST(Error, TooLargeNamesTheLimit) {
    Error error(Errc::too_large);
    error.set_operation(Operation::put).set_bytes(2000, 1024);
    EXPECT_NE(error.message().find("needs 2000 bytes, the limit is 1024"), std::string::npos)
        << error.message();
}

TEST(Error, MessageIsOneLineWhateverTheKey) {
    Error error(Errc::not_found);
    error.set_operation(Operation::get).set_key(std::string_view("a\n\0\x7f'\\\xff", 7));
    EXPECT_EQ(error.message(), "get of key 'a\\x0a\\x00\\x7f\\x27\\x5c\\xff': not_found");
}

TEST(Error, LongTextsAreCutAndSaySo) {
    const std::string long_text(1000, 'x');
    Error error(Errc::system, long_text);
    error.set_key(long_text).set_node(long_text);
    EXPECT_TRUE(error.key_cut);
    EXPECT_EQ(error.key_bytes_shown, error.key.size());
    EXPECT_EQ(std::string_view(error.node.data()), std::string(61, 'x') + "...");
    EXPECT_EQ(std::string_view(error.detail.data()), std::string(188, 'x') + "...");
    EXPECT_NE(error.message().find("x...'"), std::string::npos);
    error.set_key("short");
    EXPECT_FALSE(error.key_cut);
    error.set_node(std::string(64, 'y'));
    EXPECT_EQ(std::string_view(error.node.data()), std::string(64, 'y')) << "just fits";
}

TEST(Exception, CarriesTheError) {
    try {
        Result<int>(Error(Errc::timeout, "slow")).value();
        FAIL() << "value() of an error does not throw";
    } catch (const Exception& exception) {
        EXPECT_EQ(exception.code(), Errc::timeout);
        EXPECT_EQ(exception.what(), exception.error().message());
    }
    EXPECT_THROW(Result<void>(Error(Errc::system)).value(), Exception);
}

TEST(Result, HoldsAValueOrAnError) {
    const Result<int> good = 7;
    ASSERT_TRUE(good.has_value());
    EXPECT_EQ(*good, 7);
    EXPECT_EQ(good.value(), 7);
    const Result<int> bad = Error(Errc::not_found);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, Errc::not_found);
    EXPECT_EQ(Result<int>(bad).value_or(9), 9);
    EXPECT_EQ(Result<int>(good).value_or(9), 7);
    EXPECT_TRUE(Result<void>());
    EXPECT_FALSE(Result<void>(Error(Errc::system)));
}

TEST(Result, MovesWhatCannotBeCopied) {
    Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
    EXPECT_EQ(**result, 5);
    const std::unique_ptr<int> taken = std::move(result).value();
    EXPECT_EQ(*taken, 5);
}

TEST(Result, OfAnErrorTypeTellsValueFromError) {
    const Result<std::string> text = std::string("value");
    EXPECT_EQ(text->size(), 5u);
}

TEST(Names, LeadBackToTheirCodes) {
    for (std::uint16_t code = 1; code <= errc_last; ++code)
        EXPECT_EQ(errc_named(name(static_cast<Errc>(code))), static_cast<Errc>(code));
    EXPECT_EQ(errc_named("no such code"), Errc::system);
}

}  // namespace
}  // namespace ddict
