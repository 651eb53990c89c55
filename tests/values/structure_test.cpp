// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Structures without a codec, told apart by the names of their types. The numbers here are those of all
// compilers.
#include <ddict/array.h>
#include <ddict/key.h>
#include <ddict/record.h>
#include <gtest/gtest.h>

#include <chrono>
#include <complex>
#include <map>
#include <tuple>
#include <unordered_map>

#include "tests/values/codec_tools.h"

namespace physics {
struct Particle {
    int charge;
    bool operator==(const Particle&) const = default;
};
struct Cell {
    int number;
};
enum class Colour : int { red };
template <class T, std::size_t n>
struct Small {
    T values[n];
};
template <class... T>
struct Tag {
    int number;
};
struct Outer {
    struct Inner {
        int number;
    };
};
struct Declared {
    int number;
};
struct Padded {
    char a;
    int b;
};
struct Floats {
    float x, y;
};
}  // namespace physics

template <>
inline constexpr std::uint16_t ddict::structure_number<physics::Declared> = 7;

namespace ddict {
namespace {

using codec_test::decoded;
using codec_test::encoded;
using physics::Cell;
using physics::Colour;
using physics::Declared;
using physics::Particle;
using physics::Small;
using physics::Tag;

struct Unnamed {
    int number;
};

template <class T>
std::uint16_t number_of() {
    return Codec<T>::type & (structure_count - 1);
}

TEST(Structure, TheNumberIsThatOfTheName) {
    EXPECT_EQ(number_of<Particle>(), structure_number_of("physics::Particle"));
    EXPECT_EQ(number_of<Particle>(), 5772);
    EXPECT_EQ(number_of<Colour>(), structure_number_of("physics::Colour"));
    EXPECT_EQ(number_of<physics::Outer::Inner>(), structure_number_of("physics::Outer::Inner"));
    EXPECT_EQ(number_of<Unnamed>(), structure_number_of("Unnamed")) << "an unnamed namespace is not in it";
    struct Local {
        int number;
    };
    EXPECT_EQ(number_of<Local>(), structure_number_of("Local"));
}

/// What compilers write differently.
TEST(Structure, ArgumentsOfTemplatesAreInTheName) {
    EXPECT_EQ((number_of<Small<float, 3>>()), structure_number_of("physics::Small<float, 3>"));
    EXPECT_EQ((number_of<Small<float, 3>>()), structure_number_of("physics::Small<float,3UL>"));
    EXPECT_EQ((number_of<Small<unsigned long, 1>>()),
              structure_number_of("physics::Small<unsigned long, 1>"));
    EXPECT_EQ((number_of<Small<unsigned long, 1>>()),
              structure_number_of("physics::Small<long unsigned int, 1>"));
    EXPECT_EQ((number_of<Tag<short, long long, signed char, unsigned char, unsigned, Tag<long double>>>()),
              structure_number_of("physics::Tag<short int, long long int, signed char, unsigned char, "
                                  "unsigned int, physics::Tag<long double> >"));
    EXPECT_NE((number_of<Small<float, 2>>()), (number_of<Small<int, 2>>()));
    EXPECT_NE((number_of<Tag<long>>()), (number_of<Tag<int>>()));
    EXPECT_NE((number_of<Tag<unsigned>>()), (number_of<Tag<int>>()));
    EXPECT_NE((number_of<Tag<char>>()), (number_of<Tag<signed char>>()));
    EXPECT_EQ((number_of<Tag<Unnamed>>()), structure_number_of("physics::Tag<ddict::Unnamed>"));
    EXPECT_EQ(number_of<std::chrono::nanoseconds>(),
              structure_number_of("std::chrono::duration<long, std::ratio<1, 1000000000>>"));
}

TEST(Structure, OthersOfTheSameSizeAreWrongTypeNamingBoth) {
    const auto wrong = decoded<Cell>(encoded(Particle{1}), Codec<Particle>::type);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Errc::wrong_type);
    EXPECT_EQ(std::string(wrong.error().detail.data()),
              "stored: structure " + std::to_string(number_of<Particle>()) + ", asked: structure " +
                  std::to_string(number_of<Cell>()) + " (physics::Cell)");
    const auto many =
        decoded<std::vector<Cell>>(encoded(std::vector<Particle>{{1}}), Codec<std::vector<Particle>>::type);
    EXPECT_NE(std::string(many.error().detail.data()).find("vector of structure "), std::string::npos);
    EXPECT_NE(std::string(many.error().detail.data()).find("(physics::Cell)"), std::string::npos);
    const auto array = decoded<Array<Cell>>(encoded(Array<Particle>({2})), Codec<Array<Particle>>::type);
    EXPECT_EQ(array.error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<Colour>(encoded(Particle{1}), Codec<Particle>::type).error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<int>(encoded(Particle{1}), Codec<Particle>::type).error().code, Errc::wrong_type);
    using Pair = std::pair<int, Particle>;
    EXPECT_EQ((decoded<std::pair<int, Cell>>(encoded(Pair(1, {2})), type_record).error().code),
              Errc::wrong_type);
    codec_test::expect_round_trip(std::vector<Particle>{{1}, {2}});
    EXPECT_EQ(*decoded<Particle>(encoded(Particle{5}), type_bytes), Particle{5}) << "plain bytes";
}

TEST(Structure, ADeclaredNumberOutlivesItsName) {
    EXPECT_EQ(Codec<Declared>::type, type_structure | 7);
    EXPECT_EQ(Codec<std::vector<Declared>>::type, type_structure_vector | 7);
    EXPECT_EQ(Codec<Array<Declared>>::type, type_structure_array | 7);
    EXPECT_GT(number_of<Particle>(), declared_structure_max);
    EXPECT_TRUE(can_be_appended_to(Codec<std::vector<Declared>>::type));
    EXPECT_FALSE(can_be_appended_to(Codec<Declared>::type));
    EXPECT_FALSE(can_be_appended_to(Codec<Array<Declared>>::type));
}

TEST(Structure, WhatMayHaveOtherBytesWhenItIsEqualIsNoKey) {
    using physics::Floats;
    using physics::Padded;
    static_assert(EncodableKey<Particle> && DecodableKey<Particle> && EncodableKey<std::vector<Particle>>);
    static_assert(EncodableKey<Colour> && EncodableKey<std::vector<float>> && EncodableKey<double>);
    static_assert(EncodableKey<std::complex<double>> && EncodableKey<std::vector<bool>>);
    static_assert(!EncodableKey<Padded> && !DecodableKey<Padded> && !EncodableKey<std::vector<Padded>>);
    static_assert(!EncodableKey<Floats> && !EncodableKey<std::array<Padded, 2>>);
    static_assert(!EncodableKey<std::span<const Padded>> && !EncodableKey<Array<Padded>>);
    static_assert(!EncodableKey<std::pair<int, Padded>> && !EncodableKey<std::tuple<int, Padded>>);
    static_assert(!EncodableKey<std::vector<std::pair<Padded, int>>> && !EncodableKey<std::optional<int>>);
    static_assert(!EncodableKey<std::map<int, Padded>> && EncodableKey<std::map<int, Particle>>);
    static_assert(!EncodableKey<std::unordered_map<int, int>> && !EncodableKey<long double>);
    static_assert(!DecodableKey<long double> && !EncodableKey<std::vector<long double>>);
    static_assert(!EncodableKey<std::complex<long double>>);
    static_assert(Encodable<Padded> && Encodable<Floats>, "a value it can be");
}

}  // namespace
}  // namespace ddict
