// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/items.h"

#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
namespace {

class BatchesTest : public ShardTest {
  protected:
    struct Result {
        Errc code{};
        std::string value;
        std::uint16_t type = 0;
        bool ask_alone = false;
    };

    Bytes keys(const std::vector<std::string>& all) {
        wire::ItemWriter out(buffer_);
        for (const std::string& key : all)
            EXPECT_TRUE(out.key(bytes_of(key)));
        return out.written();
    }
    Bytes pairs(const std::vector<std::pair<std::string, std::string>>& all, std::uint16_t type = 0) {
        wire::ItemWriter out(buffer_);
        for (const auto& [key, value] : all)
            EXPECT_TRUE(out.pair(bytes_of(key), type, bytes_of(value)));
        return out.written();
    }
    std::vector<Errc> statuses() const {
        wire::ItemReader in(last_value());
        std::vector<Errc> out;
        for (std::uint16_t status = 0; in.status(status);)
            out.push_back(static_cast<Errc>(status));
        EXPECT_TRUE(in.at_end());
        return out;
    }
    std::vector<Result> results() const {
        wire::ItemReader in(last_value());
        std::vector<Result> out;
        for (wire::PackedResult result; in.result(result);) {
            const bool alone = result.status == wire::status_ask_alone;
            out.push_back({alone ? Errc{} : static_cast<Errc>(result.status),
                           std::string(text_of(result.value)), result.value_type, alone});
        }
        EXPECT_TRUE(in.at_end());
        return out;
    }
    void release_payload() {
        if (!transport.sent.back().payload.empty()) shard.on_payload_sent(transport.sent.back().tag, true);
    }

  private:
    std::vector<std::byte> buffer_ = std::vector<std::byte>(4 * limits::batch_bytes_max);
};

/// Keys are hashed before the first pair is put, and a waiting client is answered in between.
TEST_F(BatchesTest, IsExecutedAsItWasReadThoughItsSenderChangesIt) {
    send(session(), {.verb = Verb::wait_for, .key = "a", .argument = 1'000'000});
    std::vector<std::byte> batch(3 * limits::inline_value_bytes_max);
    wire::ItemWriter out(batch);
    const std::string value(2500, 'v');
    for (const char* key : {"a", "b"})
        ASSERT_TRUE(out.pair(bytes_of(key), 0, bytes_of(value)));
    const std::size_t bytes = out.written().size();
    ASSERT_GT(bytes, limits::inline_value_bytes_max);
    ASSERT_EQ(ask({.verb = Verb::ping}), Errc{});
    int times = 0;
    transport.when_sent = [&] {
        ++times;
        std::fill(batch.begin(), batch.end(), std::byte{0xff});
    };
    EXPECT_EQ(
        ask({.verb = Verb::batch_put, .value = Bytes(batch).first(bytes), .argument = 2, .is_shared = true}),
        Errc{});
    EXPECT_GE(times, 2) << "who waited, and who has put";
    EXPECT_TRUE(stored("a") == value);
    EXPECT_TRUE(stored("b") == value);
    EXPECT_EQ(shard.inconsistency(), "");
}

TEST_F(BatchesTest, GetPutAndErase) {
    EXPECT_EQ(ask({.verb = Verb::batch_put,
                   .value = pairs({{"a", "1"}, {"b", ""}, {"a", "one"}}, 7),
                   .argument = 3}),
              Errc{});
    EXPECT_EQ(statuses(), (std::vector<Errc>{{}, {}, {}}));
    EXPECT_EQ(stored("a"), "one") << "in the order of the batch";
    EXPECT_EQ(ask({.verb = Verb::batch_get, .value = keys({"a", "none", "b"}), .argument = 3}), Errc{});
    const std::vector<Result> got = results();
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0].value, "one");
    EXPECT_EQ(got[0].type, 7);
    EXPECT_EQ(got[1].code, Errc::not_found);
    EXPECT_EQ(got[2].code, Errc{});
    EXPECT_EQ(got[2].value, "");
    EXPECT_EQ(ask({.verb = Verb::batch_erase, .value = keys({"b", "b"}), .argument = 2}), Errc{});
    EXPECT_EQ(statuses(), (std::vector<Errc>{{}, Errc::not_found}));
    EXPECT_FALSE(has("b"));
    EXPECT_EQ(ask({.verb = Verb::batch_get}), Errc{}) << "an empty batch";
    const ManagerStats stats = statistics();
    EXPECT_EQ(stats.puts, 3u);
    EXPECT_EQ(stats.gets, 3u);
    EXPECT_EQ(stats.hits, 2u);
    EXPECT_EQ(stats.erases, 2u);
    expect_at_rest();
}

TEST_F(BatchesTest, DamageAnywhereRejectsAll) {
    const std::uint64_t id = session();
    const std::size_t sent = transport.sent.size();
    const Bytes good = pairs({{"a", "1"}, {"b", "2"}});
    send(id, {.verb = Verb::batch_put, .value = good, .argument = 1});
    send(id, {.verb = Verb::batch_put, .value = good, .argument = 3});
    send(id, {.verb = Verb::batch_put, .value = good.first(good.size() - 1), .argument = 2});
    send(id, {.verb = Verb::batch_put, .value = good, .argument = ~std::uint64_t{0}});
    send(id, {.verb = Verb::batch_put, .key = "k", .value = good, .argument = 2});
    std::vector<std::byte> alone(good.begin(), good.end());
    std::fill_n(alone.begin() + 4, 4, std::byte{0xff});  // a value to be asked for alone, which is for pages
    send(id, {.verb = Verb::batch_put, .value = alone, .argument = 2});
    EXPECT_EQ(transport.sent.size(), sent);
    EXPECT_EQ(pool->size(), 0u);
    EXPECT_EQ(rejected(), 6u);
    expect_at_rest();
}

TEST_F(BatchesTest, LargeBatchesArePayloads) {
    const std::uint64_t id = session();
    std::vector<std::pair<std::string, std::string>> all;
    std::vector<std::string> names;
    for (int i = 0; i < 1000; ++i) {
        all.emplace_back("key" + std::to_string(i), "value" + std::to_string(i));
        names.push_back(all.back().first);
    }
    const Bytes packed = pairs(all);
    ASSERT_GT(packed.size(), limits::inline_value_bytes_max);
    send(id, {.verb = Verb::batch_put, .value = packed, .argument = all.size(), .payload_token = 8});
    EXPECT_EQ(pool->size(), 0u);
    deliver(packed);
    EXPECT_EQ(statuses(), std::vector<Errc>(all.size()));
    EXPECT_EQ(pool->size(), all.size());

    ASSERT_GT(keys(names).size(), limits::inline_value_bytes_max);
    ASSERT_EQ(ask({.verb = Verb::batch_get, .value = keys(names), .argument = names.size()}), Errc{});
    const std::vector<Result> got = results();
    ASSERT_EQ(got.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i)
        EXPECT_EQ(got[i].value, all[i].second);
    EXPECT_EQ(shard.statistics().payloads_in_flight, 1u) << "the results are a payload too";
    release_payload();
    expect_at_rest();
    const std::vector<std::byte> too_large(limits::batch_bytes_max + 1);
    EXPECT_EQ(ask({.verb = Verb::batch_get, .value = too_large, .argument = 1, .payload_token = 9}),
              Errc::too_large);
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{9});
}

TEST_F(BatchesTest, WhatDoesNotFitIsToBeAskedForAlone) {
    store("half", std::string(limits::batch_bytes_max / 2, 'x'), 5);
    store("small", "value");
    store("all", std::string(limits::batch_bytes_max, 'x'), 6);
    ASSERT_EQ(ask({.verb = Verb::batch_get,
                   .value = keys({"half", "all", "half", "small", "none"}),
                   .argument = 5}),
              Errc{});
    EXPECT_LE(last().value_bytes, limits::batch_bytes_max);
    const std::vector<Result> got = results();
    ASSERT_EQ(got.size(), 5u);
    EXPECT_EQ(got[0].value.size(), limits::batch_bytes_max / 2);
    EXPECT_TRUE(got[1].ask_alone);
    EXPECT_EQ(got[1].type, 6);
    EXPECT_TRUE(got[2].ask_alone);
    EXPECT_EQ(got[3].value, "value");
    EXPECT_EQ(got[4].code, Errc::not_found);
    release_payload();
    expect_at_rest();
}

TEST_F(BatchesTest, AsManyItemsAsThereMayBe) {
    store("k", std::string(100, 'x'));
    const std::vector<std::string> same(limits::batch_items_max, "k");
    ASSERT_EQ(ask({.verb = Verb::batch_get, .value = keys(same), .argument = same.size()}), Errc{});
    const std::vector<Result> got = results();
    ASSERT_EQ(got.size(), same.size());
    for (const Result& result : got)
        EXPECT_TRUE(result.ask_alone) << "there is just space for the headers";
    release_payload();
    const std::uint64_t id = session();
    send(id, {.verb = Verb::batch_get, .argument = limits::batch_items_max + 1});
    EXPECT_EQ(rejected(), 1u);
}

TEST_F(BatchesTest, EachItemHasItsOwnError) {
    const std::string half(400'000, 'x');
    store("fills the pool", half);
    store("fills it more", half);
    const std::string much(60'000, 'y');
    std::vector<std::pair<std::string, std::string>> all{
        {"small", "value"}, {"large", much}, {"end", "value"}};
    unsigned refused = 0;
    for (int i = 0; i < 6; ++i) {
        all[1].first = "large" + std::to_string(i);
        ASSERT_EQ(ask({.verb = Verb::batch_put, .value = pairs(all), .argument = 3}), Errc{});
        const std::vector<Errc> codes = statuses();
        ASSERT_EQ(codes.size(), 3u);
        EXPECT_EQ(codes[0], Errc{});
        EXPECT_EQ(codes[2], Errc{});
        if (codes[1] != Errc{}) {
            ++refused;
            EXPECT_EQ(codes[1], Errc::no_space);
        }
        EXPECT_EQ(has(all[1].first), codes[1] == Errc{});
    }
    EXPECT_GT(refused, 0u);
    EXPECT_EQ(statistics().refused_puts, refused);
}

TEST_F(BatchesTest, WhileFrozenEachItemIsRefused) {
    store("k", "value");
    ask({.verb = Verb::freeze, .argument = 1});
    EXPECT_EQ(ask({.verb = Verb::batch_put, .value = pairs({{"a", "1"}, {"k", "2"}}), .argument = 2}),
              Errc{});
    EXPECT_EQ(statuses(), (std::vector<Errc>{Errc::frozen, Errc::frozen}));
    EXPECT_EQ(ask({.verb = Verb::batch_erase, .value = keys({"k", "a"}), .argument = 2}), Errc{});
    EXPECT_EQ(statuses(), (std::vector<Errc>{Errc::frozen, Errc::frozen}));
    EXPECT_EQ(ask({.verb = Verb::batch_get, .value = keys({"k"}), .argument = 1}), Errc{});
    EXPECT_EQ(results().at(0).value, "value");
    EXPECT_EQ(pool->size(), 1u);
}

}  // namespace
}  // namespace ddict::manager
