// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values of every type, through real managers: by shared memory and by message.
#include <ddict/array.h>
#include <ddict/record.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>

#include "tests/client/shared_dictionary.h"

namespace {

struct Sample {
    std::string name;
    std::vector<double> numbers;
    bool operator==(const Sample&) const = default;
};

}  // namespace

template <>
struct ddict::Codec<Sample> {
    static constexpr std::uint16_t type = ddict::user_type(3);
    static std::vector<std::byte> encode(const Sample& sample) {
        return ddict::Writer().field(sample.name).field(sample.numbers).take();
    }
    static ddict::Result<Sample> decode(std::span<const std::byte> bytes) {
        Sample sample;
        ddict::Reader in(bytes);
        in.field(sample.name).field(sample.numbers);
        return in.finish(std::move(sample));
    }
};

namespace ddict {
namespace {

class TypesTest : public SharedDictionaryTest {
  protected:
    template <class T>
    void expect_comes_back(const T& value) {
        dict_->put("key", value);
        EXPECT_TRUE(dict_->get<T>("key") == value);
        EXPECT_TRUE(by_message_->get<T>("key") == value);
        EXPECT_TRUE(dict_->get_async<T>("key").wait() == value);
        EXPECT_TRUE(*dict_->multi_get<T>(std::vector{"key"}).at(0) == value);
        EXPECT_TRUE(*dict_->pop<T>("key") == value);
    }
    static Array<double> counting(std::initializer_list<std::uint64_t> extents) {
        Array<double> array(extents);
        std::iota(array.elements().begin(), array.elements().end(), 0.0);
        return array;
    }
};

TEST_F(TypesTest, AllComeBack) {
    expect_comes_back(std::vector<std::string>{"a", "", std::string(10'000, 'x')});
    expect_comes_back(std::vector<std::vector<int>>{{1, 2}, {}, {3}});
    expect_comes_back(std::vector<bool>{true, false});
    expect_comes_back(std::pair<std::string, double>("pi", 3.14));
    expect_comes_back(std::tuple<int, std::string, std::vector<float>>(1, "two", {3}));
    expect_comes_back(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
    expect_comes_back(Sample{"one", {1, 2, 3}});
    expect_comes_back(std::vector<Sample>{{"one", {1}}, {"two", {}}});
    expect_comes_back(counting({2, 3}));
    expect_comes_back(counting({100, 100, 10}));
    expect_comes_back(Array<float>({0, 5}));
}

TEST_F(TypesTest, ArraysGoIntoMemoryThatIsThere) {
    dict_->put("grid", counting({20, 30}));
    Array<double> grid({20, 30});
    const double* memory = grid.data();
    for (const auto& dict : {dict_.get(), by_message_.get()}) {
        grid(19, 29) = 0;
        dict->get_into("grid", grid);
        EXPECT_EQ(grid, counting({20, 30}));
        EXPECT_EQ(grid.data(), memory);
    }
    std::vector<double> mine(600);
    dict_->get_into("grid", ArrayView<double>(mine.data(), {20, 30}));
    EXPECT_EQ(mine[599], 599);
    dict_->put("mine", ArrayView<const double>(mine.data(), {30, 20}));
    EXPECT_EQ(dict_->get<Array<double>>("mine")(29, 19), 599);
    std::fill(mine.begin(), mine.end(), -1);
    const auto turned = dict_->try_get_into("mine", ArrayView<double>(mine.data(), {20, 30}));
    ASSERT_FALSE(turned);
    EXPECT_NE(turned.error().message().find("get of key 'mine' on manager " +
                                            std::to_string(dict_->which_manager("mine"))),
              std::string::npos)
        << turned.error().message();
    EXPECT_EQ(mine[0], -1);
    std::string text(100, 'x');
    dict_->put("text", "short");
    dict_->get_into("text", text);
    EXPECT_EQ(text, "short");
}

TEST_F(TypesTest, ArraysOfAFrozenDictionaryAreUsedInPlace) {
    dict_->put("grid", counting({3, 4}));
    dict_->put("flat", std::vector<double>(12));
    dict_->freeze();
    const FrozenValue value = dict_->view_frozen("grid");
    const auto grid = array_in<double>(value);
    ASSERT_TRUE(grid) << grid.error().message();
    EXPECT_EQ((*grid)(2, 3), 11);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(grid->data()) % 16, 0u);
    EXPECT_EQ(code_of(array_in<float>(value)), Errc::wrong_type);
    EXPECT_EQ(code_of(array_in<double>(dict_->view_frozen("flat"))), Errc::wrong_type);
    dict_->unfreeze();
    EXPECT_EQ(code_of(array_in<double>(value)), Errc::invalid_argument);
}

TEST_F(TypesTest, TheErrorSaysBothTypesInWords) {
    dict_->put("grid", counting({2, 2}));
    for (const auto& dict : {dict_.get(), by_message_.get()}) {
        const auto wrong = dict->try_get<std::vector<int>>("grid");
        ASSERT_FALSE(wrong);
        EXPECT_EQ(wrong.error().code, Errc::wrong_type);
        EXPECT_NE(wrong.error().message().find("stored: array of float64, asked: vector of int32"),
                  std::string::npos)
            << wrong.error().message();
        EXPECT_NE(wrong.error().message().find("key 'grid' on manager"), std::string::npos);
        EXPECT_EQ(code_of(dict->try_get<Array<float>>("grid")), Errc::wrong_type);
        EXPECT_EQ(code_of(dict->try_get<Sample>("grid")), Errc::wrong_type);
    }
    dict_->put("list", std::vector<std::string>{"a"});
    const auto wrong = dict_->try_get<std::vector<std::vector<int>>>("list");
    EXPECT_NE(wrong.error().message().find("stored: list of text, asked: list of vector of int32"),
              std::string::npos)
        << wrong.error().message();
}

TEST_F(TypesTest, NumbersAreConvertedWhereNothingIsLost) {
    dict_->put("n", 5);
    for (const View& view : {View(*dict_), View(*by_message_)}) {
        EXPECT_EQ(view.get<long>("n"), 5);
        EXPECT_EQ(view.get<std::uint8_t>("n"), 5);
        EXPECT_EQ(view.get<double>("n"), 5.0);
        EXPECT_EQ(view.get<float>("n"), 5.0F);
        EXPECT_EQ(view.find<short>("n"), 5);
        EXPECT_EQ(view.wait_for<std::uint64_t>("n"), 5u);
        EXPECT_EQ(view.get_async<double>("n").wait(), 5.0);
        EXPECT_EQ(view.multi_get<double>(std::vector{"n", "n"})[1], 5.0);
        double into = 0;
        view.get_into("n", into);
        EXPECT_EQ(into, 5.0);
        EXPECT_EQ(code_of(view.try_get<bool>("n")), Errc::wrong_type);
        EXPECT_EQ(code_of(view.try_get<std::string>("n")), Errc::wrong_type);
        EXPECT_EQ(code_of(view.try_get<std::vector<int>>("n")), Errc::wrong_type);
        EXPECT_EQ(code_of(view.try_get<Sample>("n")), Errc::wrong_type);
    }
    for (const auto& [key, value] : dict_->items<std::string, long>())
        EXPECT_EQ(value, 5) << key;
    dict_->bput("everywhere", 7L);
    EXPECT_EQ(dict_->bget<int>("everywhere"), 7);
    EXPECT_EQ(dict_->pop<std::uint16_t>("n"), 5);
}

TEST_F(TypesTest, NumbersThatWouldLoseSomethingAreWrongType) {
    const auto refused = [](const auto& value, auto as) {
        dict_->put("n", value);
        const auto by_memory = dict_->try_get<decltype(as)>("n");
        const auto by_message = by_message_->try_get<decltype(as)>("n");
        const bool both = code_of(by_memory) == Errc::wrong_type && code_of(by_message) == Errc::wrong_type;
        return both ? by_memory.error().message() : std::string();
    };
    const std::string why = refused(300, std::int8_t{});
    EXPECT_NE(why.find("stored: int32 300, asked: int8"), std::string::npos) << why;
    EXPECT_NE(refused(-1, std::uint64_t{}), "");
    EXPECT_NE(refused(UINT64_MAX, std::int64_t{}), "");
    EXPECT_NE(refused(INT64_MAX, double{}), "") << "2^63 - 1 is no double, though 2^63 is";
    EXPECT_NE(refused((std::int64_t{1} << 53) + 1, double{}), "");
    EXPECT_NE(refused(0.5, int{}), "");
    EXPECT_NE(refused(1e300, float{}), "");
    EXPECT_NE(refused(9223372036854775808.0, std::int64_t{}), "") << "2^63";
    EXPECT_NE(refused(std::numeric_limits<double>::quiet_NaN(), int{}), "");
    EXPECT_NE(refused(std::numeric_limits<double>::infinity(), std::uint64_t{}), "");
    EXPECT_NE(refused(true, int{}), "");
    // Popped, it is there all the same.
    dict_->put("n", 300);
    EXPECT_EQ(code_of(dict_->try_pop<std::int8_t>("n")), Errc::wrong_type);
    EXPECT_EQ(dict_->get<int>("n"), 300);
    const auto some = dict_->try_multi_get<std::int8_t>(std::vector{"n"});
    EXPECT_EQ(some[0].status.code, Errc::wrong_type);
}

TEST_F(TypesTest, LimitsAreNumbersOfOtherTypesToo) {
    dict_->put("least", INT64_MIN);
    EXPECT_EQ(dict_->get<double>("least"), -9223372036854775808.0);
    dict_->put("least", -9223372036854775808.0);
    EXPECT_EQ(dict_->get<std::int64_t>("least"), INT64_MIN);
    dict_->put("most", std::uint64_t{INT64_MAX});
    EXPECT_EQ(dict_->get<std::int64_t>("most"), INT64_MAX);
    dict_->put("infinite", std::numeric_limits<float>::infinity());
    EXPECT_EQ(dict_->get<double>("infinite"), std::numeric_limits<double>::infinity());
    dict_->put("none", std::numeric_limits<float>::quiet_NaN());
    EXPECT_TRUE(std::isnan(dict_->get<double>("none")));
}

TEST_F(TypesTest, AnyIntegerIsACounter) {
    dict_->put("n", 5);
    EXPECT_EQ(dict_->fetch_add("n", 2), 5);
    EXPECT_EQ(dict_->get<int>("n"), 7);
    dict_->put("n", std::uint8_t{255});
    EXPECT_EQ(dict_->fetch_add<std::uint64_t>("n", 1), 255u);
    EXPECT_EQ(dict_->fetch_add("n", 1), 256) << "of another counter's type by now";
    EXPECT_EQ(dict_->fetch_add<double>("n", 0.5), 257.0);
    EXPECT_EQ(dict_->get<double>("n"), 257.5);
    EXPECT_EQ(code_of(dict_->try_fetch_add("n", 1)), Errc::wrong_type);
    dict_->put("n", UINT64_MAX);
    EXPECT_EQ(code_of(dict_->try_fetch_add("n", 1)), Errc::wrong_type);
    dict_->put("n", "text");
    EXPECT_EQ(code_of(dict_->try_fetch_add("n", 1)), Errc::wrong_type);
}

namespace one {
struct Point {
    int x, y;
};
}  // namespace one
namespace other {
struct Point {
    int x, y;
};
}  // namespace other

TEST_F(TypesTest, StructuresOfTheSameSizeAreToldApart) {
    dict_->put("point", one::Point{1, 2});
    dict_->put("points", std::vector<one::Point>{{1, 2}});
    for (const View& view : {View(*dict_), View(*by_message_)}) {
        EXPECT_EQ(view.get<one::Point>("point").y, 2);
        const auto wrong = view.try_get<other::Point>("point");
        EXPECT_EQ(code_of(wrong), Errc::wrong_type);
        EXPECT_NE(wrong.error().message().find("other::Point"), std::string::npos) << wrong.error().message();
        EXPECT_EQ(code_of(view.try_get<std::vector<other::Point>>("points")), Errc::wrong_type);
        EXPECT_EQ(code_of(view.try_get<std::int64_t>("point")), Errc::wrong_type);
    }
    EXPECT_EQ(code_of(dict_->try_append("points", std::vector<other::Point>{{3, 4}})), Errc::wrong_type);
    EXPECT_EQ(dict_->append("points", std::vector<one::Point>{{3, 4}}), 16u);
    EXPECT_EQ(code_of(dict_->try_pop<other::Point>("point")), Errc::wrong_type);
    EXPECT_EQ(dict_->pop<one::Point>("point")->x, 1);
}

TEST_F(TypesTest, AnArrayIsARange) {
    Array<int> array({2, 3});
    int next = 0;
    for (int& element : array)
        element = next++;
    EXPECT_EQ(array(1, 2), 5);
    const Array<int>& same = array;
    EXPECT_EQ(std::accumulate(same.begin(), same.end(), 0), 15);
    const ArrayView<const int> view = same;
    EXPECT_EQ(std::accumulate(view.begin(), view.end(), 0), 15);
    EXPECT_TRUE(std::ranges::equal(array, view));
}

TEST_F(TypesTest, NumbersInRecordsAreConvertedToo) {
    dict_->put("pair", std::pair<std::string, int>("a", 5));
    EXPECT_EQ((dict_->get<std::pair<std::string, long>>("pair").second), 5);
    EXPECT_EQ((dict_->get<std::pair<std::string, double>>("pair").second), 5.0);
    dict_->put("pair", std::pair<std::string, int>("a", 500));
    EXPECT_EQ(code_of(dict_->try_get<std::pair<std::string, std::int8_t>>("pair")), Errc::wrong_type);
}

TEST_F(TypesTest, BytesOfOthersAreJudged) {
    const std::vector<std::byte> bytes(100, std::byte{0xff});
    for (const std::uint16_t type : {Codec<Array<double>>::type, type_list, type_map, type_record}) {
        dict_->put_bytes(std::as_bytes(std::span("bad", 3)), bytes, type).value();
        EXPECT_EQ(code_of(dict_->try_get<Array<double>>("bad")), Errc::wrong_type);
        EXPECT_EQ(code_of(dict_->try_get<std::vector<std::string>>("bad")), Errc::wrong_type);
        EXPECT_EQ((code_of(dict_->try_get<std::map<int, int>>("bad"))), Errc::wrong_type);
        EXPECT_EQ((code_of(dict_->try_get<std::pair<int, int>>("bad"))), Errc::wrong_type);
        EXPECT_EQ(dict_->get<std::vector<std::byte>>("bad"), bytes);
    }
}

}  // namespace
}  // namespace ddict
