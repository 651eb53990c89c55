// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionary::load(): first all extents are read and measured, then they are read again and stored, by
// several threads each, with batches of puts to whichever managers the keys belong to now.
#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <ddict/dictionary.h>

#include "base/hash.h"
#include "base/owned_key.h"
#include "cluster/placement.h"
#include "libclient/attachment.h"
#include "libclient/batch_run.h"
#include "libclient/checkpoint_progress.h"
#include "persist/file_reader.h"
#include "persist/record.h"
#include "shm/block.h"

namespace ddict {
namespace {

using client::Attachment;
using client::BatchItems;
using client::BatchRun;
using client::SharedProgress;
using persist::Extent;
using persist::Record;

// What the index takes for a key, at the most but for small dictionaries: a segment of 16 KiB that has just
// been split has half of 1344 entries.
constexpr std::uint64_t index_bytes_of_key = 25;

std::uint64_t bytes_in_pool(const Record& record) {
    const shm::Pair pair{.key = record.key, .placement = record.placement};
    return shm::Block::bytes_for(pair, record.value.size()) + index_bytes_of_key;
}

class FirstFailure final : public BatchItems {
  public:
    void done(std::size_t, KeyBytes key, const ItemStatus& status, const Error* error) override {
        if (status.ok() || !first) return;
        first = error != nullptr ? *error : Error(status.code).set_key(key).set_manager(status.manager);
    }
    Result<void> first;
};

class CheckpointLoad {
  public:
    CheckpointLoad(std::shared_ptr<Attachment> attachment, const persist::Checkpoint& checkpoint,
                   const LoadOptions& options)
        : attachment_(std::move(attachment)),
          checkpoint_(checkpoint),
          options_(options),
          managers_(attachment_->manager_count()) {}

    /// Reads all but the pairs.
    Result<void> open() {
        for (const persist::CommittedFile& file : checkpoint_.commit.files) {
            Result<persist::FileReader> reader =
                persist::FileReader::open(checkpoint_.folder, checkpoint_.commit, file);
            if (!reader) return reader.error();
            files_.push_back(*std::move(reader));
        }
        for (const persist::FileReader& file : files_) {
            for (const Extent& extent : file.extents())
                extents_.push_back({&file, &extent});
        }
        return {};
    }

    /// What each manager is to take. Nothing is changed. Errors: those of the files; invalid_argument.
    Result<std::vector<std::uint64_t>> measure() {
        std::vector<std::uint64_t> needs(managers_);
        const OnCheckpointProgress nobody;
        SharedProgress progress(nobody, 0);
        const Result<void> read = for_each_extent(progress, [&](Bytes records, const Extent&) {
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
                if (!record.placement.is_by_hand() || managers_ == checkpoint_.commit.managers)
                    return Result<void>();
                if (!placed.insert(key_on(manager, record)).second) return meets_another(record);
                return Result<void>();
            });
            if (!measured) return measured;
            const std::lock_guard lock(mutex_);
            for (std::uint32_t manager = 0; manager < managers_; ++manager)
                needs[manager] += own[manager];
            for (const KeyOnManager& key : placed) {
                if (!placed_.insert(key).second) return meets_another(key);
            }
            return Result<void>();
        });
        if (!read) return read.error();
        if (const Result<void> apart = check_that_keys_stay_apart(); !apart) return apart.error();
        return needs;
    }

    Result<void> check_that_it_fits(const std::vector<std::uint64_t>& needs,
                                    const std::vector<ManagerStats>& stats) const {
        for (const ManagerStats& one : stats) {
            if (one.manager >= managers_ || needs[one.manager] <= one.free_bytes) continue;
            return Error(Errc::no_space, "the checkpoint does not fit, nothing was changed")
                .set_manager(one.manager)
                .set_node(one.node)
                .set_bytes(needs[one.manager], one.free_bytes);
        }
        return {};
    }

    Result<void> store() {
        SharedProgress progress(options_.progress, checkpoint_.commit.bytes());
        return for_each_extent(progress, [&](Bytes records, const Extent& extent) {
            FirstFailure failure;
            BatchRun run(attachment_, wire::Verb::batch_put, {.timeout = attachment_->timeout()}, failure);
            Result<void> stored = for_each_record(records, [&](const Record& record) {
                if (record.broadcast) {
                    run.add_broadcast(0, shard_of(record), record.key, record.value, record.value_type);
                } else {
                    run.add(0, shard_of(record), record.key, record.value, record.value_type,
                            record.placement);
                }
                return failure.first;
            });
            run.finish();
            if (stored) stored = failure.first;
            if (stored && !progress.add(extent.pairs, persist::aligned(extent.bytes)))
                stored = progress.outcome();
            return stored;
        });
    }

  private:
    using KeyOnManager = std::tuple<std::uint32_t, std::uint16_t, std::string>;
    struct Part {
        const persist::FileReader* file;
        const Extent* extent;
    };

    ShardId shard_of(const Record& record) const {
        return ddict::shard_of(hash_of(record.key), record.placement, managers_);
    }
    static KeyOnManager key_on(std::uint32_t manager, const Record& record) {
        return {manager, record.key.type(), std::string(text_of(record.key))};
    }

    template <class F>
    Result<void> for_each_extent(SharedProgress& progress, F&& f) const {
        return client::in_parallel(extents_.size(), options_.threads, progress, [&](std::size_t i) {
            persist::ExtentBuffer buffer;
            const Part& part = extents_[i];
            const Result<Bytes> records = part.file->read(*part.extent, buffer);
            return records ? f(*records, *part.extent) : records.error();
        });
    }
    template <class F>
    static Result<void> for_each_record(Bytes bytes, F&& f) {
        persist::RecordReader records(bytes);
        for (Record record; records.next(record);) {
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
        return for_each_extent(progress, [&](Bytes records, const Extent&) {
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

    const std::shared_ptr<Attachment> attachment_;
    const persist::Checkpoint& checkpoint_;
    const LoadOptions& options_;
    const std::uint32_t managers_;
    std::vector<persist::FileReader> files_;
    std::vector<Part> extents_;
    std::mutex mutex_;               // guards what follows while extents are read
    std::set<KeyOnManager> placed_;  // keys placed by hand, where they belong now
};

}  // namespace

Result<CheckpointInfo> Dictionary::try_load(std::string_view path, const LoadOptions& options) const {
    if (const Result<void> good = check_attached(); !good) return good.error();
    const Result<persist::Checkpoint> checkpoint = persist::find_checkpoint(path);
    if (!checkpoint) return checkpoint.error();
    CheckpointLoad load(attachment(), *checkpoint, options);
    if (const Result<void> opened = load.open(); !opened) return opened.error();
    const Result<std::vector<std::uint64_t>> needs = load.measure();
    if (!needs) return needs.error();
    const Result<std::vector<ManagerStats>> stats = try_stats();
    if (!stats) return stats.error();
    if (const Result<void> fits = load.check_that_it_fits(*needs, *stats); !fits) return fits.error();
    if (const Result<void> stored = load.store(); !stored) {
        Error error = stored.error();
        error.in_doubt = true;
        return error;
    }
    return client::info_of(*checkpoint);
}

}  // namespace ddict
