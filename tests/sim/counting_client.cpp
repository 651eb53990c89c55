// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/counting_client.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "wire/items.h"

namespace ddict::sim {
namespace {

using wire::Verb;

std::uint64_t items_in(Bytes packed) {
    wire::ItemReader in(packed);
    std::uint64_t count = 0;
    for (wire::PackedPair pair; in.pair(pair);)
        ++count;
    return count;
}

}  // namespace

void CountingClient::start(unsigned at_once) {
    for (unsigned i = 0; i < at_once; ++i)
        next();
}

void CountingClient::ask(Ask ask, std::function<void(const Outcome&)> then) {
    ask.manager = cluster_.manager_of_key(ask.key);
    client_.start(std::move(ask), [this, then = std::move(then)](const Outcome& outcome) {
        then(outcome);
        ++done;
        next();
    });
}

void CountingClient::expect_ok(const Outcome& outcome) {
    if (outcome.ok()) return;
    ++errors;
    ADD_FAILURE() << outcome.reply.error().message();
}

void CountingClient::next() {
    if (left_ == 0) return;
    --left_;
    switch (cluster_.random().below(6)) {
        case 0:
            return add();
        case 1:
            return append();
        case 2:
            return swap();
        case 3:
            return put();
        case 4:
            return put_several();
        default:
            return pop();
    }
}

void CountingClient::add() {
    ask({.verb = Verb::fetch_add,
         .key = "total",
         .value = std::vector<std::byte>(8),
         .value_type = 0x0123,
         .argument = 1},
        [this](const Outcome& outcome) {
            expect_ok(outcome);
            if (!outcome.ok()) return;
            ++added;
            EXPECT_TRUE(before.insert(outcome.reply->argument).second) << "the same answer twice";
        });
}

/// Large operands travel as payloads.
void CountingClient::append() {
    const std::size_t bytes = cluster_.random().chance(20) ? 5000 : 10;
    ask({.verb = Verb::append, .key = "list", .value = std::vector<std::byte>(bytes, std::byte{1})},
        [this, bytes](const Outcome& outcome) {
            expect_ok(outcome);
            appended += bytes;
        });
}

/// A key is made by one and removed by another; nobody can do either twice.
void CountingClient::swap() {
    const bool makes = cluster_.random().chance(50);
    ask({.verb = Verb::compare_and_swap,
         .key = "lock",
         .value = makes ? std::vector<std::byte>(3, std::byte{2}) : std::vector<std::byte>(3, std::byte{2}),
         .argument = makes ? 0u : 3u,
         .flags = makes ? wire::swap_if_absent : wire::swap_erases},
        [this, makes](const Outcome& outcome) {
            expect_ok(outcome);
            if (!outcome.ok() || outcome.reply->argument == 0) return;
            makes ? ++swapped : --swapped;
        });
}

void CountingClient::put() {
    const std::size_t bytes = cluster_.random().chance(30) ? 6000 : 6;
    const std::string key = item();
    ask({.verb = Verb::put, .key = key, .value = std::vector<std::byte>(bytes, std::byte{3})},
        [this, key](const Outcome& outcome) {
            expect_ok(outcome);
            ++stored;
            mine_.push_back(key);
        });
}

void CountingClient::put_several() {
    std::vector<std::byte> packed(1000);
    wire::ItemWriter items(packed);
    const std::string key = item();
    items.pair(bytes_of(key), 0, packed);
    items.pair(bytes_of(key), 0, Bytes(packed).first(3));
    packed.resize(items.written().size());
    Ask several{.verb = Verb::batch_put,
                .manager = cluster_.manager_of_key(key),
                .value = packed,
                .argument = items_in(packed)};
    client_.start(std::move(several), [this, key](const Outcome& outcome) {
        expect_ok(outcome);
        EXPECT_EQ(outcome.value.size() % 2, 0u);
        ++stored;
        mine_.push_back(key);
        ++done;
        next();
    });
}

/// Only its own: so each must be there, once.
void CountingClient::pop() {
    if (mine_.empty()) return add();
    const std::string key = mine_.back();
    mine_.pop_back();
    ask({.verb = Verb::pop, .key = key}, [this, key](const Outcome& outcome) {
        expect_ok(outcome);
        EXPECT_FALSE(outcome.value.empty());
        taken.push_back(key);
    });
}

void expect_exact(Cluster& cluster, const std::deque<CountingClient>& clients) {
    std::uint64_t added = 0, appended = 0, swapped = 0, pairs = 0;
    std::set<std::uint64_t> before;
    for (const CountingClient& client : clients) {
        EXPECT_EQ(client.errors, 0u);
        added += client.added;
        appended += client.appended;
        swapped += client.swapped;
        pairs += client.stored - client.taken.size();
        before.insert(client.before.begin(), client.before.end());
    }
    EXPECT_EQ(before.size(), added) << "two were told the same";
    SimClient& reader = cluster.add_client(0);
    const auto get = [&](const char* key) {
        return reader.call({.verb = Verb::get, .manager = cluster.manager_of_key(key), .key = key});
    };
    const Outcome total = get("total");
    std::uint64_t sum = 0;
    if (total.ok()) std::memcpy(&sum, total.value.data(), sizeof sum);
    EXPECT_EQ(sum, added);
    const Outcome list = get("list");
    EXPECT_EQ(list.value.size(), appended);
    const Outcome lock = get("lock");
    EXPECT_EQ(lock.ok() ? 1u : 0u, swapped);
    std::uint64_t keys = 0;
    for (std::uint32_t m = 0; m < cluster.managers(); ++m)
        keys += cluster.manager(m).pool().size();
    EXPECT_EQ(keys, pairs + (total.ok() ? 1 : 0) + (list.ok() ? 1 : 0) + (lock.ok() ? 1 : 0));
}

}  // namespace ddict::sim
