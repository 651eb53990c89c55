// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values of every type, through real managers: by shared memory and by message.
#include <ddict/array.h>
#include <ddict/record.h>
#include <gtest/gtest.h>

#include <numeric>

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
