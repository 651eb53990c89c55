// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <deque>
#include <optional>

#include "cluster/placement.h"
#include "tests/manager/shard_fixture.h"
#include "wire/items.h"

namespace ddict::manager {
namespace {

class Managers final : public DirectoryView {
  public:
    std::uint32_t manager_count() const override { return count; }
    Result<DirectoryEntry> entry(ShardId) const override { return Error(Errc::system); }
    std::uint32_t count = 20;
};

/// Keeps what the shard wants to have relayed; the test is the other managers.
class Relayed final : public Relay {
  public:
    struct One {
        Request request;
        std::string key;
        std::vector<std::byte> value;
        std::chrono::nanoseconds timeout;
        std::uint64_t tag;
    };
    void relay(const Request& request, std::chrono::nanoseconds timeout, std::uint64_t tag) override {
        all.push_back({request,
                       std::string(text_of(request.key)),
                       {request.value.begin(), request.value.end()},
                       timeout,
                       tag});
    }
    std::deque<One> all;
};

/// The shard is manager 3 of 20 (or of another number).
class BroadcastsTest : public ShardTest {
  protected:
    BroadcastsTest() {
        shard.set_directory(&managers, &relayed);
        parent = other_session();
    }

    /// A key whose own manager is this one.
    std::string key_of(std::uint32_t manager, std::string_view name = "key") const {
        for (int i = 0;; ++i) {
            std::string key = std::string(name) + std::to_string(i);
            if (shard_of(hash_of(bytes_of(key)), managers.count) == ShardId{manager}) return key;
        }
    }
    std::uint64_t begin(const Ask& request) { return send(parent, request); }
    std::uint64_t relay_put(std::string_view key, std::string_view value, std::uint64_t version) {
        return begin({.verb = Verb::broadcast_put,
                      .key = key,
                      .value = bytes_of(value),
                      .flags = wire::relayed,
                      .argument = version});
    }
    std::uint64_t relay_erase(std::string_view key, std::uint64_t version) {
        return begin(
            {.verb = Verb::broadcast_erase, .key = key, .flags = wire::relayed, .argument = version});
    }
    std::optional<ReplyHeader> answer(std::uint64_t request) const {
        for (std::size_t i = 0; i < transport.sent.size(); ++i) {
            const auto header = transport.header<ReplyHeader>(static_cast<int>(i));
            if (header.request == request) return header;
        }
        return std::nullopt;
    }
    void children_answer(const Result<Reply>& outcome = Reply{}) {
        while (!relayed.all.empty()) {
            const std::uint64_t tag = relayed.all.front().tag;
            relayed.all.pop_front();
            shard.on_relayed(tag, outcome);
        }
    }
    void expect_settled() {
        EXPECT_EQ(shard.statistics().broadcasts, 0u);
        expect_at_rest();
    }

    Managers managers;
    Relayed relayed;
    std::uint64_t parent = 0;
};

TEST_F(BroadcastsTest, TheRootStoresAndPassesOn) {
    const std::string key = key_of(3);
    const std::uint64_t request =
        begin({.verb = Verb::broadcast_put, .key = key, .value = bytes_of("value"), .value_type = 7});
    EXPECT_EQ(stored(key), "value");
    EXPECT_FALSE(answer(request));
    ASSERT_EQ(relayed.all.size(), 4u);
    for (std::uint32_t i = 0; i < 4; ++i) {
        const Relayed::One& one = relayed.all[i];
        EXPECT_EQ(number_of(one.request.shard), 3 + 1 + i);
        EXPECT_EQ(one.request.verb, Verb::broadcast_put);
        EXPECT_EQ(one.request.flags, wire::relayed);
        EXPECT_EQ(one.request.argument, 1u);
        EXPECT_EQ(one.request.value_type, 7);
        EXPECT_EQ(one.key, key);
        EXPECT_EQ(text_of(one.value), "value");
    }
    EXPECT_EQ(statistics().broadcasts, 1u);
    children_answer();
    ASSERT_TRUE(answer(request));
    EXPECT_EQ(answer(request)->status, 0);
    EXPECT_EQ(statistics().broadcast_keys, 1u);
    EXPECT_EQ(statistics().keys, 1u) << "the root has the key itself";
    expect_settled();
}

TEST_F(BroadcastsTest, OthersTakeTheirPlacesInTheTree) {
    // Of 20 managers with root 19, manager 3 has position 4 and the children 17, 18 and 19: managers 16,
    // 17, 18.
    const std::string key = key_of(19);
    const std::uint64_t request = relay_put(key, "value", 9);
    ASSERT_EQ(relayed.all.size(), 3u);
    for (std::uint32_t i = 0; i < 3; ++i) {
        EXPECT_EQ(number_of(relayed.all[i].request.shard), 16 + i);
        EXPECT_EQ(relayed.all[i].request.argument, 9u);
    }
    children_answer();
    EXPECT_EQ(answer(request)->status, 0);
    EXPECT_EQ(ask({.verb = Verb::get, .key = key}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::size}), Errc{});
    EXPECT_EQ(last().argument, 0u) << "a copy does not count";
    EXPECT_EQ(ask({.verb = Verb::scan}), Errc{});
    EXPECT_TRUE(last_value().empty());
    EXPECT_EQ(statistics().keys, 0u);
    EXPECT_EQ(statistics().broadcast_keys, 1u);

    // With root 4, manager 3 is the last one, and has no children.
    const std::uint64_t leaf = relay_put(key_of(4), "value", 2);
    EXPECT_TRUE(relayed.all.empty());
    EXPECT_TRUE(answer(leaf));
    expect_settled();
}

TEST_F(BroadcastsTest, AChildHasAShorterTimeoutThanItsParent) {
    begin({.verb = Verb::broadcast_put, .key = key_of(3)});
    const auto of_root = relayed.all.at(0).timeout;
    children_answer();
    relay_put(key_of(19), "value", 1);
    EXPECT_LT(relayed.all.at(0).timeout, of_root);
    EXPECT_GT(relayed.all.at(0).timeout, limits::silence_until_lost);
}

TEST_F(BroadcastsTest, ALargeValueIsPassedOnFromItsBlock) {
    const std::string key = key_of(3);
    const std::uint64_t used = pool->usage().used_bytes;
    const std::uint64_t request =
        begin({.verb = Verb::broadcast_put, .key = key, .value = large, .payload_token = 8});
    EXPECT_TRUE(relayed.all.empty());
    deliver(large);
    ASSERT_EQ(relayed.all.size(), 4u);
    EXPECT_EQ(relayed.all[0].request.value.data(), find(key)->value().data());
    // While it is on its way, the key is erased; the block stays until all have it.
    begin({.verb = Verb::broadcast_erase, .key = key});
    EXPECT_FALSE(has(key));
    ASSERT_EQ(relayed.all.size(), 8u);
    EXPECT_EQ(relayed.all[4].request.verb, Verb::broadcast_erase);
    EXPECT_EQ(relayed.all[4].request.argument, 2u);
    EXPECT_TRUE(std::equal(large.begin(), large.end(), relayed.all[0].request.value.begin()));
    children_answer();
    EXPECT_EQ(answer(request)->status, 0);
    EXPECT_EQ(pool->usage().used_bytes, used);
    expect_settled();
}

TEST_F(BroadcastsTest, TheFirstErrorWinsAndNamesItsManager) {
    const std::uint64_t request = begin({.verb = Verb::broadcast_put, .key = key_of(3)});
    Error lost(Errc::manager_lost);
    lost.set_manager(5);
    Error full(Errc::no_space);
    full.set_manager(17);
    const std::uint64_t tag = relayed.all.at(0).tag;
    shard.on_relayed(tag, Reply{});
    shard.on_relayed(tag, full);
    shard.on_relayed(tag, lost);
    EXPECT_FALSE(answer(request)) << "not before all have answered";
    shard.on_relayed(tag, Reply{});
    ASSERT_TRUE(answer(request));
    EXPECT_EQ(static_cast<Errc>(answer(request)->status), Errc::no_space);
    EXPECT_EQ(answer(request)->argument2, 17u);
    expect_settled();
}

TEST_F(BroadcastsTest, OnlyTheKeysOwnManagerBegins) {
    EXPECT_EQ(ask({.verb = Verb::broadcast_put, .key = key_of(4)}), Errc::invalid_argument);
    EXPECT_EQ(last().argument2, 3u);
    EXPECT_EQ(ask({.verb = Verb::broadcast_erase, .key = key_of(4)}), Errc::invalid_argument);
    shard.set_directory(nullptr);
    EXPECT_EQ(ask({.verb = Verb::broadcast_put, .key = key_of(3)}), Errc::system);
    EXPECT_EQ(pool->size(), 0u);
}

TEST_F(BroadcastsTest, OrdinaryWritesAreRefused) {
    const std::string key = key_of(3);
    const std::uint64_t id = session();
    const std::uint64_t one = 1;
    const Bytes number = std::as_bytes(std::span(&one, 1));
    send(id, {.verb = Verb::put, .key = key, .value = large, .payload_token = 8});
    begin({.verb = Verb::broadcast_put, .key = key, .value = bytes_of("value")});
    children_answer();
    for (const Ask& change : {Ask{.verb = Verb::put, .key = key},
                              {.verb = Verb::put, .key = key, .value = large, .payload_token = 9},
                              {.verb = Verb::erase, .key = key},
                              {.verb = Verb::pop, .key = key},
                              {.verb = Verb::compare_and_swap, .key = key, .flags = wire::swap_if_absent},
                              {.verb = Verb::fetch_add, .key = key, .value = number, .value_type = 0x0113},
                              {.verb = Verb::append, .key = key, .value = number}}) {
        EXPECT_EQ(ask(change), Errc::invalid_argument) << static_cast<int>(change.verb);
    }
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{9});
    deliver(large);
    EXPECT_EQ(last_code(), Errc::invalid_argument) << "a put that was on its way before";
    std::vector<std::byte> buffer(200);
    wire::ItemWriter items(buffer);
    items.pair(bytes_of(key), 0, bytes_of("other"));
    items.pair(bytes_of("mine"), 0, bytes_of("other"));
    EXPECT_EQ(ask({.verb = Verb::batch_put, .value = items.written(), .argument = 2}), Errc{});
    wire::ItemReader statuses(last_value());
    std::uint16_t first = 0, second = 0;
    ASSERT_TRUE(statuses.status(first) && statuses.status(second));
    EXPECT_EQ(static_cast<Errc>(first), Errc::invalid_argument);
    EXPECT_EQ(second, 0);
    EXPECT_EQ(stored(key), "value");
    EXPECT_EQ(ask({.verb = Verb::clear}), Errc{});
    EXPECT_FALSE(has(key));
    EXPECT_EQ(ask({.verb = Verb::put, .key = key}), Errc{}) << "after the clear it is a key like others";
    expect_settled();
}

TEST_F(BroadcastsTest, ErasingSaysWhetherThereWasAny) {
    const std::string key = key_of(3);
    std::uint64_t request = begin({.verb = Verb::broadcast_erase, .key = key});
    EXPECT_EQ(relayed.all.size(), 4u) << "there may be copies that the root does not know of";
    children_answer();
    EXPECT_EQ(static_cast<Errc>(answer(request)->status), Errc::not_found);
    begin({.verb = Verb::broadcast_put, .key = key, .value = bytes_of("value")});
    children_answer();
    request = begin({.verb = Verb::broadcast_erase, .key = key});
    children_answer();
    EXPECT_EQ(answer(request)->status, 0);
    EXPECT_FALSE(has(key));
    EXPECT_EQ(ask({.verb = Verb::put, .key = key}), Errc{});
    EXPECT_EQ(ask({.verb = Verb::broadcast_erase, .key = key}), Errc::invalid_argument)
        << "what put has stored, erase removes";
    expect_settled();
}

TEST_F(BroadcastsTest, AnOlderVersionIsIgnored) {
    const std::string key = key_of(4);  // a leaf's place
    EXPECT_EQ(answer(relay_put(key, "seven", 7))->status, 0);
    EXPECT_EQ(answer(relay_put(key, "six", 6))->status, 0);
    EXPECT_EQ(answer(relay_erase(key, 5))->status, 0);
    EXPECT_EQ(stored(key), "seven");
    EXPECT_EQ(answer(relay_erase(key, 9))->status, 0);
    EXPECT_EQ(answer(relay_put(key, "eight", 8))->status, 0);
    EXPECT_FALSE(has(key)) << "it was erased later";
    // An old payload is not even fetched, and one that is overtaken on its way is dropped.
    begin({.verb = Verb::broadcast_put,
           .key = key,
           .value = large,
           .flags = wire::relayed,
           .argument = 8,
           .payload_token = 21});
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{21});
    const std::uint64_t overtaken = begin({.verb = Verb::broadcast_put,
                                           .key = key,
                                           .value = large,
                                           .flags = wire::relayed,
                                           .argument = 10,
                                           .payload_token = 22});
    relay_put(key, "eleven", 11);
    deliver(large);
    EXPECT_EQ(answer(overtaken)->status, 0);
    EXPECT_EQ(stored(key), "eleven");
    expect_settled();
}

TEST_F(BroadcastsTest, WhoIsOvertakenWaitsUntilTheNewerOneIsEverywhere) {
    const std::string key = key_of(19);
    const std::uint64_t newer = relay_put(key, "seven", 7);
    const std::uint64_t older = relay_put(key, "six", 6);
    EXPECT_FALSE(answer(older)) << "those below may still have the fifth";
    Error lost(Errc::manager_lost);
    lost.set_manager(17);
    children_answer(lost);
    for (const std::uint64_t request : {newer, older}) {
        ASSERT_TRUE(answer(request));
        EXPECT_EQ(static_cast<Errc>(answer(request)->status), Errc::manager_lost);
        EXPECT_EQ(answer(request)->argument2, 17u);
    }
    const std::uint64_t oldest = relay_put(key, "five", 5);
    EXPECT_EQ(static_cast<Errc>(answer(oldest)->status), Errc::manager_lost)
        << "nobody has put that right meanwhile";
    relay_put(key, "eight", 8);
    children_answer();
    EXPECT_EQ(answer(relay_put(key, "four", 4))->status, 0);
    expect_settled();
}

TEST_F(BroadcastsTest, WhereThereIsNoSpaceNoOlderCopyStays) {
    const std::string key = key_of(19);
    const std::string filler(400'000, 'x');
    relay_put(key, "old", 1);
    children_answer();
    store("fills", filler);
    store("fills more", filler);
    const std::vector<std::byte> much(300'000);
    const std::uint64_t request = begin({.verb = Verb::broadcast_put,
                                         .key = key,
                                         .value = much,
                                         .flags = wire::relayed,
                                         .argument = 2,
                                         .payload_token = 8});
    EXPECT_EQ(transport.discarded, std::vector<std::uint64_t>{8});
    EXPECT_FALSE(has(key));
    ASSERT_EQ(relayed.all.size(), 3u);
    EXPECT_EQ(relayed.all[0].request.verb, Verb::broadcast_erase);
    children_answer();
    EXPECT_EQ(static_cast<Errc>(answer(request)->status), Errc::no_space);
    EXPECT_EQ(answer(request)->argument2, 3u);

    const std::string own = key_of(3);
    begin({.verb = Verb::broadcast_put, .key = own, .value = bytes_of("old")});
    children_answer();
    EXPECT_EQ(ask({.verb = Verb::broadcast_put, .key = own, .value = much}), Errc::no_space);
    EXPECT_EQ(last().argument2, 3u);
    EXPECT_EQ(stored(own), "old") << "at the root, everything stays as it was";
    EXPECT_TRUE(relayed.all.empty());
    expect_settled();
}

TEST_F(BroadcastsTest, APrefixCountsTheOwnAndErasesNone) {
    const std::string own = key_of(3);
    const std::string copy = key_of(4);
    begin({.verb = Verb::broadcast_put, .key = own, .value = bytes_of("value")});
    children_answer();
    relay_put(copy, "value", 1);
    children_answer();
    for (const std::string& key : {own, copy}) {
        EXPECT_EQ(ask({.verb = Verb::count_prefix, .key = key}), Errc{});
        EXPECT_EQ(last().argument2, key == own ? 1u : 0u);
        EXPECT_EQ(ask({.verb = Verb::erase_prefix, .key = key}), Errc{}) << "the prefix is a broadcast key";
        EXPECT_EQ(last().argument2, 0u);
        EXPECT_TRUE(has(key));
    }
    expect_settled();
}

TEST_F(BroadcastsTest, WhileFrozenNobodyBroadcasts) {
    const std::string key = key_of(3);
    begin({.verb = Verb::broadcast_put, .key = key, .value = large, .payload_token = 8});
    ask({.verb = Verb::freeze, .argument = 1});
    deliver(large);
    EXPECT_EQ(last_code(), Errc::frozen);
    EXPECT_EQ(last().argument2, 3u);
    EXPECT_EQ(ask({.verb = Verb::broadcast_put, .key = key}), Errc::frozen);
    EXPECT_EQ(ask({.verb = Verb::broadcast_erase, .key = key}), Errc::frozen);
    EXPECT_EQ(pool->size(), 0u);
    EXPECT_TRUE(relayed.all.empty());
    expect_settled();
}

TEST_F(BroadcastsTest, AreBounded) {
    const std::string key = key_of(3);
    for (std::uint32_t i = 0; i < limits::broadcasts_in_flight_max; ++i)
        begin({.verb = Verb::broadcast_put, .key = key});
    EXPECT_EQ(shard.statistics().broadcasts, limits::broadcasts_in_flight_max);
    EXPECT_EQ(ask({.verb = Verb::broadcast_put, .key = key}), Errc::busy);
    children_answer();
    EXPECT_EQ(shard.statistics().broadcasts, 0u);
    begin({.verb = Verb::broadcast_put, .key = key});
    ask(Verb::goodbye, parent);
    children_answer();
    expect_settled();
}

TEST_F(BroadcastsTest, ACopyEndsAWait) {
    const std::string key = key_of(4);
    const std::uint64_t request = begin({.verb = Verb::wait_for, .key = key, .argument = 1'000'000});
    relay_put(key, "value", 1);
    ASSERT_TRUE(answer(request));
    EXPECT_EQ(answer(request)->status, 0);
    expect_settled();
}

TEST_F(BroadcastsTest, OfFewManagersTheRootAsksAll) {
    managers.count = 4;
    begin({.verb = Verb::broadcast_put, .key = key_of(3)});
    ASSERT_EQ(relayed.all.size(), 3u);
    for (std::uint32_t i = 0; i < 3; ++i)
        EXPECT_EQ(number_of(relayed.all[i].request.shard), i)
            << "the root is the last one, and counting goes on at 0";
    children_answer();
    expect_settled();
}

}  // namespace
}  // namespace ddict::manager
