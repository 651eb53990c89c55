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
        if (!sent.body.empty()) shard.on_body_sent(sent.tag, true);
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

    std::map<std::string, Found> found;
    unsigned pages = 0;
    std::uint64_t largest_page = 0;

  private:
    void add(KeyBytes key, Found what) {
        EXPECT_TRUE(found.emplace(text_of(key), std::move(what)).second) << text_of(key) << " came twice";
    }
};

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
