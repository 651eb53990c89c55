// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/store/store_fixture.h"

namespace ddict::store {
namespace {

class ReplyCacheTest : public StoreTest {
  protected:
    ReplyCache& cache = store.replies();
};

TEST_F(ReplyCacheTest, ASessionHasAsManySlotsAsItUses) {
    EXPECT_EQ(session.at(0), nullptr);
    const CachedReply* made = cache.slot(session, 5).reply;
    EXPECT_EQ(made, session.at(5));
    EXPECT_EQ(session.slots.size(), 8u);
    EXPECT_EQ(cache.slot(session, 5 + (1u << wire::slot_bits)).reply, session.at(5)) << "the same slot";
    EXPECT_EQ(cache.slots(), 8u);
    SessionReplies& other = *cache.open();
    cache.slot(other, 0);
    EXPECT_EQ(cache.slots(), 9u);
    cache.close(session);
    EXPECT_EQ(cache.slots(), 1u);
    EXPECT_EQ(cache.open(), &session) << "its memory is used again";
}

TEST_F(ReplyCacheTest, ThereIsABoundForAllSessionsTogether) {
    constexpr std::uint64_t last_slot = (1u << wire::slot_bits) - 1;
    std::vector<SessionReplies*> sessions;
    for (std::size_t i = 0; i < limits::cached_replies_max / (last_slot + 1); ++i) {
        sessions.push_back(cache.open());
        ASSERT_NE(cache.slot(*sessions.back(), last_slot).reply, nullptr);
    }
    EXPECT_EQ(cache.slot(session, 0).reply, nullptr);
    cache.close(*sessions.back());
    EXPECT_NE(cache.slot(session, 0).reply, nullptr);
}

TEST_F(ReplyCacheTest, StatusesAreKeptUntilReleasedAndWithinABound) {
    const std::vector<std::byte> all_good(64);
    const std::vector<std::byte> some_bad(64, std::byte{1});
    const ReplySlot slot = cache.slot(session, 0);
    cache.set_statuses(slot, 1 << wire::slot_bits, all_good);
    EXPECT_EQ(cache.status_bytes(), 0u) << "no memory for nothing but successes";
    EXPECT_EQ(slot.reply->argument, 32u);
    cache.set_statuses(slot, 2 << wire::slot_bits, some_bad);
    EXPECT_EQ(cache.status_bytes(), 64u);
    EXPECT_EQ(cache.inconsistency(), "");
    cache.release(session, *slot.reply);
    EXPECT_EQ(cache.status_bytes(), 0u);
    const std::vector<std::byte> huge(limits::cached_status_bytes_max + 2, std::byte{1});
    cache.set_statuses(slot, 3 << wire::slot_bits, huge);
    EXPECT_EQ(slot.reply->kind, CachedReply::Kind::forgotten);
    EXPECT_EQ(cache.status_bytes(), 0u);
}

TEST_F(ReplyCacheTest, ClosingASessionReleasesWhatItHolds) {
    const std::uint64_t used = store.pool().usage().used_bytes;
    apply(ChangeKind::put, "a", "1");
    apply(ChangeKind::take, "a");
    EXPECT_GT(store.pool().usage().used_bytes, used);
    cache.close(session);
    EXPECT_EQ(store.pool().usage().used_bytes, used);
}

}  // namespace
}  // namespace ddict::store
