// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/codec.h>
#include <gtest/gtest.h>

#include <complex>
#include <functional>
#include <limits>
#include <set>

#include "tests/values/codec_tools.h"

namespace {

struct Particle {
    std::string name;
    double mass = 0;
    bool operator==(const Particle&) const = default;
};

struct Point {
    float x, y;
    bool operator==(const Point&) const = default;
};

enum class Colour : std::uint8_t { red = 1, green = 2 };

}  // namespace

template <>
struct ddict::Codec<Particle> {
    static constexpr std::uint16_t type = ddict::user_type(7);
    static std::vector<std::byte> encode(const Particle& particle) {
        std::vector<std::byte> out(sizeof particle.mass);
        std::memcpy(out.data(), &particle.mass, sizeof particle.mass);
        const auto name = std::as_bytes(std::span(particle.name));
        out.insert(out.end(), name.begin(), name.end());
        return out;
    }
    static ddict::Result<Particle> decode(std::span<const std::byte> bytes) {
        Particle particle;
        if (bytes.size() < sizeof particle.mass) return ddict::Error(ddict::Errc::wrong_type, "too short");
        std::memcpy(&particle.mass, bytes.data(), sizeof particle.mass);
        const auto name = bytes.subspan(sizeof particle.mass);
        particle.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
        return particle;
    }
};

namespace ddict {
namespace {

using codec_test::decoded;
using codec_test::encoded;
using codec_test::expect_round_trip;

TEST(Codec, Numbers) {
    expect_round_trip<std::int8_t>(-1);
    expect_round_trip<std::uint8_t>(255);
    expect_round_trip<std::int16_t>(-2);
    expect_round_trip<std::uint16_t>(65535);
    expect_round_trip<std::int32_t>(std::numeric_limits<std::int32_t>::min());
    expect_round_trip<std::uint32_t>(7);
    expect_round_trip<std::int64_t>(std::numeric_limits<std::int64_t>::min());
    expect_round_trip<std::uint64_t>(~std::uint64_t{0});
    expect_round_trip(1.5f);
    expect_round_trip(-2.5);
    expect_round_trip(true);
    expect_round_trip('c');
    expect_round_trip(std::byte{9});
    EXPECT_EQ(encoded(std::int32_t{1}), (std::vector<std::byte>{std::byte{1}, {}, {}, {}}))
        << "little-endian";
}

TEST(Codec, StructuresEnumerationsAndArrays) {
    expect_round_trip(Point{1, 2});
    expect_round_trip(Colour::green);
    expect_round_trip(std::array<int, 3>{1, 2, 3});
}

TEST(Codec, Text) {
    expect_round_trip(std::string());
    expect_round_trip(std::string("Dragon"));
    expect_round_trip(std::string("with\0zero", 9));
    EXPECT_EQ(encoded(std::string_view("abc")), encoded(std::string("abc")));
    EXPECT_EQ(encoded("abc"), encoded(std::string("abc"))) << "a literal, without its final zero";
    const char* pointer = "abc";
    EXPECT_EQ(encoded(pointer), encoded(std::string("abc")));
    static_assert(!Decodable<std::string_view>, "nobody would own the characters");
}

TEST(Codec, TextEndsAtItsFirstZero) {
    struct {
        char full[3] = {'x', 'y', 'z'};
        char after[2] = {'!', '\0'};
    } text;
    EXPECT_EQ(encoded(text.full), encoded(std::string("xyz"))) << "nothing behind the array";
    EXPECT_EQ(encoded(text.after), encoded(std::string("!")));
    const char buffer[16] = "abc";
    EXPECT_EQ(encoded(buffer), encoded(std::string("abc")));
    EXPECT_EQ(encoded("a\0b"), encoded(std::string("a")));
    EXPECT_EQ(encoded(std::string("a\0b", 3)).size(), 3u);
    EXPECT_EQ(encoded(std::string_view("a\0b", 3)).size(), 3u);
    const char* pointer = nullptr;
    EXPECT_THROW(encoded(pointer), Exception);
    EXPECT_THROW(encoded(std::vector<const char*>{"a", nullptr}), Exception);
}

TEST(Codec, AddressesAreNoValues) {
    struct Plain {
        int number;
    };
    static_assert(!Encodable<std::nullptr_t> && !Encodable<int*> && !Encodable<int Plain::*>);
    static_assert(!Encodable<std::span<std::string>> && !Encodable<std::span<const char*>>);
    static_assert(!Encodable<std::array<const char*, 2>> && !Encodable<std::array<std::string_view, 2>>);
    static_assert(!Encodable<std::initializer_list<int>> && !Encodable<std::reference_wrapper<int>>);
    static_assert(!Encodable<std::wstring_view> && !Encodable<std::optional<int*>>);
    static_assert(!Encodable<std::array<std::array<int*, 2>, 2>> && !Decodable<std::array<int*, 2>>);
    static_assert(Encodable<std::array<std::array<Plain, 2>, 2>> && Encodable<std::optional<Plain>>);
}

/// A value may change, and its type with it, while it is being read: what came last counts.
TEST(Codec, ANumberIsOfTheTypeThatWasAskedForLast) {
    const auto receive = [](auto& sink, auto number) {
        const auto buffer = sink.prepare(sizeof number, Codec<decltype(number)>::type);
        ASSERT_TRUE(buffer);
        std::memcpy(buffer->data(), &number, sizeof number);
    };
    detail::SinkFor<std::int32_t> first;
    receive(first, std::int64_t{1});
    receive(first, std::int32_t{2});
    EXPECT_EQ(*std::move(first).take(), 2);
    detail::SinkFor<std::int32_t> second;
    receive(second, std::int32_t{1});
    receive(second, std::int64_t{2});
    EXPECT_EQ(*std::move(second).take(), 2);
    std::int32_t into = 0;
    detail::SinkInto<std::int32_t> third(into);
    receive(third, 1.0);
    receive(third, std::int32_t{2});
    EXPECT_TRUE(third.finish());
    EXPECT_EQ(into, 2);
}

TEST(Codec, VectorsAndSpans) {
    expect_round_trip(std::vector<double>{});
    expect_round_trip(std::vector<double>{1, 2, 3});
    expect_round_trip(std::vector<Point>{{1, 2}, {3, 4}});
    expect_round_trip(std::vector<std::byte>{std::byte{1}, std::byte{2}});
    const std::vector<int> values{1, 2, 3};
    EXPECT_EQ(encoded(std::span<const int>(values)), encoded(values));
    EXPECT_EQ((Codec<std::span<const int>>::type), Codec<std::vector<int>>::type);
    const std::array<std::byte, 4> fixed{};
    EXPECT_EQ(encoded(std::span<const std::byte, 4>(fixed)).size(), 4u);
}

TEST(Codec, VectorsOfBoolAndArraysOfFixedSize) {
    expect_round_trip(std::vector<bool>{true, false, true});
    EXPECT_EQ(Codec<std::vector<bool>>::type, 0x0240);
    EXPECT_EQ(encoded(std::vector<bool>{true, false}), (std::vector<std::byte>{std::byte{1}, std::byte{0}}));
    expect_round_trip(std::array<double, 3>{1, 2, 3});
    EXPECT_EQ((Codec<std::array<double, 3>>::type), Codec<std::vector<double>>::type);
    EXPECT_EQ((*decoded<std::vector<int>>(encoded(std::array<int, 2>{5, 6}), 0x0212)),
              (std::vector<int>{5, 6}));
    EXPECT_EQ((decoded<std::array<int, 3>>(encoded(std::vector<int>{1, 2}), 0x0212)).error().code,
              Errc::wrong_type);
    expect_round_trip(std::vector<std::array<int, 2>>{{1, 2}, {3, 4}});
    expect_round_trip(std::complex<double>(1, -1));
    EXPECT_EQ(Codec<std::vector<std::complex<float>>>::type, 0x0253);
}

TEST(Codec, Lists) {
    expect_round_trip(std::vector<std::string>{});
    expect_round_trip(std::vector<std::string>{"", "a", std::string("b\0c", 3), std::string(1000, 'x')});
    expect_round_trip(std::vector<std::vector<double>>{{}, {1}, {2, 3, 4}});
    expect_round_trip(std::vector<std::vector<std::vector<std::string>>>{{}, {{"a"}, {}}, {{"b", "c"}}});
    expect_round_trip(std::vector<std::vector<std::byte>>{{std::byte{1}}, {}});
    expect_round_trip(std::vector<std::vector<bool>>{{true}, {}});
    expect_round_trip(std::vector<Particle>{{"electron", 0.511}, {"", 0}});
    const std::vector<std::string_view> views{"ab", "c"};
    EXPECT_EQ(encoded(views), encoded(std::vector<std::string>{"ab", "c"}));
    const std::vector<int> numbers{1, 2, 3};
    const std::vector<std::span<const int>> parts{std::span(numbers).first(1), std::span(numbers).last(2)};
    EXPECT_EQ(encoded(parts), encoded(std::vector<std::vector<int>>{{1}, {2, 3}}));
}

/// The items' elements are where a reader of mapped memory can use them.
TEST(Codec, ItemsOfListsAreAligned) {
    const auto bytes = encoded(std::vector<std::vector<double>>{{1}, {2, 3}, {4}});
    ASSERT_EQ(bytes.size(), 48u + 16 + 16 + 8);
    for (const auto& [offset, value] : {std::pair(48u, 1.0), {64u, 2.0}, {72u, 3.0}, {80u, 4.0}}) {
        double stored = 0;
        std::memcpy(&stored, bytes.data() + offset, sizeof stored);
        EXPECT_EQ(stored, value) << offset;
    }
}

TEST(Codec, AListOfOtherItemsIsRefused) {
    const auto texts = encoded(std::vector<std::string>{"a"});
    const auto wrong = decoded<std::vector<std::vector<double>>>(texts, type_list);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Errc::wrong_type);
    EXPECT_STREQ(wrong.error().detail.data(), "stored: list of text, asked: list of vector of float64");
}

TEST(Codec, DamagedListsAreRefused) {
    const auto good = encoded(std::vector<std::vector<int>>{{1, 2}, {3}});
    const auto read = [](const std::vector<std::byte>& bytes) {
        return decoded<std::vector<std::vector<int>>>(bytes, type_list);
    };
    ASSERT_TRUE(read(good));
    for (std::size_t size = 0; size < good.size(); ++size) {
        const auto cut = read({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
        EXPECT_FALSE(cut) << size;
    }
    auto longer = good;
    longer.push_back({});
    EXPECT_FALSE(read(longer));
    // Counts and lengths that are absurd, also such that sums of them overflow.
    for (const std::uint64_t absurd : {std::uint64_t{3}, std::uint64_t{1} << 32, std::uint64_t{1} << 61,
                                       ~std::uint64_t{0}, ~std::uint64_t{15}}) {
        for (const std::size_t offset : {8u, 16u, 24u}) {
            auto bad = good;
            std::memcpy(bad.data() + offset, &absurd, sizeof absurd);
            const auto result = read(bad);
            ASSERT_FALSE(result) << absurd << " at " << offset;
            EXPECT_EQ(result.error().code, Errc::wrong_type);
        }
    }
}

TEST(Codec, ATypeNumberInWords) {
    EXPECT_EQ(type_in_words(type_bytes), "bytes");
    EXPECT_EQ(type_in_words(type_text), "text");
    EXPECT_EQ(type_in_words(Codec<std::int16_t>::type), "int16");
    EXPECT_EQ(type_in_words(Codec<bool>::type), "bool");
    EXPECT_EQ(type_in_words(0x017f), "structure");
    EXPECT_EQ(type_in_words(0x2007), "structure 7");
    EXPECT_EQ(type_in_words(0x4007), "vector of structure 7");
    EXPECT_EQ(type_in_words(0x7fff), "array of structure 8191");
    EXPECT_EQ(type_in_words(Codec<std::vector<std::uint8_t>>::type), "vector of uint8");
    EXPECT_EQ(type_in_words(Codec<std::vector<std::complex<double>>>::type), "vector of complex128");
    EXPECT_EQ(type_in_words(type_array | element_type<double>()), "array of float64");
    EXPECT_EQ(type_in_words(type_list), "list");
    EXPECT_EQ(type_in_words(type_record), "record");
    EXPECT_EQ(type_in_words(type_map), "map");
    EXPECT_EQ(type_in_words(user_type(7)), "user type 7");
    for (int type = 0; type < 0x10000; ++type)
        EXPECT_FALSE(type_in_words(static_cast<std::uint16_t>(type)).empty());
    const auto wrong = decoded<std::vector<int>>(encoded(std::vector<double>{1}), 0x0233);
    EXPECT_STREQ(wrong.error().detail.data(), "stored: vector of float64, asked: vector of int32");
}

TEST(Codec, AUsersOwn) {
    expect_round_trip(Particle{"electron", 0.511});
    expect_round_trip(Particle{"", 0});
    const Result<Particle> bad = decoded<Particle>(std::vector<std::byte>(3), Codec<Particle>::type);
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, Errc::wrong_type);
    EXPECT_EQ(user_type(7), 0x8007);
}

TEST(Codec, TypesAreToldApart) {
    const std::set<std::uint16_t> types{Codec<std::string>::type,
                                        Codec<std::int8_t>::type,
                                        Codec<std::uint8_t>::type,
                                        Codec<std::int16_t>::type,
                                        Codec<std::uint16_t>::type,
                                        Codec<std::int32_t>::type,
                                        Codec<std::uint32_t>::type,
                                        Codec<std::int64_t>::type,
                                        Codec<std::uint64_t>::type,
                                        Codec<float>::type,
                                        Codec<double>::type,
                                        Codec<bool>::type,
                                        Codec<Point>::type,
                                        Codec<std::vector<double>>::type,
                                        Codec<std::vector<float>>::type,
                                        Codec<std::vector<Point>>::type,
                                        Codec<std::vector<std::byte>>::type,
                                        Codec<Particle>::type,
                                        Codec<std::vector<std::int32_t>>::type};
    EXPECT_EQ(types.size(), 19u);
    EXPECT_EQ(Codec<std::byte>::type, Codec<std::uint8_t>::type);
    EXPECT_EQ(Codec<std::vector<std::byte>>::type, type_bytes);
}

TEST(Codec, TypesAreFixedForTheProtocolVersion) {
    EXPECT_EQ(Codec<std::string>::type, 0x0001);
    EXPECT_EQ(Codec<std::int8_t>::type, 0x0110);
    EXPECT_EQ(Codec<std::int32_t>::type, 0x0112);
    EXPECT_EQ(Codec<std::uint64_t>::type, 0x0123);
    EXPECT_EQ(Codec<float>::type, 0x0132);
    EXPECT_EQ(Codec<double>::type, 0x0133);
    EXPECT_EQ(Codec<bool>::type, 0x0140);
    EXPECT_EQ(Codec<Point>::type, 0x2000 | structure_number_of("Point"));
    EXPECT_EQ(Codec<std::vector<double>>::type, 0x0233);
}

TEST(Codec, TheWrongTypeIsRefused) {
    EXPECT_EQ(decoded<std::string>(encoded(1.0), Codec<double>::type).error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<bool>(encoded(std::int64_t{1}), Codec<std::int64_t>::type).error().code,
              Errc::wrong_type);
    EXPECT_EQ(decoded<std::uint32_t>(encoded(-1), Codec<int>::type).error().code, Errc::wrong_type);
    EXPECT_EQ(*decoded<std::uint32_t>(encoded(1), Codec<int>::type), 1u);
    EXPECT_EQ(decoded<double>(encoded(std::vector<double>{1}), Codec<std::vector<double>>::type).error().code,
              Errc::wrong_type);
    EXPECT_EQ(decoded<Particle>(encoded(std::string("x")), type_text).error().code, Errc::wrong_type);
}

TEST(Codec, TheWrongSizeIsRefused) {
    EXPECT_EQ(decoded<int>(std::vector<std::byte>(3), type_bytes).error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<int>(std::vector<std::byte>(5), Codec<int>::type).error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<Point>(std::vector<std::byte>(4), Codec<Point>::type).error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<std::vector<int>>(std::vector<std::byte>(6), type_bytes).error().code,
              Errc::wrong_type);
    EXPECT_EQ(decoded<std::vector<int>>(std::vector<std::byte>(8), type_bytes)->size(), 2u);
}

TEST(Codec, PlainBytesFitEveryType) {
    EXPECT_EQ(*decoded<std::string>(encoded(std::vector<std::byte>{std::byte{'a'}}), type_bytes), "a");
    EXPECT_EQ(decoded<std::vector<std::byte>>(encoded(1.0), Codec<double>::type)->size(), sizeof(double));
    EXPECT_EQ(*decoded<int>(encoded(7), type_bytes), 7);
}

static_assert(Encodable<std::vector<std::string_view>> && !Decodable<std::vector<std::string_view>>);
static_assert(!Encodable<std::vector<int*>>);
static_assert(Encodable<Particle> && Decodable<Particle>);
static_assert(Encodable<std::string_view> && Encodable<std::span<const double>>);
static_assert(!Decodable<std::span<double>>);
static_assert(!Encodable<int*> && !Decodable<int*>, "a pointer means nothing in another process");

}  // namespace
}  // namespace ddict
