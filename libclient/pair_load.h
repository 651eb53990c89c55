// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Brings pairs of a source into a dictionary. Into an empty one that nobody else uses, each part is read and
// stored at once. Otherwise first all parts are read and measured, then they are read again and stored, by
// several threads each, with batches of puts to whichever managers the keys belong to now. Where they fit
// only because they replace pairs that are there, those are looked up before, and the pairs that do not grow
// are stored first: so no manager ever needs more than in the end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ddict/dictionary.h>

#include "base/hash.h"
#include "cluster/placement.h"
#include "libclient/attachment.h"
#include "libclient/batch_run.h"
#include "libclient/checkpoint_progress.h"
#include "libclient/flights.h"
#include "libclient/pair_sizes.h"
#include "libclient/pair_source.h"
#include "persist/record.h"
#include "shm/block.h"
#include "shm/pool.h"

namespace ddict::client {

using persist::Record;

// What the index takes for a key, at the most but for small dictionaries: a segment of 16 KiB that has just
// been split has half of 1344 entries.
inline constexpr std::uint64_t index_bytes_of_key = 25;

// Where each byte counts, so much is on its way at the most besides the largest pair.
inline constexpr std::uint64_t flight_bytes_small = 64 << 10;

/// Of a pool, so much stays free: with less there is no space for what moves to make one free block out of
/// many, and a pair of some size finds none though there is enough in all.
inline std::uint64_t bytes_to_move_in(std::uint64_t pool_bytes) {
    return 2 * pool_bytes / shm::Compactor::free_share_min;
}

inline std::uint64_t block_bytes(const Record& record) {
    const shm::Pair pair{.key = record.key, .placement = record.placement};
    return shm::Block::bytes_for(pair, record.value.size());
}

inline std::uint64_t bytes_in_pool(const Record& record) {
    return block_bytes(record) + index_bytes_of_key;
}

class FirstFailure final : public BatchItems {
  public:
    void done(std::size_t, KeyBytes key, const ItemStatus& status, const Error* error) override {
        if (status.ok() || !first) return;
        first = error != nullptr ? *error : Error(status.code).set_key(key).set_manager(status.manager);
    }
    Result<void> first;
};

class PairLoad {
  public:
    /// Stored is at this id in memory.
    PairLoad(detail::Shared<Attachment> attachment, PairSource& source, const LoadOptions& options,
             std::uint32_t id)
        : attachment_(std::move(attachment)),
          source_(source),
          options_(options),
          id_(id),
          managers_(attachment_->manager_count()),
          threads_(options.threads) {}

    /// Reads all of it. Nothing is changed. Errors: those of the files; invalid_argument.
    Result<void> read() {
        if (const Result<void> opened = open(); !opened) return opened;
        return measure();
    }

    /// Reads all but the pairs.
    Result<void> open() { return source_.open(); }
    /// Those of these managers alone are loaded; the others are left out.
    void only_to(std::vector<bool> managers) { only_to_ = std::move(managers); }

    /// Finds out what each manager is to take. Nothing is changed. Errors: those of the files;
    /// invalid_argument.
    Result<void> measure() {
        needs_.assign(managers_, 0);
        const OnCheckpointProgress nobody;
        SharedProgress progress(nobody, 0);
        const Result<void> read = for_each_extent(progress, [&](Bytes records, std::size_t) {
            std::vector<std::uint64_t> own(managers_);
            std::set<KeyOnManager> placed;
            const Result<void> measured = for_each_record(records, [&](const Record& record) {
                const std::uint64_t bytes = bytes_in_pool(record);
                if (record.broadcast) {
                    for (std::uint64_t& need : own)
                        need += bytes;
                    return Result<void>();
                }
                const std::uint32_t manager = number_of(shard_of(record));
                own[manager] += bytes;
                if (!may_meet(record)) return Result<void>();
                if (!placed.insert(key_on(manager, record)).second) return meets_another(record);
                return Result<void>();
            });
            if (!measured) return measured;
            const std::lock_guard lock(mutex_);
            for (std::uint32_t manager = 0; manager < managers_; ++manager)
                needs_[manager] += own[manager];
            for (const KeyOnManager& key : placed) {
                if (!placed_.insert(key).second) return meets_another(key);
            }
            return Result<void>();
        });
        if (!read) return read;
        return check_that_keys_stay_apart();
    }

    /// Requires measure(). Errors: no_space; those of looking up what is there.
    Result<void> check_that_it_fits(const std::vector<ManagerStats>& stats) {
        std::vector<const ManagerStats*> lacking = managers_that_lack_memory(stats);
        const bool may_replace = std::any_of(lacking.begin(), lacking.end(),
                                             [](const ManagerStats* one) { return one->keys > 0; });
        if (may_replace) {
            if (const Result<void> counted = count_replaced(lacking); !counted) return counted;
            lacking = managers_that_lack_memory(stats);
        }
        return lacking.empty() ? Result<void>() : does_not_fit(lacking);
    }

    /// The same where nothing is left of what is there.
    Result<void> check_that_it_fits_alone(std::vector<ManagerStats> stats) const {
        for (ManagerStats& one : stats)
            one.free_bytes = shm::Pool::free_bytes_when_empty(one.pool_bytes);
        const std::vector<const ManagerStats*> lacking = managers_that_lack_memory(stats);
        return lacking.empty() ? Result<void>() : does_not_fit(lacking);
    }

    /// The same without having read it: what is wrong is found when a part is stored already.
    Result<void> store_unread() {
        is_measured_ = false;
        SharedProgress progress(options_.progress, source_.bytes());
        return store_some(progress, false);
    }

    Result<void> store() {
        is_measured_ = true;
        SharedProgress progress(options_.progress, source_.bytes());
        if (!shrinking_.empty()) {
            threads_ = 1;
            if (const Result<void> first = store_some(progress, true); !first) return first;
        }
        return store_some(progress, false);
    }

  private:
    using KeyOnManager = std::tuple<std::uint32_t, std::uint16_t, std::string>;
    /// Pairs of one manager that the checkpoint has a newer one of.
    struct Replaced {
        std::uint64_t pairs = 0;
        std::uint64_t bytes = 0;        // what they take now
        std::uint64_t largest_new = 0;  // the largest block that replaces one

        void add(std::uint64_t old_bytes, std::uint64_t new_bytes) { add({1, old_bytes, new_bytes}); }
        void add(const Replaced& more) {
            pairs += more.pairs;
            bytes += more.bytes;
            largest_new = std::max(largest_new, more.largest_new);
        }
    };

    std::vector<const ManagerStats*> managers_that_lack_memory(const std::vector<ManagerStats>& stats) const {
        std::vector<const ManagerStats*> lacking;
        for (const ManagerStats& one : stats) {
            if (one.manager < managers_ && needs_of(one) > one.free_bytes) lacking.push_back(&one);
        }
        return lacking;
    }

    std::uint64_t needs_of(const ManagerStats& one) const {
        const std::uint64_t needs = needs_[one.manager];
        return needs == 0 ? 0 : needs + bytes_to_move_in(one.pool_bytes);
    }

    /// Of the one that lacks most; the text has as many of the others as it can hold.
    Error does_not_fit(std::vector<const ManagerStats*> lacking) const {
        const auto lack = [&](const ManagerStats* one) { return needs_of(*one) - one->free_bytes; };
        std::sort(lacking.begin(), lacking.end(),
                  [&](const ManagerStats* a, const ManagerStats* b) { return lack(a) > lack(b); });
        std::string text = "the checkpoint does not fit, nothing was changed";
        if (replaced_ > 0)
            text += ", although " + std::to_string(replaced_) + " of its pairs replace others there";
        const char* separator = "; also manager ";
        for (std::size_t i = 1; i < lacking.size(); ++i) {
            text += separator + std::to_string(lacking[i]->manager) + " needs " +
                    std::to_string(needs_of(*lacking[i])) + ", has " + std::to_string(lacking[i]->free_bytes);
            separator = ", ";
        }
        const ManagerStats& most = *lacking.front();
        return Error(Errc::no_space, text)
            .set_manager(most.manager)
            .set_node(most.node)
            .set_bytes(needs_of(most), most.free_bytes);
    }

    /// Takes from the needs of these managers what the pairs that are there give back, and notes which pairs
    /// of the checkpoint do not grow. Before an old pair goes the new one is there: so
    /// one thread stores them, with few on their way.
    Result<void> count_replaced(const std::vector<const ManagerStats*>& lacking) {
        std::vector<bool> counts(managers_);
        for (const ManagerStats* one : lacking)
            counts[one->manager] = true;
        shrinking_.assign(source_.parts(), {});
        flight_bytes_max_.assign(managers_, UINT64_MAX / 2);
        std::vector<Replaced> replaced(managers_);
        const OnCheckpointProgress nobody;
        SharedProgress progress(nobody, 0);
        const Result<void> read =
            for_each_extent(progress, [&](Bytes records, std::size_t part) -> Result<void> {
                std::vector<bool> shrinking;
                std::vector<Replaced> found(managers_);
                if (const Result<void> counted = count_replaced(records, counts, found, shrinking); !counted)
                    return counted;
                const std::lock_guard lock(mutex_);
                shrinking_[part] = std::move(shrinking);
                for (std::uint32_t manager = 0; manager < managers_; ++manager)
                    replaced[manager].add(found[manager]);
                return {};
            });
        if (!read) return read;
        for (const ManagerStats* lacks : lacking) {
            const std::uint32_t manager = lacks->manager;
            const Replaced& one = replaced[manager];
            flight_bytes_max_[manager] = flight_bytes_small + one.largest_new;
            needs_[manager] -= std::min(needs_[manager], one.bytes);
            needs_[manager] += flight_bytes_max_[manager];
            replaced_ += one.pairs;
        }
        return {};
    }

    /// The same of one extent. A broadcast is one pair on each manager.
    Result<void> count_replaced(Bytes bytes, const std::vector<bool>& counts, std::vector<Replaced>& found,
                                std::vector<bool>& shrinking) {
        std::vector<PairOfManager> pairs;
        const auto add = [&](std::uint32_t manager, KeyBytes key) {
            if (counts[manager]) pairs.push_back({.shard = ShardId{manager}, .key = key});
        };
        const auto for_each_manager = [&](const Record& record, const auto& f) {
            if (!record.broadcast) return f(number_of(shard_of(record)));
            for (std::uint32_t manager = 0; manager < managers_; ++manager)
                f(manager);
        };
        const Result<void> read = for_each_record(bytes, [&](const Record& record) {
            for_each_manager(record, [&](std::uint32_t manager) { add(manager, record.key); });
            return Result<void>();
        });
        if (!read) return read;
        const Result<std::vector<BlockSize>> sizes = block_sizes(*attachment_, pairs);
        if (!sizes) return sizes.error();
        std::size_t next = 0;
        return for_each_record(bytes, [&](const Record& record) {
            const std::size_t first = next;
            for_each_manager(record, [&](std::uint32_t manager) {
                if (counts[manager]) ++next;
            });
            const std::uint64_t new_bytes = block_bytes(record);
            const std::span own = std::span(*sizes).subspan(first, next - first);
            const auto shrinks = [&](const BlockSize& old) { return old && new_bytes <= *old; };
            shrinking.push_back(!own.empty() && std::all_of(own.begin(), own.end(), shrinks));
            for (std::size_t i = first; i < next; ++i) {
                const BlockSize old = (*sizes)[i];
                if (!old) continue;
                // A broadcast that grows somewhere is stored late, and nobody counts on what it gives back
                // elsewhere.
                const std::uint64_t freed = shrinking.back() ? *old : std::min(*old, new_bytes);
                found[number_of(pairs[i].shard)].add(freed + index_bytes_of_key, new_bytes);
            }
            return Result<void>();
        });
    }

    /// Those that do not grow, or the others.
    Result<void> store_some(SharedProgress& progress, bool shrinking) {
        return for_each_extent(progress, [&](Bytes records, std::size_t part) {
            const PairSource::Size size = source_.size_of(part);
            FirstFailure failure;
            // Of pairs that persist, and of those that are of this checkpoint only.
            std::optional<BatchRun> runs[2];
            const auto run_of = [&](const Record& record) -> BatchRun& {
                std::optional<BatchRun>& run = runs[record.transient ? 1 : 0];
                if (run) return *run;
                const std::uint16_t flags = record.transient ? 0 : wire::persistent;
                run.emplace(attachment_, wire::Verb::batch_put,
                            detail::TimeoutBudget{.timeout = attachment_->timeout()}, CallsAt{id_, flags},
                            failure);
                run->use_large_messages();
                run->set_of_restore();  // what it is has been looked at
                return *run;
            };
            const auto finish = [&] {
                for (std::optional<BatchRun>& run : runs) {
                    if (run) run->finish();
                    run.reset();
                }
            };
            Flights flights(flight_bytes_max_);
            std::size_t i = 0;
            Result<void> stored = for_each_record(records, [&](const Record& record) {
                if (is_shrinking(part, i++) != shrinking) return Result<void>();
                if (!is_measured_ && may_meet(record)) return meets_another(record);
                if (!flights.add(record.broadcast ? all_managers : number_of(shard_of(record)),
                                 block_bytes(record))) {
                    finish();
                }
                BatchRun& run = run_of(record);
                if (record.broadcast) {
                    run.add_broadcast(0, shard_of(record), record.key, record.value, record.value_type);
                } else {
                    run.add(0, shard_of(record), record.key, record.value, record.value_type,
                            record.placement);
                }
                return failure.first;
            });
            finish();
            if (stored) stored = failure.first;
            // What was stored first is told with the rest of its extent.
            if (stored && !progress.add(shrinking ? 0 : size.pairs, shrinking ? 0 : size.bytes))
                stored = progress.outcome();
            return stored;
        });
    }
    /// With other managers than were saved, keys placed by hand may.
    bool may_meet(const Record& record) const {
        return record.placement.is_by_hand() && managers_ != source_.managers();
    }
    bool is_shrinking(std::size_t part, std::size_t record) const {
        return part < shrinking_.size() && record < shrinking_[part].size() && shrinking_[part][record];
    }

    ShardId shard_of(const Record& record) const {
        return ddict::shard_of(hash_of(record.key), record.placement, managers_);
    }
    static KeyOnManager key_on(std::uint32_t manager, const Record& record) {
        return {manager, record.key.type(), std::string(text_of(record.key))};
    }

    template <class F>
    Result<void> for_each_extent(SharedProgress& progress, F&& f) const {
        const auto make = [] { return persist::ExtentBuffer(); };
        return in_parallel(source_.parts(), threads_, progress, make,
                           [&](std::size_t i, persist::ExtentBuffer& buffer) {
                               const Result<Bytes> records = source_.read(i, buffer);
                               return records ? f(*records, i) : records.error();
                           });
    }
    template <class F>
    Result<void> for_each_record(Bytes bytes, F&& f) const {
        persist::RecordReader records(bytes);
        for (Record record; records.next(record);) {
            if (!only_to_.empty() && !record.broadcast && !only_to_[number_of(shard_of(record))]) continue;
            if (const Result<void> done = f(record); !done) return done;
        }
        if (!records.at_end())
            return Error(Errc::protocol, "damaged: the records of an extent make no sense");
        return {};
    }

    /// With other managers than were saved, a key that was placed by hand may come to where its like is.
    Result<void> check_that_keys_stay_apart() {
        if (placed_.empty()) return {};
        const OnCheckpointProgress nobody;
        SharedProgress progress(nobody, 0);
        return for_each_extent(progress, [&](Bytes records, std::size_t) {
            return for_each_record(records, [&](const Record& record) {
                if (record.placement.is_by_hand()) return Result<void>();
                const bool meets = placed_.contains(key_on(number_of(shard_of(record)), record));
                return meets ? meets_another(record) : Result<void>();
            });
        });
    }
    static Result<void> meets_another(const Record& record) {
        return Error(Errc::invalid_argument,
                     "keys of this name were placed on different managers, and would meet on one: load it "
                     "with as many managers as were saved")
            .set_key(record.key);
    }
    static Result<void> meets_another(const KeyOnManager& key) {
        Record record;
        record.key = {bytes_of(std::get<2>(key)), std::get<1>(key)};
        return meets_another(record);
    }

    const detail::Shared<Attachment> attachment_;
    PairSource& source_;
    const LoadOptions& options_;
    const std::uint32_t id_;
    const std::uint32_t managers_;
    unsigned threads_;
    std::vector<bool> only_to_;  // by manager; empty: all
    bool is_measured_ = true;
    std::mutex mutex_;                             // guards what follows while extents are read
    std::vector<std::uint64_t> needs_;             // of each manager
    std::vector<std::uint64_t> flight_bytes_max_;  // of each, that may be sent and not stored yet; empty: any
    std::uint64_t replaced_ = 0;                   // pairs of which count_replaced() has found an older one
    std::vector<std::vector<bool>> shrinking_;     // by extent and record; empty if nobody has looked
    std::set<KeyOnManager> placed_;                // keys placed by hand, where they belong now
};

}  // namespace ddict::client
