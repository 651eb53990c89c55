// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The example bytes of docs/values.md, read out of the document, decoded, and made again.
#include <ddict/array.h>
#include <ddict/key.h>
#include <ddict/record.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>

#include "tests/values/codec_tools.h"
#include "tests/values/document_examples.h"

namespace geometry {
struct Point {
    std::int32_t x, y;
    bool operator==(const Point&) const = default;
};
}  // namespace geometry

namespace ddict {
namespace {

using geometry::Point;

class ValuesDocument : public testing::Test {
  protected:
    /// Whether the example of this name is the value, both ways.
    template <class T>
    void expect_example(const std::string& what, const T& value) {
        std::array<char, 16> type{};
        std::snprintf(type.data(), type.size(), "type 0x%04x: ", Codec<T>::type);
        const std::string name = type.data() + what;
        const auto found = examples_.find(name);
        ASSERT_NE(found, examples_.end()) << name;
        EXPECT_EQ(codec_test::encoded(value), found->second) << name;
        const Result<T> decoded = codec_test::decoded<T>(found->second, Codec<T>::type);
        ASSERT_TRUE(decoded) << name << ": " << decoded.error().message();
        EXPECT_TRUE(*decoded == value) << name;
        seen_.insert(name);
    }

    /// The same of a key.
    template <class T>
    void expect_key(const std::string& what, const T& value) {
        const AnyKey key(value);
        std::array<char, 16> type{};
        std::snprintf(type.data(), type.size(), "key 0x%04x: ", key.type());
        const std::string name = type.data() + what;
        const auto found = examples_.find(name);
        ASSERT_NE(found, examples_.end()) << name;
        EXPECT_TRUE(std::ranges::equal(key.bytes(), found->second)) << name;
        EXPECT_EQ(AnyKey(KeyBytes(found->second, key.type())).as<T>(), value) << name;
        seen_.insert(name);
    }

    std::map<std::string, std::vector<std::byte>> examples_ = examples_of(DDICT_VALUES_DOCUMENT);
    std::set<std::string> seen_;
};

TEST_F(ValuesDocument, Examples) {
    expect_example("\"Dragon\"", std::string("Dragon"));
    expect_example("1.5", 1.5);
    expect_example("1, 2, -1", std::vector<std::int32_t>{1, 2, -1});
    expect_key("42", 42);
    expect_key("42", std::uint8_t{42});
    expect_key("18446744073709551615", UINT64_MAX);
    expect_key("1.5", 1.5F);
    expect_key("\"42\"", std::string("42"));
    Array<float> array({2, 3});
    for (std::size_t i = 0; i < 6; ++i)
        array.elements()[i] = static_cast<float>(i);
    expect_example("2 x 3", array);
    expect_example("texts", std::vector<std::string>{"a", "", "bcd"});
    expect_example("vectors", std::vector<std::vector<double>>{{1}, {2, 3}});
    expect_example("x 1, y 2", Point{1, 2});
    expect_example("two points", std::vector<Point>{{1, 2}, {3, 4}});
    expect_example("\"x\", 7", std::pair<std::string, std::int32_t>("x", 7));
    expect_example("a, b", std::map<std::string, std::uint8_t>{{"a", 1}, {"b", 2}});
    EXPECT_EQ(seen_.size(), examples_.size()) << "an example of the document that is not decoded here";
}

/// The tables of the document, against the code.
TEST_F(ValuesDocument, TypesAndElements) {
    std::ifstream document(DDICT_VALUES_DOCUMENT);
    const std::string text((std::istreambuf_iterator<char>(document)), std::istreambuf_iterator<char>());
    const auto expect_row = [&](const char* format, unsigned number, const std::string& word) {
        std::array<char, 32> row{};
        std::snprintf(row.data(), row.size(), format, number);
        EXPECT_NE(text.find(row.data() + word), std::string::npos) << row.data() << word;
    };
    expect_row("| 0x%04x | ", type_bytes, type_in_words(type_bytes) + " |");
    expect_row("| 0x%04x | ", type_text, type_in_words(type_text) + " |");
    expect_row("| 0x%02xee | ", type_scalar >> 8, "scalar |");
    expect_row("| 0x%02xee | ", type_vector >> 8, "vector |");
    expect_row("| 0x%02xee | ", type_array >> 8, "array |");
    for (const std::uint16_t type : {type_list, type_record, type_map})
        expect_row("| 0x%04x | ", type, type_in_words(type) + " |");
    const auto expect_elements = [&](const std::vector<int>& elements) {
        std::string words = "| ";
        std::string numbers = " | ";
        for (const int element : elements) {
            std::array<char, 8> number{};
            std::snprintf(number.data(), number.size(), "0x%02x", static_cast<unsigned>(element));
            const bool first = element == elements.front();
            words += (first ? "" : ", ") + type_in_words(static_cast<std::uint16_t>(type_scalar | element));
            numbers += (first ? "" : ", ") + std::string(number.data());
        }
        EXPECT_NE(text.find(words + numbers + " |"), std::string::npos) << words << numbers;
    };
    expect_elements({0x10, 0x11, 0x12, 0x13, 0x14});
    expect_elements({0x20, 0x21, 0x22, 0x23, 0x24});
    expect_elements({0x32, 0x33});
    expect_elements({0x53, 0x54});
    EXPECT_EQ(element_type<bool>(), 0x40);
    EXPECT_NE(text.find("all else true | 0x40 |"), std::string::npos);
    EXPECT_NE(text.find("a structure of which nothing is known | 0x7f |"), std::string::npos);
    EXPECT_EQ(structure_number_of("geometry::Point"), Codec<Point>::type & 0x1fff);
    EXPECT_NE(text.find("`geometry::Point` is " + std::to_string(structure_number_of("geometry::Point"))),
              std::string::npos);
}

}  // namespace
}  // namespace ddict
