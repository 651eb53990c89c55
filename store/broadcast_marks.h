// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>

#include <ddict/error.h>

#include "base/bytes.h"
#include "base/owned_key.h"

namespace ddict::store {

/// How a broadcast goes on below this manager. Not part of what the shard stores: its broadcaster writes it.
struct BroadcastProgress {
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    std::uint32_t under_way = none;    // the broadcast of this version, while it goes on
    Errc code{};                       // how it ended: somebody below may not have this version
    std::uint32_t failed_manager = 0;  // if so, who
    bool is_unknown = false;           // a kill has come between: nobody knows who has this version
};

/// Which keys are stored here by broadcasts, or were, and in which version. A key that was erased is
/// remembered for a while, so that an older message that comes late does not bring it back.
class BroadcastMarks {
  public:
    /// Erased keys that are remembered. So many broadcasts must have overtaken a message before it does harm.
    static constexpr std::size_t erased_max = 65536;

    struct Mark {
        std::uint64_t version = 0;
        bool stored = false;
        bool own = false;  // this manager is the key's own; the others have copies
        BroadcastProgress progress;
    };

    /// Whether there is any such key; the question on the way of every write.
    bool any() const noexcept { return stored_ != 0; }
    bool holds(KeyBytes key) const;
    /// The pair is a copy of another manager's.
    bool is_copy(KeyBytes key) const;
    /// Null if the key is not known.
    const Mark* find(KeyBytes key) const;
    /// 0 if the key is not known.
    std::uint64_t version_of(KeyBytes key, std::uint64_t hash) const;
    BroadcastProgress* progress(KeyBytes key);

    /// The key is stored, or erased, in this version.
    void set(KeyBytes key, std::uint64_t version, bool stored, bool own);
    /// The same, of what was so before a manager was killed.
    void set_recovered(KeyBytes key, std::uint64_t version, bool stored, bool own) {
        set(key, version, stored, own);
        progress(key)->is_unknown = true;
    }
    /// A key with this hash was erased in this version, before a manager was killed: all that is known of it.
    void set_erased(std::uint64_t hash, std::uint64_t version) { erased_before_[hash] = version; }
    /// Calls f(key, version) for each that is stored.
    template <class F>
    void for_each_stored(F f) const {
        for (const auto& [key, mark] : marks_)
            if (mark.stored) f(key.view(), mark.version);
    }
    /// All are erased; their versions stay known.
    void clear();

    std::size_t stored() const noexcept { return stored_; }
    std::size_t copies() const noexcept { return copies_; }
    /// How many keys are known, erased ones included.
    std::size_t known() const noexcept { return marks_.size(); }

  private:
    struct Erased {
        OwnedKey key;
        std::uint64_t version;
    };

    void count(Mark& mark, bool stored, bool own) noexcept;
    void forget_some();

    MapByKey<Mark> marks_;
    std::deque<Erased> erased_;
    std::size_t stored_ = 0;
    std::size_t copies_ = 0;
    std::unordered_map<std::uint64_t, std::uint64_t> erased_before_;  // by hash
};

}  // namespace ddict::store
