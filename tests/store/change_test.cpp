// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <random>

#include "tests/store/store_fixture.h"

namespace ddict::store {
namespace {

class ChangeTest : public StoreTest {
  protected:
    static void expect_same(const Change& a, const Change& b) {
        EXPECT_EQ(a.kind, b.kind);
        EXPECT_EQ(a.role, b.role);
        EXPECT_EQ(a.pair.key, b.pair.key);
        EXPECT_EQ(a.pair.placement, b.pair.placement);
        EXPECT_EQ(a.pair.until, b.pair.until);
        EXPECT_EQ(a.pair.hash, b.pair.hash);
        EXPECT_EQ(a.pair.value_type, b.pair.value_type);
        EXPECT_EQ(a.pair.checkpoint, b.pair.checkpoint);
        EXPECT_EQ(text_of(a.pair.value), text_of(b.pair.value));
        EXPECT_EQ(a.argument, b.argument);
        EXPECT_EQ(a.version, b.version);
        EXPECT_EQ(a.origin.session, b.origin.session);
        EXPECT_EQ(a.origin.request, b.origin.request);
    }
    static KeyBytes full_key() { return {bytes_of("key"), 0x8007}; }
    static Change full() {
        return {.kind = ChangeKind::put,
                .role = BroadcastRole::copy,
                .pair = {.key = full_key(),
                         .hash = hash_of(full_key()),
                         .value_type = 2,
                         .checkpoint = 3,
                         .value = bytes_of("value"),
                         .placement = {.by = PlacedBy::number, .value = 9},
                         .until = 8},
                .argument = 4,
                .version = 5,
                .origin = {.session = 6, .request = 7}};
    }
};

TEST_F(ChangeTest, ComesBackAsItWasPacked) {
    std::vector<std::byte> packed;
    const Change clear{.kind = ChangeKind::clear};
    const Change erase{.kind = ChangeKind::erase,
                       .pair = {.key = bytes_of("gone"), .hash = hash_of(bytes_of("gone"))}};
    for (const Change& one : {full(), clear, erase})
        pack(one, packed);
    Bytes in = packed;
    Change change;
    for (const Change& one : {full(), clear, erase}) {
        ASSERT_TRUE(unpack(in, change));
        expect_same(change, one);
    }
    EXPECT_TRUE(in.empty());
    EXPECT_FALSE(unpack(in, change));
}

TEST_F(ChangeTest, AReservedBlockIsPackedAsItsPair) {
    Change put = full();
    put.reserved = store.reserve(put.pair, put.pair.value.size()).value();
    std::copy(put.pair.value.begin(), put.pair.value.end(), put.reserved->value().begin());
    put.pair = {};
    std::vector<std::byte> packed;
    pack(put, packed);
    store.abandon(put.reserved);
    Bytes in = packed;
    Change change;
    ASSERT_TRUE(unpack(in, change));
    expect_same(change, full());
    EXPECT_EQ(change.reserved, nullptr);
}

TEST_F(ChangeTest, HasTheBytesThatAreDocumented) {
    std::vector<std::byte> packed;
    pack(full(), packed);
    ASSERT_EQ(packed.size(), 80u + 3 + 5);
    const std::uint64_t words[] = {
        0x8007'0003'0002'0201, hash_of(full_key()), 9, 0x0000'0002'0000'0003, 5, 4, 5, 6, 7, 8};
    EXPECT_EQ(std::memcmp(packed.data(), words, sizeof words), 0);
    EXPECT_EQ(text_of(Bytes(packed).subspan(80)), "keyvalue");
}

TEST_F(ChangeTest, WhatIsCutOrDamagedIsRefusedOrStaysWithinItsBytes) {
    std::vector<std::byte> packed;
    pack(full(), packed);
    for (std::size_t size = 0; size < packed.size(); ++size) {
        Bytes in(packed.data(), size);
        Change change;
        EXPECT_FALSE(unpack(in, change)) << "cut to " << size;
        EXPECT_EQ(in.size(), size);
    }
    std::mt19937_64 random(1);
    unsigned taken = 0;
    for (int i = 0; i < 100'000; ++i) {
        std::vector<std::byte> damaged = packed;
        for (int flips = 0; flips < 3; ++flips)
            damaged[random() % damaged.size()] = static_cast<std::byte>(random());
        Bytes in = damaged;
        Change change;
        if (!unpack(in, change)) continue;
        ++taken;
        const auto* end = damaged.data() + damaged.size();
        ASSERT_LE(change.pair.key.data() + change.pair.key.size(), end);
        ASSERT_LE(change.pair.value.data() + change.pair.value.size(), end);
        ASSERT_LE(change.pair.key.size(), limits::key_bytes_max);
    }
    EXPECT_GT(taken, 1000u) << "not each damage can be seen";
}

TEST_F(ChangeTest, PackedChangesMakeTheSameStoreAgain) {
    std::vector<std::byte> packed;
    std::mt19937_64 random(1);
    const auto make = [&](const Change& one) {
        if (store.apply(one).changed()) pack(one, packed);
    };
    for (int i = 0; i < 2000; ++i) {
        const std::string key = "k" + std::to_string(random() % 50);
        const std::string value = std::to_string(i);
        constexpr ChangeKind kinds[] = {ChangeKind::put, ChangeKind::put, ChangeKind::erase,
                                        ChangeKind::take};
        const ChangeKind kind = kinds[random() % std::size(kinds)];
        make(change(kind, key, kind == ChangeKind::put ? bytes_of(value) : Bytes()));
        if (i == 1000) make(change(ChangeKind::clear));
        if (i % 100 == 0) make(change(store.frozen() ? ChangeKind::unfreeze : ChangeKind::freeze));
        const std::string name = "b" + key;
        Change of_broadcast = change(random() % 2 == 0 ? ChangeKind::put : ChangeKind::erase, name);
        of_broadcast.role = random() % 2 == 0 ? BroadcastRole::root : BroadcastRole::copy;
        of_broadcast.version = static_cast<std::uint64_t>(i);
        make(of_broadcast);
    }
    Store again(shm::make_pool(limits::pool_bytes_min));
    Bytes in = packed;
    for (Change one; unpack(in, one);)
        ASSERT_TRUE(again.apply(one).changed());
    EXPECT_TRUE(in.empty());
    EXPECT_EQ(again.sequence(), store.sequence());
    ASSERT_EQ(again.size(), store.size());
    for (int i = 0; i < 50; ++i) {
        const std::string key = "k" + std::to_string(i);
        EXPECT_EQ(shm::value_of(again.pool(), key), stored(key));
        const BroadcastMarks::Mark* mark = store.marks().find(bytes_of("b" + key));
        const BroadcastMarks::Mark* other = again.marks().find(bytes_of("b" + key));
        ASSERT_EQ(mark == nullptr, other == nullptr);
        if (mark != nullptr) {
            EXPECT_EQ(mark->version, other->version);
            EXPECT_EQ(mark->stored, other->stored);
        }
    }
}

}  // namespace
}  // namespace ddict::store
