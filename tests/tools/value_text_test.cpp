// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/value_text.h"

#include <ddict/codec.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <random>

#include "tools/usage_error.h"

namespace ddict::tools {
namespace {

template <class T>
std::string shown(const T& value) {
    return scalar_text(Codec<T>::view(value), Codec<T>::type).value_or("(none)");
}

/// Its text is read back as the same bytes.
template <class T>
void expect_round_trip(const T& value) {
    const auto bytes = Codec<T>::view(value);
    const std::string text = shown(value);
    const std::vector<std::byte> again = value_of(Codec<T>::type, text);
    ASSERT_EQ(again.size(), sizeof(T));
    // A long double has bytes that mean nothing.
    const std::size_t meant = std::is_same_v<T, long double> ? 10 : sizeof(T);
    EXPECT_EQ(std::memcmp(again.data(), bytes.data(), meant), 0) << text;
}

TEST(ValueText, NumbersAreTheShortestThatAreReadBack) {
    EXPECT_EQ(shown(0.1 + 0.2), "0.30000000000000004");
    EXPECT_EQ(shown(0.3), "0.3");
    EXPECT_EQ(shown(0.1f), "0.1");
    EXPECT_EQ(shown(-0.0), "-0");
    EXPECT_EQ(shown(1e300), "1e+300");
    EXPECT_EQ(shown(std::numeric_limits<double>::infinity()), "inf");
    EXPECT_EQ(shown(-std::numeric_limits<float>::infinity()), "-inf");
    EXPECT_EQ(shown(std::nan("")), "nan");
    EXPECT_EQ(shown(-std::nan("")), "-nan");
    EXPECT_EQ(shown(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
    EXPECT_EQ(shown(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
}

TEST(ValueText, CharactersAreNumbersAndBoolsAreWords) {
    EXPECT_EQ(shown('A'), "65");
    EXPECT_EQ(shown(static_cast<signed char>(-1)), "-1");
    EXPECT_EQ(shown(static_cast<unsigned char>(200)), "200");
    EXPECT_EQ(shown(u8'A'), "65");
    EXPECT_EQ(shown(u'A'), "65");
    EXPECT_EQ(shown(U'A'), "65");
    EXPECT_EQ(shown(L'A'), "65");
    EXPECT_EQ(shown(true), "true");
    EXPECT_EQ(shown(false), "false");
    const std::byte strange{7};
    EXPECT_EQ(scalar_text({&strange, 1}, Codec<bool>::type), "true");
    EXPECT_EQ(shown(std::complex<double>(1.5, -2)), "(1.5,-2)");
}

TEST(ValueText, NoValueOfAnyScalarTypeChanges) {
    const unsigned seed = std::random_device()();
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    // Any bits, so that the numbers that are none, the denormal and the largest are among them.
    const auto any = [&]<class T>(T) {
        T value{};
        for (int round = 0; round < 20'000; ++round) {
            const std::uint64_t bits[2] = {random(), random()};
            if constexpr (std::is_same_v<T, bool>) {
                value = bits[0] % 2 != 0;
            } else {
                std::memcpy(&value, bits, sizeof value);
            }
            ASSERT_NO_FATAL_FAILURE(expect_round_trip(value));
        }
    };
    any(bool());
    any(char());
    any(std::int8_t());
    any(std::uint8_t());
    any(std::int16_t());
    any(std::uint16_t());
    any(std::int32_t());
    any(std::uint32_t());
    any(std::int64_t());
    any(std::uint64_t());
    any(char16_t());
    any(char32_t());
    any(wchar_t());
    any(float());
    any(double());
    any(std::complex<float>());
    any(std::complex<double>());
}

TEST(ValueText, NorDoTheSpecialOnes) {
    const auto special = [&]<class T>(T) {
        using Limits = std::numeric_limits<T>;
        for (const T value : {T(0), -T(0), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                              -Limits::quiet_NaN(), Limits::min(), Limits::max(), Limits::lowest(),
                              Limits::denorm_min(), Limits::epsilon(), T(1) / 3})
            expect_round_trip(value);
    };
    special(float());
    special(double());
    special(static_cast<long double>(0));
    std::uint64_t signalling = 0x7ff0000000000001;
    double number = 0;
    std::memcpy(&number, &signalling, sizeof number);
    EXPECT_EQ(shown(number), "nan(0x1)");
}

TEST(ValueText, NumbersOfSixteenBytes) {
    const std::uint16_t with_sign = type_named("int128").value();
    const std::uint16_t without = type_named("uint128").value();
    for (const char* text : {"0", "-1", "170141183460469231731687303715884105727",
                             "-170141183460469231731687303715884105728", "18446744073709551616"}) {
        const std::vector<std::byte> value = value_of(with_sign, text);
        ASSERT_EQ(value.size(), 16U);
        EXPECT_EQ(scalar_text(value, with_sign), text);
        EXPECT_EQ(on_one_line(value, with_sign), text);
    }
    EXPECT_EQ(value_of(with_sign, "-1"), std::vector<std::byte>(16, std::byte{0xff}));
    EXPECT_EQ(value_of(with_sign, "+7"), value_of(with_sign, "7"));
    const char* largest = "340282366920938463463374607431768211455";
    EXPECT_EQ(scalar_text(value_of(without, largest), without), largest);
    EXPECT_EQ(scalar_text(std::vector<std::byte>(8), without), std::nullopt) << "too short";
    for (const char* text :
         {"", "-", "+", "--1", "+-1", "1.0", " 1", "0x1", "170141183460469231731687303715884105728",
          "-170141183460469231731687303715884105729"})
        EXPECT_THROW(static_cast<void>(value_of(with_sign, text)), UsageError) << text;
    for (const char* text : {"-1", "340282366920938463463374607431768211456"})
        EXPECT_THROW(static_cast<void>(value_of(without, text)), UsageError) << text;
}

TEST(ValueText, WhatIsNoValueOfTheTypeIsRefused) {
    const auto refused = [](std::uint16_t type, std::string_view text) {
        EXPECT_THROW(static_cast<void>(value_of(type, text)), UsageError) << text;
    };
    for (const char* text : {"", " 1", "1 ", "1x", "x", "0x10", "1.0", "--1", "+-1", "1e3"})
        refused(Codec<std::int64_t>::type, text);
    for (const char* text :
         {"", " 1", "1,5", "x", "1e999", "1e-999", "nan(", "nan(0x0)", "nan(0x10000000000000)"})
        refused(Codec<double>::type, text);
    for (const char* text : {"128", "-129"})
        refused(Codec<std::int8_t>::type, text);
    for (const char* text : {"-1", "256"})
        refused(Codec<std::uint8_t>::type, text);
    for (const char* text : {"", "2", "yes", "truee"})
        refused(Codec<bool>::type, text);
    for (const char* text : {"1", "(1)", "(1,2", "(1,2,3)", "(x,1)"})
        refused(Codec<std::complex<double>>::type, text);
    refused(type_vector | element_type<double>(), "1234567");
}

TEST(ValueText, WhatPeopleWrite) {
    EXPECT_EQ(value_of(Codec<std::int32_t>::type, "+5"), value_of(Codec<std::int32_t>::type, "5"));
    EXPECT_EQ(value_of(Codec<double>::type, "NaN"), value_of(Codec<double>::type, "nan"));
    EXPECT_EQ(value_of(Codec<double>::type, "-Infinity"), value_of(Codec<double>::type, "-inf"));
    EXPECT_EQ(value_of(Codec<bool>::type, "1"), value_of(Codec<bool>::type, "true"));
    EXPECT_EQ(value_of(type_text, "1").size(), 1u);
    EXPECT_EQ(value_of(type_vector | element_type<double>(), "12345678").size(), 8u);
}

TEST(ValueText, EveryTypeHasItsName) {
    EXPECT_EQ(type_named("int"), Codec<std::int64_t>::type);
    EXPECT_EQ(type_named("uint"), Codec<std::uint64_t>::type);
    EXPECT_EQ(type_named("float"), Codec<float>::type);
    EXPECT_EQ(type_named("double"), Codec<double>::type);
    EXPECT_EQ(type_named("integer"), std::nullopt);
    EXPECT_EQ(type_named(""), std::nullopt);
    for (const int type : {0x0000, 0x0001, 0x0110, 0x0113, 0x0140, 0x017f, 0x0153, 0x0233, 0x0212, 0x0333,
                           0x0400, 0x0500, 0x0600, 0x8007, 0xffff, 0x0702})
        EXPECT_EQ(type_named(type_in_words(static_cast<std::uint16_t>(type))), type) << type;
}

TEST(ValueText, OneLine) {
    const auto shown_of = [](std::uint16_t type, std::string_view bytes) {
        return on_one_line(std::as_bytes(std::span(bytes)), type);
    };
    EXPECT_EQ(shown_of(type_text, "a\n\x9b"), "a\\x0a\\x9b");
    EXPECT_EQ(shown_of(0x0233, "12345678"), "<vector of float64, 8 bytes>");
    EXPECT_EQ(shown_of(0x0400, "x"), "<list, 1 byte>");
    EXPECT_EQ(shown_of(0x0113, "123"), "<int64, 3 bytes>");  // cut, by whoever stored it
    EXPECT_EQ(shown_of(0x0110, "A"), "65");
}

}  // namespace
}  // namespace ddict::tools
