// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Of the entries that a queue's record calls this holder's: those that somebody here deals with, a call that
// is under way or an item that the program has. The others were taken by changes whose answers did not come
// in time. Nobody knows of them, so they are given back.
//
// An entry is noted before the change that makes it the holder's is sent. So one that the record calls the
// holder's, and that is not noted, is nobody's.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "libclient/queue_record.h"

namespace ddict::client {

/// Threads: any.
class QueueClaims {
  public:
    /// The number of an entry, and how often it was handed out: it may be this holder's twice.
    using Claim = std::pair<std::uint64_t, std::uint32_t>;

    static Claim of(const QueueRecord::Entry& entry) { return {entry.number, entry.attempts}; }
    void add(const Claim& claim) {
        const std::lock_guard lock(mutex_);
        claims_.insert(claim);
    }
    void remove(const Claim& claim) {
        const std::lock_guard lock(mutex_);
        if (const auto found = claims_.find(claim); found != claims_.end()) claims_.erase(found);
    }
    bool has(const Claim& claim) const {
        const std::lock_guard lock(mutex_);
        return claims_.contains(claim);
    }

  private:
    mutable std::mutex mutex_;
    std::multiset<Claim> claims_;  // two calls may be after the same entry
};

/// The claim of a call, which ends with it.
class QueueClaim {
  public:
    explicit QueueClaim(QueueClaims& claims) : claims_(claims) {}
    QueueClaim(const QueueClaim&) = delete;
    QueueClaim& operator=(const QueueClaim&) = delete;
    ~QueueClaim() { drop(); }

    void take(const QueueRecord::Entry& entry) {
        drop();
        claim_ = QueueClaims::of(entry);
        claims_.add(*claim_);
    }
    void drop() {
        if (claim_) claims_.remove(*claim_);
        claim_.reset();
    }
    /// From now on it is that of an item.
    void keep() { claim_.reset(); }

  private:
    QueueClaims& claims_;
    std::optional<QueueClaims::Claim> claim_;
};

}  // namespace ddict::client
