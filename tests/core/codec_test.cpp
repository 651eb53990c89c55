// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/codec.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

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

std::vector<std::byte> stored(std::span<const std::byte> bytes) {
    return {bytes.begin(), bytes.end()};
}

template <class T>
std::vector<std::byte> encoded(const T& value) {
    return detail::with_bytes(value, [](std::span<const std::byte> bytes) { return stored(bytes); });
}

/// What a reader that asks for a T gets of stored bytes and their type.
template <class T>
Result<T> decoded(const std::vector<std::byte>& bytes, std::uint16_t type) {
    detail::SinkFor<T> sink;
    const Result<std::span<std::byte>> room = sink.prepare(bytes.size(), type);
    if (!room) return room.error();
    EXPECT_EQ(room->size(), bytes.size());
    std::copy(bytes.begin(), bytes.end(), room->begin());
    return std::move(sink).take();
}

template <class T>
void expect_round_trip(const T& value) {
    const Result<T> back = decoded<T>(encoded(value), Codec<T>::type);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_TRUE(*back == value);
}

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
    EXPECT_EQ(Codec<Point>::type, 0x017f);
    EXPECT_EQ(Codec<std::vector<double>>::type, 0x0233);
}

TEST(Codec, TheWrongTypeIsRefused) {
    EXPECT_EQ(decoded<std::string>(encoded(1.0), Codec<double>::type).error().code, Errc::wrong_type);
    EXPECT_EQ(decoded<double>(encoded(std::int64_t{1}), Codec<std::int64_t>::type).error().code,
              Errc::wrong_type);
    EXPECT_EQ(decoded<std::uint32_t>(encoded(1), Codec<int>::type).error().code, Errc::wrong_type);
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

static_assert(Encodable<Particle> && Decodable<Particle>);
static_assert(Encodable<std::string_view> && Encodable<std::span<const double>>);
static_assert(!Decodable<std::span<double>>);
static_assert(!Encodable<int*> && !Decodable<int*>, "a pointer means nothing in another process");

}  // namespace
}  // namespace ddict
