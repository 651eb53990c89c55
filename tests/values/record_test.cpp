// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/key.h>
#include <ddict/record.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "tests/shm/chance.h"
#include "tests/values/codec_tools.h"

namespace {

struct Event {
    std::string name;
    double time = 0;
    std::vector<std::string> tags;
    bool operator==(const Event&) const = default;
};

}  // namespace

template <>
struct ddict::Codec<Event> {
    static constexpr std::uint16_t type = ddict::user_type(1);
    static std::vector<std::byte> encode(const Event& event) {
        return ddict::Writer().field(event.name).field(event.time).field(event.tags).take();
    }
    static ddict::Result<Event> decode(std::span<const std::byte> bytes) {
        Event event;
        ddict::Reader in(bytes);
        in.field(event.name).field(event.time).field(event.tags);
        return in.finish(std::move(event));
    }
};

namespace {

/// A map of somebody else's, with what every map has.
template <class K, class V>
struct SortedPairs : private std::map<K, V> {
    using Base = std::map<K, V>;
    using Base::Base, Base::begin, Base::end, Base::emplace;
    using typename Base::key_compare, typename Base::key_type, typename Base::mapped_type;
    bool operator==(const SortedPairs& other) const {
        return std::equal(begin(), end(), other.begin(), other.end());
    }
};
template <class K, class V>
struct PairsWithCodec : SortedPairs<K, V> {
    using SortedPairs<K, V>::SortedPairs;
};

}  // namespace

template <class K, class V>
struct ddict::Codec<PairsWithCodec<K, V>> {
    static constexpr std::uint16_t type = ddict::user_type(2);
    static std::vector<std::byte> encode(const PairsWithCodec<K, V>&) { return {}; }
    static ddict::Result<PairsWithCodec<K, V>> decode(std::span<const std::byte>) {
        return PairsWithCodec<K, V>();
    }
};

namespace ddict {
namespace {

using codec_test::decoded;
using codec_test::encoded;
using codec_test::expect_round_trip;

TEST(Record, AUsersTypeByItsMembers) {
    expect_round_trip(Event{});
    expect_round_trip(Event{"start", 1.5, {"a", "", "long " + std::string(100, 'x')}});
    expect_round_trip(std::vector<Event>{{"one", 1, {}}, {"two", 2, {"x"}}});
}

TEST(Record, PairsAndTuples) {
    expect_round_trip(std::pair<std::string, int>("x", 3));
    expect_round_trip(std::tuple<int, std::vector<double>, std::string>(1, {2, 3}, "four"));
    expect_round_trip(std::tuple<>());
    expect_round_trip(std::vector<std::pair<int, std::string>>{{1, "a"}, {2, ""}});
    const auto wrong =
        decoded<std::pair<std::string, bool>>(encoded(std::pair<std::string, int>("x", 3)), type_record);
    ASSERT_FALSE(wrong);
    EXPECT_STREQ(wrong.error().detail.data(), "stored: int32, asked: bool");
    const auto shorter = decoded<std::tuple<int>>(encoded(std::tuple(1, 2)), type_record);
    EXPECT_EQ(shorter.error().code, Errc::wrong_type);
    const auto longer = decoded<std::tuple<int, int, int>>(encoded(std::tuple(1, 2)), type_record);
    EXPECT_STREQ(longer.error().detail.data(), "a field is missing");
}

TEST(Record, Maps) {
    expect_round_trip(std::map<std::string, double>{});
    expect_round_trip(std::map<std::string, double>{{"a", 1}, {"b", 2}});
    expect_round_trip(std::unordered_map<int, std::vector<std::string>>{{1, {"x", "y"}}, {2, {}}});
    expect_round_trip(std::map<std::string, bool>{{"yes", true}, {"no", false}});
    expect_round_trip(std::map<int, std::map<int, int>>{{1, {{2, 3}}}, {4, {}}});
    const auto unequal = Writer().field(std::vector<int>{1, 2}).field(std::vector<int>{1}).take();
    EXPECT_EQ((decoded<std::map<int, int>>(unequal, type_map)).error().code, Errc::wrong_type);
    const auto twice = Writer().field(std::vector<int>{1, 1}).field(std::vector<int>{1, 2}).take();
    EXPECT_STREQ((decoded<std::map<int, int>>(twice, type_map)).error().detail.data(),
                 "the map has a key twice");
}

TEST(Record, MapsOfOthersAreStoredAsOurs) {
    const SortedPairs<std::string, int> pairs{{"a", 1}, {"b", 2}};
    expect_round_trip(pairs);
    EXPECT_EQ(encoded(pairs), encoded(std::map<std::string, int>{{"a", 1}, {"b", 2}}));
    EXPECT_EQ((Codec<SortedPairs<std::string, int>>::type), type_map);
    EXPECT_TRUE((EncodableKey<SortedPairs<std::string, int>>));
    EXPECT_FALSE((EncodableKey<SortedPairs<std::string, long double>>));
    EXPECT_FALSE((EncodableKey<std::unordered_map<std::string, int>>));
    EXPECT_TRUE((EncodableKey<std::map<std::string, int>>));
    // What has several values for a key is no such map, and a codec of the user's comes first.
    EXPECT_FALSE((Encodable<std::multimap<int, int>>));
    EXPECT_EQ((Codec<PairsWithCodec<std::string, int>>::type), user_type(2));
}

TEST(Record, WalksThroughFieldsItDoesNotKnow) {
    const auto bytes = Writer().field(1).field("two").field(std::vector<double>{3}).take();
    Reader in(bytes);
    std::vector<std::uint16_t> types;
    while (in.more()) {
        const Reader::Field field = in.next_field();
        types.push_back(field.type);
        if (field.type == type_text) {
            EXPECT_EQ(*detail::from_bytes<std::string>(field.bytes), "two");
        }
    }
    EXPECT_TRUE(in.good());
    EXPECT_EQ(types, (std::vector<std::uint16_t>{0x0112, type_text, 0x0233}));
}

TEST(Record, AFieldThatALaterVersionAdded) {
    const auto bytes = Writer().field(1).field(2).take();
    int first = 0, second = 0, third = 3;
    Reader in(bytes);
    in.field(first);
    if (in.more()) in.field(second);
    if (in.more()) in.field(third);
    EXPECT_EQ(*in.finish(first + second + third), 6);
}

TEST(Record, ABadReaderStaysBadAndChangesNothing) {
    const auto bytes = Writer().field("text").field(2).take();
    Reader in(bytes);
    double number = 1.5;
    int after = 7;
    in.field(number).field(after);
    EXPECT_FALSE(in.good());
    EXPECT_FALSE(in.more());
    EXPECT_EQ(number, 1.5);
    EXPECT_EQ(after, 7);
    EXPECT_TRUE(in.next_field().bytes.empty());
    EXPECT_STREQ(in.finish(0).error().detail.data(), "stored: text, asked: float64");
}

TEST(Record, EveryCutIsRefused) {
    const auto good = encoded(Event{"start", 1.5, {"a", "bc"}});
    for (std::size_t size = 0; size < good.size(); ++size) {
        const std::vector<std::byte> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(decoded<Event>(cut, Codec<Event>::type)) << size;
    }
}

/// Foreign bytes: whatever comes out, nothing is read outside of them (the sanitizers watch) and no absurd
/// amount of memory is asked for.
TEST(Record, BytesThatHaveBeenDamaged) {
    shm::Chance chance;
    const std::vector<Event> events{{"one", 1, {"a", "b"}}, {"two", 2, {}}};
    const auto good = encoded(events);
    int refused = 0;
    for (int round = 0; round < 20'000; ++round) {
        auto bad = good;
        for (std::size_t changes = 1 + chance.below(3); changes > 0; --changes) {
            const std::size_t at = chance.below(bad.size());
            bad[at] = static_cast<std::byte>(chance.below(256));
        }
        if (chance.below(4) == 0) bad.resize(chance.below(bad.size() + 1));
        const auto read = decoded<std::vector<Event>>(bad, type_list);
        if (!read) {
            ++refused;
            EXPECT_EQ(read.error().code, Errc::wrong_type);
        }
    }
    EXPECT_GT(refused, 5'000);
}

}  // namespace
}  // namespace ddict
