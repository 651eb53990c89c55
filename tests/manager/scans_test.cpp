// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "tests/manager/shard_fixture.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

class ScansTest : public ShardTest {
  protected:
    struct Found {
        std::string value;
        std::uint16_t type = 0;
        bool ask_alone = false;
    };

    /// One request; returns the cursor.
    std::uint64_t page(std::string_view prefix, bool with_values, std::uint64_t cursor) {
        EXPECT_EQ(ask({.verb = Verb::scan,
                       .key = prefix,
                       .flags = with_values ? wire::scan_values : std::uint16_t{0},
                       .argument = cursor}),
                  Errc{});
        const ReplyHeader header = last();
        const RecordingTransport::Sent sent = transport.sent.back();
        largest_page = std::max(largest_page, header.value_bytes);
        wire::ItemReader in(last_value());
        if (with_values) {
            for (wire::PackedPair pair; in.pair(pair);)
                add(pair.key, {std::string(text_of(pair.value)), pair.value_type, pair.ask_alone});
        } else {
            for (KeyBytes key; in.key(key);)
                add(key, {});
        }
        EXPECT_TRUE(in.at_end());
        if (!sent.payload.empty()) shard.on_payload_sent(sent.tag, true);
        ++pages;
        return header.argument;
    }
    void scan(std::string_view prefix, bool with_values) {
        found.clear();
        std::uint64_t cursor = 0;
        do
            cursor = page(prefix, with_values, cursor);
        while (cursor != 0);
    }

    /// All parts of a count_prefix or an erase_prefix: the sum of what they tell.
    std::uint64_t sum_of_parts(Verb verb, std::string_view prefix, std::uint16_t key_type = type_text) {
        std::uint64_t sum = 0;
        std::uint64_t cursor = 0;
        do {
            const Errc code = ask({.verb = verb, .key = prefix, .argument = cursor, .key_type = key_type});
            EXPECT_EQ(code, Errc{});
            if (code != Errc{}) break;
            sum += last().argument2;
            cursor = last().argument;
            ++pages;
        } while (cursor != 0);
        return sum;
    }

    std::map<std::string, Found> found;
    unsigned pages = 0;
    std::uint64_t largest_page = 0;

  private:
    void add(KeyBytes key, Found what) {
        EXPECT_TRUE(found.emplace(text_of(key), std::move(what)).second) << text_of(key) << " came twice";
    }
};

TEST_F(ScansTest, PairsHaveTheirPlacementsIfThatIsAsked) {
    const KeyPlacement placement{.by = PlacedBy::number, .value = 5};
    for (const char* key : {"small", "large"}) {
        const std::string value(key[0] == 's' ? 1 : 20'000, 'v');
        shard_store.apply({.pair = {.key = bytes_of(key),
                                    .hash = hash_of(bytes_of(key)),
                                    .value = bytes_of(value),
                                    .placement = placement}});
    }
    for (const std::uint16_t more : {std::uint16_t{0}, wire::scan_placements}) {
        const auto flags = static_cast<std::uint16_t>(wire::scan_values | more);
        ASSERT_EQ(ask({.verb = Verb::scan, .flags = flags}), Errc{});
        wire::ItemReader in(last_value());
        int count = 0;
        for (wire::PackedPair pair; in.pair(pair); ++count) {
            EXPECT_EQ(pair.ask_alone, text_of(pair.key) == "large");
            EXPECT_EQ(pair.placement, more != 0 ? placement : KeyPlacement{});
        }
        EXPECT_TRUE(in.at_end());
        EXPECT_EQ(count, 2);
    }
    // No broadcast has stored anything.
    ASSERT_EQ(ask({.verb = Verb::scan, .flags = wire::scan_broadcasts}), Errc{});
    EXPECT_TRUE(last_value().empty());
    EXPECT_EQ(last().argument, 0u);
}

TEST_F(ScansTest, APrefixIsAFilter) {
    for (const char* key : {"a", "ab", "abc", "b", "ba"})
        store(key, "");
    scan("ab", false);
    EXPECT_EQ(found.size(), 2u);
    EXPECT_TRUE(found.contains("ab") && found.contains("abc"));
    scan({}, false);
    EXPECT_EQ(found.size(), 5u);
    scan("abcd", false);
    EXPECT_TRUE(found.empty());
}

TEST_F(ScansTest, ValuesComeWithTheirKeys) {
    store("small", "value", 7);
    store("empty", "", 8);
    store("large", std::string(16 * 1024, 'x'), 9);
    store("too large", std::string(16 * 1024 + 1, 'x'), 10);
    scan({}, true);
    ASSERT_EQ(found.size(), 4u);
    EXPECT_EQ(found["small"].value, "value");
    EXPECT_EQ(found["small"].type, 7);
    EXPECT_EQ(found["empty"].value, "");
    EXPECT_FALSE(found["empty"].ask_alone);
    EXPECT_EQ(found["large"].value, std::string(16 * 1024, 'x'));
    EXPECT_TRUE(found["too large"].ask_alone);
    EXPECT_EQ(found["too large"].type, 10);
    expect_at_rest();
}

TEST_F(ScansTest, PagesHaveAboutTheirSize) {
    for (int i = 0; i < 40; ++i)
        store("key" + std::to_string(i), std::string(16 * 1024, static_cast<char>('a' + i % 26)));
    scan({}, true);
    EXPECT_EQ(found.size(), 40u);
    for (const auto& [key, what] : found)
        EXPECT_FALSE(what.ask_alone) << key;
    EXPECT_GT(pages, 5u);
    EXPECT_GE(largest_page, limits::page_bytes_max);
    EXPECT_LE(largest_page, 2 * limits::page_bytes_max);
    expect_at_rest();
}

TEST_F(ScansTest, CountsAndErasesWhatBeginsWithAPrefix) {
    for (const char* key : {"a", "ab", "abc", "b", "ba"})
        store(key, "value");
    EXPECT_EQ(sum_of_parts(Verb::count_prefix, "ab"), 2u);
    EXPECT_EQ(sum_of_parts(Verb::count_prefix, "abcd"), 0u);
    EXPECT_EQ(sum_of_parts(Verb::count_prefix, ""), 5u);
    EXPECT_EQ(sum_of_parts(Verb::count_prefix, "a", type_bytes), 0u) << "a prefix is of one type";
    EXPECT_EQ(sum_of_parts(Verb::erase_prefix, "a", type_bytes), 0u);
    EXPECT_EQ(sum_of_parts(Verb::erase_prefix, "ab"), 2u);
    EXPECT_EQ(sum_of_parts(Verb::erase_prefix, "ab"), 0u);
    EXPECT_TRUE(has("a") && has("b") && has("ba"));
    EXPECT_EQ(pool->size(), 3u);
    EXPECT_EQ(shard.statistics().erases, 2u);
    EXPECT_EQ(rejected(), 0u);
    send(session(), {.verb = Verb::erase_prefix});
    EXPECT_EQ(rejected(), 1u) << "an empty prefix would be all";
    EXPECT_EQ(pool->size(), 3u);
    expect_at_rest();
}

TEST_F(ScansTest, AFrozenShardErasesNothing) {
    store("ab", "value");
    EXPECT_EQ(ask({.verb = Verb::freeze, .argument = 1}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::erase_prefix, .key = "a"}), Errc::frozen);
    EXPECT_EQ(ask({.verb = Verb::erase_prefix, .key = "nobody"}), Errc::frozen);
    EXPECT_EQ(sum_of_parts(Verb::count_prefix, "a"), 1u);
    EXPECT_TRUE(has("ab"));
    expect_at_rest();
}

/// Of a value that is on its way to somebody.
TEST_F(ScansTest, ErasingLeavesAPinnedValueWhole) {
    const std::uint64_t reader = session();
    ASSERT_TRUE(put_in_store("large", 0, large));
    send(reader, {.verb = Verb::get, .key = "large"});
    const RecordingTransport::Sent sent = transport.sent.back();
    ASSERT_EQ(sent.payload.size(), large.size());
    EXPECT_EQ(sum_of_parts(Verb::erase_prefix, "l"), 1u);
    EXPECT_FALSE(has("large"));
    store("other", std::string(large.size(), 'x'));
    EXPECT_TRUE(std::equal(large.begin(), large.end(), sent.payload.begin(), sent.payload.end()));
    shard.on_payload_sent(sent.tag, true);
    expect_at_rest();
}

TEST_F(ScansTest, ErasingEndsNoWait) {
    const std::uint64_t waiter = session();
    send(waiter, {.verb = Verb::wait_for, .key = "ab", .argument = 1'000'000});
    store("abc", "value");
    const std::size_t sent = transport.sent.size();
    EXPECT_EQ(sum_of_parts(Verb::erase_prefix, "a"), 1u);
    EXPECT_EQ(shard.statistics().waiting, 1u);
    EXPECT_EQ(ask({.verb = Verb::put, .key = "ab", .value = bytes_of("value")}), Errc{});
    EXPECT_EQ(shard.statistics().waiting, 0u);
    EXPECT_GT(transport.sent.size(), sent);
    expect_at_rest();
}

TEST_F(ScansTest, ErasesAllOfAFullShardInParts) {
    std::uint64_t keys = 0;
    while (put_in_store("k" + std::to_string(keys), 0, {}))
        ++keys;
    ASSERT_GT(keys, 10'000u);
    EXPECT_EQ(sum_of_parts(Verb::count_prefix, "k"), keys);
    EXPECT_EQ(pages, keys / (8 * 1024) + 1);
    pages = 0;
    EXPECT_EQ(sum_of_parts(Verb::erase_prefix, "k"), keys);
    EXPECT_GE(pages, keys / (8 * 1024) + 1);
    EXPECT_EQ(pool->size(), 0u);
    expect_at_rest();
}

TEST_F(ScansTest, ARequestLooksAtSoManyPairs) {
    int stored_keys = 0;
    for (bool fits = true; fits; ++stored_keys) {
        const std::string key = "k" + std::to_string(stored_keys);
        fits = put_in_store(key, 0, {});
    }
    --stored_keys;
    ASSERT_GT(stored_keys, 10'000);
    std::uint64_t cursor = 0;
    do
        cursor = page("nothing has this", false, cursor);
    while (cursor != 0);
    EXPECT_TRUE(found.empty());
    EXPECT_EQ(pages, static_cast<unsigned>(stored_keys) / (8 * 1024) + 1);
    pages = 0;
    scan("k", false);
    EXPECT_EQ(found.size(), static_cast<std::size_t>(stored_keys));
}

}  // namespace
}  // namespace ddict::manager
