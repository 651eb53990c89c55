// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/store/store_fixture.h"

namespace ddict::store {
namespace {

TEST_F(StoreTest, EachKindDoesWhatItSays) {
    EXPECT_TRUE(apply(ChangeKind::put, "a", "1").succeeded());
    EXPECT_EQ(stored("a"), "1");
    EXPECT_TRUE(apply(ChangeKind::put, "a", "2").succeeded());
    EXPECT_EQ(stored("a"), "2");
    EXPECT_TRUE(apply(ChangeKind::erase, "a").succeeded());
    EXPECT_EQ(apply(ChangeKind::erase, "a").code, Errc::not_found);
    EXPECT_EQ(apply(ChangeKind::take, "a").code, Errc::not_found);
    apply(ChangeKind::put, "b", "3");
    apply(ChangeKind::put, "c", "4");
    EXPECT_EQ(store.size(), 2u);
    EXPECT_TRUE(apply(ChangeKind::clear).succeeded());
    EXPECT_EQ(store.size(), 0u);
}

TEST_F(StoreTest, OnlyChangesThatWereMadeAreNumberedAndWithoutGaps) {
    EXPECT_EQ(apply(ChangeKind::put, "a", "1").sequence, 1u);
    EXPECT_EQ(apply(ChangeKind::erase, "b").sequence, 0u);
    EXPECT_EQ(apply(ChangeKind::freeze).sequence, 2u);
    EXPECT_EQ(apply(ChangeKind::put, "a", "2").sequence, 0u);
    EXPECT_EQ(apply(ChangeKind::unfreeze).sequence, 3u);
    EXPECT_EQ(apply(ChangeKind::take, "a").sequence, 4u);
    EXPECT_EQ(apply(ChangeKind::clear).sequence, 5u);
    EXPECT_EQ(store.sequence(), 5u);
}

TEST_F(StoreTest, TheReplyIsCachedWhateverCameOfTheChange) {
    Change put = change(ChangeKind::put, "a", bytes_of("1"));
    put.argument = 7;
    EXPECT_EQ(store.apply(put).argument, 7u);
    EXPECT_EQ(cached().request, put.origin.request);
    EXPECT_EQ(cached().argument, 7u);
    EXPECT_EQ(cached().status, 0);
    apply(ChangeKind::erase, "b");
    EXPECT_EQ(cached().status, static_cast<std::uint16_t>(Errc::not_found));
    const std::vector<std::byte> too_large(limits::pool_bytes_min);
    const Applied refused = store.apply(change(ChangeKind::put, "c", too_large));
    EXPECT_EQ(refused.code, Errc::too_large);
    EXPECT_GT(refused.argument, refused.argument2);
    EXPECT_EQ(cached().status, static_cast<std::uint16_t>(Errc::too_large));
    EXPECT_EQ(cached().argument, refused.argument);
    apply(ChangeKind::freeze);
    apply(ChangeKind::put, "a", "2");
    EXPECT_EQ(cached().status, static_cast<std::uint16_t>(Errc::frozen));
}

TEST_F(StoreTest, NothingChangesWhileFrozen) {
    apply(ChangeKind::put, "a", "1");
    apply(ChangeKind::freeze);
    for (const ChangeKind kind : {ChangeKind::put, ChangeKind::erase, ChangeKind::take, ChangeKind::clear})
        EXPECT_EQ(apply(kind, kind == ChangeKind::clear ? "" : "a", "").code, Errc::frozen);
    EXPECT_EQ(stored("a"), "1");
    apply(ChangeKind::unfreeze);
    EXPECT_TRUE(apply(ChangeKind::erase, "a").succeeded());
}

/// Every checkpoint is behind it, also those that are newer than where it begins: a pair that comes back of
/// one is not seen there.
TEST_F(StoreTest, BeginsAnewAtAnyCheckpoint) {
    const auto at = [&](ChangeKind kind, std::uint32_t checkpoint, std::string_view key = {}) {
        Change made = change(kind, key, bytes_of("value"));
        made.pair.checkpoint = checkpoint;
        if (kind != ChangeKind::put) made.pair.value = {};
        return store.apply(made);
    };
    ASSERT_TRUE(at(ChangeKind::put, 7, "a").succeeded());
    ASSERT_TRUE(at(ChangeKind::put, 7, "taken").succeeded());
    ASSERT_TRUE(at(ChangeKind::take, 7, "taken").succeeded());
    const Change take_back{.kind = ChangeKind::put_back,
                           .origin = {.session = 1, .request = cached().request},
                           .slot = {.session = &session, .reply = session.at(0)}};
    Change begin = take_back;
    begin.kind = ChangeKind::begin_at;
    begin.pair.checkpoint = 3;
    begin.slot = {};
    ASSERT_TRUE(store.apply(begin).succeeded());
    EXPECT_EQ(store.size(), 0u);
    EXPECT_EQ(store.checkpoints().oldest(), 3u);
    EXPECT_EQ(store.checkpoints().newest(), 3u);
    EXPECT_EQ(store.apply(take_back).code, Errc::not_found);
    EXPECT_EQ(at(ChangeKind::put, 2, "a").code, Errc::checkpoint_retired);
    EXPECT_TRUE(at(ChangeKind::put, 3, "a").succeeded());
    EXPECT_TRUE(at(ChangeKind::begin_at, 0).succeeded());
    EXPECT_FALSE(store.checkpoints().in_use());
    EXPECT_EQ(store.size(), 0u);
    apply(ChangeKind::freeze);
    EXPECT_EQ(at(ChangeKind::begin_at, 1).code, Errc::frozen);
}

TEST_F(StoreTest, AReservedBlockIsGoneWhenItsChangeIsRefused) {
    const std::uint64_t used = store.pool().usage().used_bytes;
    Change put = change(ChangeKind::put, "a");
    put.reserved = store.reserve(put.pair, 5000).value();
    EXPECT_EQ(put.key().size(), 1u);
    apply(ChangeKind::freeze);
    EXPECT_EQ(store.apply(put).code, Errc::frozen);
    EXPECT_EQ(store.pool().usage().used_bytes, used);
    apply(ChangeKind::unfreeze);
    put = change(ChangeKind::put, "a");
    put.reserved = store.reserve(put.pair, 5000).value();
    EXPECT_TRUE(store.apply(put).succeeded());
    EXPECT_EQ(stored("a").size(), 5000u);
}

TEST_F(StoreTest, WhatIsTakenStaysAsLongAsItsReply) {
    apply(ChangeKind::put, "a", "1");
    const Applied taken = apply(ChangeKind::take, "a");
    ASSERT_TRUE(taken.succeeded());
    EXPECT_EQ(shm::find(store.pool(), "a"), nullptr);
    EXPECT_EQ(&store.replies().block_of(cached()), taken.removed);
    EXPECT_EQ(text_of(taken.removed->value()), "1");
    EXPECT_EQ(store.replies().values(), 1u);
    store.replies().release(session, session.slots[0]);
    EXPECT_EQ(store.replies().values(), 0u);
}

TEST_F(StoreTest, TakenValuesGiveWayToPuts) {
    const std::vector<std::byte> most(store.pool().usage().largest_free_bytes * 2 / 3);
    store.apply(change(ChangeKind::put, "a", most));
    const Change take = change(ChangeKind::take, "a");
    EXPECT_TRUE(store.apply(take).succeeded());
    Change put = change(ChangeKind::put, "b", most);
    put.slot = store.replies().slot(session, put.origin.request | 1);  // the reply of the take stays
    EXPECT_TRUE(store.apply(put).succeeded());
    EXPECT_EQ(store.replies().values(), 0u);
    EXPECT_EQ(cached().kind, CachedReply::Kind::forgotten);
}

TEST_F(StoreTest, OnlyBroadcastsChangeWhatABroadcastHasStored) {
    Change put = change(ChangeKind::put, "a", bytes_of("1"));
    put.role = BroadcastRole::root;
    EXPECT_TRUE(store.apply(put).succeeded());
    EXPECT_EQ(store.marks().find(bytes_of("a"))->version, 1u);
    EXPECT_EQ(apply(ChangeKind::put, "a", "2").code, Errc::invalid_argument);
    EXPECT_EQ(apply(ChangeKind::take, "a").code, Errc::invalid_argument);
    EXPECT_TRUE(apply(ChangeKind::put, "b", "2").succeeded());
    EXPECT_EQ(store.size(), 2u) << "the root's pair is its own";
    Change copy = change(ChangeKind::put, "c", bytes_of("3"));
    copy.role = BroadcastRole::copy;
    copy.version = 9;
    EXPECT_TRUE(store.apply(copy).succeeded());
    EXPECT_EQ(store.size(), 2u) << "a copy is another manager's";
    copy = change(ChangeKind::erase, "c");
    copy.role = BroadcastRole::copy;
    copy.version = 10;
    EXPECT_TRUE(store.apply(copy).succeeded());
    EXPECT_EQ(store.marks().find(bytes_of("c"))->version, 10u);
    EXPECT_EQ(stored("c"), "(no such key)");
}

TEST_F(StoreTest, ErasingWhatIsNotThereMarksTheKeyAllTheSame) {
    Change erase = change(ChangeKind::erase, "a");
    erase.role = BroadcastRole::root;
    const Applied applied = store.apply(erase);
    EXPECT_EQ(applied.code, Errc::not_found);
    EXPECT_EQ(applied.sequence, 1u) << "the mark is a change";
    ASSERT_NE(store.marks().find(bytes_of("a")), nullptr);
    EXPECT_FALSE(store.marks().holds(bytes_of("a")));
}

}  // namespace
}  // namespace ddict::store
