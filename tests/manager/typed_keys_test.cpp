// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Keys have types, and know what they were placed by.
#include <map>

#include "tests/manager/shard_fixture.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

constexpr std::uint16_t type_i64 = 0x0113;

class TypedKeysTest : public ShardTest {
  protected:
    const shm::Block* find_typed(std::string_view key, std::uint16_t type) const {
        const KeyBytes typed(bytes_of(key), type);
        return pool->find(typed, hash_of(typed));
    }
    std::string got(std::string_view key, std::uint16_t type) {
        const Errc code = ask({.verb = Verb::get, .key = key, .key_type = type});
        return code == Errc{} ? std::string(text_of(last_value())) : std::string(name(code));
    }
    KeyPlacement placement_of(std::string_view key) const { return find(key)->placement(); }
    /// The keys of a scan of few pairs, with their types.
    std::multimap<std::string, std::uint16_t> scanned(std::string_view prefix, std::uint16_t type,
                                                      std::uint16_t flags) {
        EXPECT_EQ(ask({.verb = Verb::scan, .key = prefix, .flags = flags, .key_type = type}), Errc{});
        EXPECT_EQ(last().argument, 0u);
        std::multimap<std::string, std::uint16_t> found;
        wire::ItemReader in(last_value());
        if ((flags & wire::scan_values) != 0) {
            for (wire::PackedPair pair; in.pair(pair);)
                found.emplace(text_of(pair.key), pair.key.type());
        } else {
            for (KeyBytes key; in.key(key);)
                found.emplace(text_of(key), key.type());
        }
        EXPECT_TRUE(in.at_end());
        return found;
    }
};

TEST_F(TypedKeysTest, TheSameBytesAreAnotherKey) {
    const std::uint16_t types[] = {type_text, type_bytes, type_i64, user_type(0x7fff)};
    for (const std::uint16_t type : types)
        EXPECT_EQ(ask({.verb = Verb::put,
                       .key = "12345678",
                       .value = bytes_of("of " + std::to_string(type)),
                       .key_type = type}),
                  Errc{});
    EXPECT_EQ(pool->size(), 4u);
    for (const std::uint16_t type : types)
        EXPECT_EQ(got("12345678", type), "of " + std::to_string(type));
    EXPECT_EQ(got("12345678", 0x0123), "not_found");
    EXPECT_EQ(ask({.verb = Verb::erase, .key = "12345678", .key_type = type_i64}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::erase, .key = "12345678", .key_type = type_i64}), Errc::not_found);
    EXPECT_EQ(got("12345678", type_text), "of 1");
    EXPECT_EQ(got("12345678", type_bytes), "of 0");
    EXPECT_EQ(ask({.verb = Verb::append, .key = "n", .value = bytes_of("a"), .key_type = type_i64}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::append, .key = "n", .value = bytes_of("b"), .key_type = type_i64}), Errc{});
    EXPECT_EQ(got("n", type_i64), "ab");
    EXPECT_FALSE(has("n"));
}

TEST_F(TypedKeysTest, AWaitIsForAKeyOfItsType) {
    const std::uint64_t waiting = other_session();
    send(waiting, {.verb = Verb::wait_for, .key = "k", .argument = 1'000'000, .key_type = type_i64});
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = bytes_of("text")}), Errc{});
    EXPECT_EQ(shard.statistics().waiting, 1u);
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = bytes_of("number"), .key_type = type_i64}),
              Errc{});
    EXPECT_EQ(shard.statistics().waiting, 0u);
    EXPECT_EQ(text_of(last_value()), "number");
}

TEST_F(TypedKeysTest, ScansGiveTypesAndFilterByThem) {
    using Found = std::multimap<std::string, std::uint16_t>;
    for (const std::uint16_t type : {type_text, type_i64, user_type(5)}) {
        for (const char* key : {"abc", "abd", "xyz"})
            ask({.verb = Verb::put, .key = key, .key_type = type});
    }
    for (const std::uint16_t values : {std::uint16_t{0}, wire::scan_values}) {
        const auto flags = static_cast<std::uint16_t>(values | wire::scan_of_type);
        EXPECT_EQ(scanned("", type_text, values).size(), 9u) << "no prefix, no type";
        EXPECT_EQ(scanned("", type_i64, flags),
                  (Found{{"abc", type_i64}, {"abd", type_i64}, {"xyz", type_i64}}));
        EXPECT_EQ(scanned("ab", type_text, values), (Found{{"abc", type_text}, {"abd", type_text}}));
        EXPECT_EQ(scanned("ab", user_type(5), values), (Found{{"abc", user_type(5)}, {"abd", user_type(5)}}));
        EXPECT_EQ(scanned("ab", user_type(5), flags), scanned("ab", user_type(5), values));
        EXPECT_EQ(scanned("ab", 0x0123, values), Found());
    }
}

TEST_F(TypedKeysTest, ItemsOfBatchesHaveTypesAndPlacements) {
    std::vector<std::byte> buffer(4096);
    wire::ItemWriter pairs(buffer);
    const KeyPlacement placement{.by = PlacedBy::hash, .value = 77};
    ASSERT_TRUE(pairs.pair(bytes_of("k"), 1, bytes_of("text")));
    ASSERT_TRUE(pairs.pair({bytes_of("k"), type_i64}, 1, bytes_of("number"), placement));
    EXPECT_EQ(ask({.verb = Verb::batch_put, .value = pairs.written(), .argument = 2}), Errc{});
    EXPECT_EQ(stored("k"), "text");
    EXPECT_FALSE(placement_of("k").is_by_hand());
    ASSERT_NE(find_typed("k", type_i64), nullptr);
    EXPECT_EQ(find_typed("k", type_i64)->placement(), placement);
    wire::ItemWriter keys(buffer);
    ASSERT_TRUE(keys.key({bytes_of("k"), type_i64}) && keys.key({bytes_of("k"), user_type(1)}));
    EXPECT_EQ(ask({.verb = Verb::batch_get, .value = keys.written(), .argument = 2}), Errc{});
    wire::ItemReader results(last_value());
    wire::PackedResult result;
    ASSERT_TRUE(results.result(result));
    EXPECT_EQ(text_of(result.value), "number");
    ASSERT_TRUE(results.result(result));
    EXPECT_EQ(static_cast<Errc>(result.status), Errc::not_found);
    EXPECT_EQ(ask({.verb = Verb::batch_erase, .value = keys.written(), .argument = 2}), Errc{});
    EXPECT_TRUE(has("k"));
    EXPECT_EQ(find_typed("k", type_i64), nullptr);
}

/// Each verb that stores, small and large, in one step and in several.
TEST_F(TypedKeysTest, APairKeepsWhatItsKeyWasPlacedBy) {
    const KeyPlacement by_hash{.by = PlacedBy::hash, .value = 0xfedc'ba98'7654'3210};
    const KeyPlacement by_number{.by = PlacedBy::number, .value = 9};
    EXPECT_EQ(ask({.verb = Verb::put,
                   .key = "k",
                   .value = bytes_of("v"),
                   .placed_by = PlacedBy::hash,
                   .placement = by_hash.value}),
              Errc{});
    EXPECT_EQ(stored("k"), "v");
    EXPECT_EQ(placement_of("k"), by_hash);
    EXPECT_EQ(ask({.verb = Verb::append,
                   .key = "k",
                   .value = bytes_of("w"),
                   .placed_by = PlacedBy::number,
                   .placement = by_number.value}),
              Errc{});
    EXPECT_EQ(stored("k"), "vw");
    EXPECT_EQ(placement_of("k"), by_number) << "that of the last write";
    EXPECT_EQ(ask({.verb = Verb::compare_and_swap,
                   .key = "k",
                   .value = bytes_of("vwnew"),
                   .argument = 2,
                   .placed_by = PlacedBy::hash,
                   .placement = by_hash.value}),
              Errc{});
    EXPECT_EQ(stored("k"), "new");
    EXPECT_EQ(placement_of("k"), by_hash);
    EXPECT_EQ(ask({.verb = Verb::fetch_add,
                   .key = "n",
                   .value = bytes_of("12345678"),
                   .value_type = type_i64,
                   .placed_by = PlacedBy::number,
                   .placement = by_number.value}),
              Errc{});
    EXPECT_EQ(placement_of("n"), by_number);
    EXPECT_EQ(ask({.verb = Verb::put, .key = "k", .value = bytes_of("v")}), Errc{});
    EXPECT_FALSE(placement_of("k").is_by_hand()) << "put without a placement";
    EXPECT_EQ(ask({.verb = Verb::put,
                   .key = "k",
                   .value = bytes_of("w"),
                   .flags = wire::put_if_present,
                   .placed_by = PlacedBy::hash,
                   .placement = by_hash.value}),
              Errc{});
    EXPECT_EQ(placement_of("k"), by_hash);
    EXPECT_EQ(ask({.verb = Verb::put,
                   .key = "other",
                   .value = bytes_of("w"),
                   .flags = wire::put_if_present,
                   .placed_by = PlacedBy::hash,
                   .placement = by_hash.value}),
              Errc{});
    EXPECT_EQ(last().argument, 0u) << "the condition holds as without a placement";
    EXPECT_FALSE(has("other"));
    expect_at_rest();
}

TEST_F(TypedKeysTest, APairWhoseValueComesLaterKeepsItsTypeAndPlacement) {
    const std::uint64_t client = session();
    const KeyPlacement by_hash{.by = PlacedBy::hash, .value = 5};
    send(client, {.verb = Verb::put,
                  .key = "large",
                  .value = large,
                  .payload_token = 1,
                  .key_type = type_i64,
                  .placed_by = PlacedBy::hash,
                  .placement = by_hash.value});
    deliver(large);
    ASSERT_NE(find_typed("large", type_i64), nullptr);
    EXPECT_EQ(find_typed("large", type_i64)->placement(), by_hash);
    EXPECT_EQ(find_typed("large", type_i64)->value_bytes(), large.size());
    send(client, {.verb = Verb::append,
                  .key = "appended",
                  .value = large,
                  .payload_token = 2,
                  .key_type = type_i64,
                  .placed_by = PlacedBy::hash,
                  .placement = by_hash.value});
    deliver(large);
    ASSERT_NE(find_typed("appended", type_i64), nullptr);
    EXPECT_EQ(find_typed("appended", type_i64)->placement(), by_hash);
    EXPECT_FALSE(has("appended"));
    expect_at_rest();
}

TEST_F(TypedKeysTest, APlacementThatIsNoneIsNoRequest) {
    const std::uint64_t client = session();
    const auto refused = [&](const Ask& ask) {
        const std::uint64_t before = rejected();
        const std::size_t pairs = pool->size();
        send(client, ask);
        EXPECT_EQ(rejected(), before + 1);
        EXPECT_EQ(pool->size(), pairs);
    };
    refused({.verb = Verb::put, .key = "k", .placed_by = static_cast<PlacedBy>(3), .placement = 1});
    refused({.verb = Verb::put, .key = "k", .placed_by = PlacedBy::hash});  // it is missing
    refused({.verb = Verb::put, .key = "a key of some length", .placed_by = PlacedBy::hash});
    refused({.verb = Verb::put, .key = "k", .placement = 1});  // and here nothing says that it is there
    for (const Verb verb : {Verb::get, Verb::erase, Verb::pop, Verb::contains, Verb::wait_for, Verb::scan})
        refused({.verb = verb, .key = "k", .placed_by = PlacedBy::number, .placement = 1});
    RequestHeader header;
    header.verb = Verb::ping;
    header.session = client;
    header.request = 5000;
    header.has_ttl = 1;
    const std::uint64_t before = rejected();
    shard.on_message(message_of(header, {}), {});
    EXPECT_EQ(rejected(), before + 1);
}

}  // namespace
}  // namespace ddict::manager
