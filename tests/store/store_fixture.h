// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A store on a small pool, with one session.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"
#include "tests/shm/test_pool.h"

namespace ddict::store {

class StoreTest : public testing::Test {
  protected:
    /// Of the session's next request, in a slot of its own.
    Change change(ChangeKind kind, std::string_view key = {}, Bytes value = {}) {
        const Bytes bytes = bytes_of(key);
        if (CachedReply* last = session.at(0); last != nullptr) store.replies().release(session, *last);
        return {.kind = kind,
                .pair = {.key = bytes, .hash = key.empty() ? 0 : hash_of(bytes), .value = value},
                .origin = {.session = 1, .request = ++request_ << wire::slot_bits},
                .slot = store.replies().slot(session, request_ << wire::slot_bits)};
    }
    Applied apply(ChangeKind kind, std::string_view key = {}, std::string_view value = {}) {
        return store.apply(change(kind, key, bytes_of(value)));
    }
    std::string stored(std::string_view key) const { return shm::value_of(store.pool(), key); }
    const CachedReply& cached() const { return session.slots[0]; }
    void TearDown() override {
        EXPECT_EQ(store.replies().inconsistency(), "");
        EXPECT_EQ(store.pool().inconsistency(), "");
    }

    Store store{shm::make_pool(limits::pool_bytes_min)};
    SessionReplies& session = *store.replies().open();

  private:
    std::uint64_t request_ = 0;
};

}  // namespace ddict::store
