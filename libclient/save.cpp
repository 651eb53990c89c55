// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Dictionary::save(): a file for each manager. What is in this node's memory is read there, without a
// message, and so without the manager; the others are asked for their pairs, a page at a time.
#include <filesystem>
#include <memory>
#include <vector>

#include <ddict/dictionary.h>

#include "base/hash.h"
#include "base/value_buffer.h"
#include "cluster/placement.h"
#include "libclient/attachment.h"
#include "libclient/checkpoint_progress.h"
#include "libclient/chosen_checkpoint.h"
#include "libclient/manager_pages.h"
#include "os/environment.h"
#include "persist/file_writer.h"
#include "persist/new_checkpoint.h"
#include "shm/pool_walk.h"
#include "wire/items.h"

namespace ddict {
namespace {

using client::AloneSink;
using client::Attachment;
using client::KeySet;
using client::SharedProgress;
using persist::FileWriter;
using persist::Record;

/// Brings a value from this node's memory into a file, in pieces.
class FileSink final : public shm::PieceSink {
  public:
    FileSink(FileWriter& writer, std::uint64_t shard_hash, bool broadcast)
        : writer_(writer), shard_hash_(shard_hash), broadcast_(broadcast) {}

    Result<void> begin(const shm::Pair& pair, std::uint64_t value_bytes) override {
        const Record front{.key = pair.key,
                           .value_type = pair.value_type,
                           .placement = pair.placement,
                           .checkpoint = pair.checkpoint_id(),
                           .broadcast = broadcast_,
                           .transient = pair.is_transient()};
        value_bytes_ = value_bytes;
        is_large_ = value_bytes > persist::large_value_bytes;
        if (is_large_) return writer_.begin_large(front, value_bytes, shard_hash_);
        bytes_ = persist::record_front_bytes(front);
        const Result<std::byte*> memory = writer_.reserve(bytes_ + value_bytes);
        if (!memory) return memory.error();
        memory_ = *memory;
        persist::write_record_front(front, value_bytes, memory_);
        return {};
    }
    Result<void> piece(Bytes bytes) override {
        if (is_large_) return writer_.add_piece(bytes);
        std::memcpy(memory_ + bytes_, bytes.data(), bytes.size());
        bytes_ += bytes.size();
        return {};
    }
    Result<void> end(bool is_true) override {
        if (is_large_) return is_true ? writer_.keep_large() : writer_.drop_large();
        if (is_true) writer_.keep(bytes_, value_bytes_, shard_hash_);
        return {};
    }

  private:
    FileWriter& writer_;
    const std::uint64_t shard_hash_;
    const bool broadcast_;
    bool is_large_ = false;
    std::uint64_t value_bytes_ = 0;
    std::byte* memory_ = nullptr;
    std::uint64_t bytes_ = 0;
};

/// The pairs of one manager, on their way into its file.
class ManagerSave {
  public:
    ManagerSave(Attachment& attachment, ShardId shard, std::uint32_t checkpoint, FileWriter& writer,
                SharedProgress& progress)
        : attachment_(attachment),
          shard_(shard),
          checkpoint_(checkpoint),
          pages_(attachment, shard, checkpoint),
          writer_(writer),
          progress_(progress) {}

    Result<void> run() {
        Result<KeySet> broadcasts = pages_.broadcasts();
        if (!broadcasts) return broadcasts.error();
        broadcasts_ = *std::move(broadcasts);
        std::uint64_t cursor = 0;
        if (const auto pool = attachment_.reads_here() ? attachment_.pools().whole(shard_) : nullptr) {
            const Result<bool> all = walk(pool, cursor);
            if (!all.has_value() || *all) return all.has_value() ? Result<void>() : all.error();
        }
        return ask(cursor);
    }

  private:
    bool tell() {
        const std::uint64_t bytes = writer_.value_bytes();
        const std::uint64_t pairs = writer_.pairs();
        const bool go_on = progress_.add(pairs - told_pairs_, bytes - told_bytes_);
        told_pairs_ = pairs;
        told_bytes_ = bytes;
        return go_on;
    }
    Error stopped() { return progress_.outcome() ? Error(Errc::timeout) : progress_.outcome().error(); }
    /// Whether all of them are saved; else `cursor` is where to go on by message.
    Result<bool> walk(const std::shared_ptr<const shm::PoolReader>& pool, std::uint64_t& cursor) {
        shm::PoolWalk walk(pool, checkpoint_);
        for (;;) {
            const Result<bool> more = walk.next();
            if (!more.has_value() && more.error().code != Errc::busy) return pages_.named(more.error());
            cursor = walk.cursor();
            if (!more.has_value()) return false;
            if (!*more) break;
            for (const shm::PoolWalk::Found& found : walk.pairs()) {
                if (const Result<void> saved = save(walk, found); !saved) return saved.error();
            }
            if (!tell()) return stopped();
        }
        // What a dead manager has left is not the dictionary.
        Request ping;
        ping.shard = shard_;
        const Result<Reply> alive = attachment_.call(ping, {.timeout = attachment_.timeout()});
        if (!alive) return alive.error();
        return true;
    }

    Result<void> save(shm::PoolWalk& walk, const shm::PoolWalk::Found& found) {
        const shm::Pair& pair = found.pair;
        // Copies of broadcasts are saved where their own is.
        if (shard_of(pair.hash, pair.placement, attachment_.manager_count()) != shard_) return {};
        const bool broadcast = !broadcasts_.empty() && broadcasts_.contains(pair.key);
        if (found.value_is_here) {
            return writer_.add({.key = pair.key,
                                .value = pair.value,
                                .value_type = pair.value_type,
                                .placement = pair.placement,
                                .checkpoint = pair.checkpoint_id(),
                                .broadcast = broadcast,
                                .transient = pair.is_transient()},
                               found.shard_hash);
        }
        // What changes while it is read would have to be taken back.
        if (!writer_.can_drop_large())
            return save_alone(
                {.key = pair.key, .placement = pair.placement, .transient = pair.is_transient()},
                found.shard_hash);
        FileSink sink(writer_, found.shard_hash, broadcast);
        Result<void> outcome;
        switch (walk.read(found, sink, outcome)) {
            case shm::Read::value:
                return outcome;
            case shm::Read::absent:
                return {};
            default:
                return save_alone(
                    {.key = pair.key, .placement = pair.placement, .transient = pair.is_transient()},
                    found.shard_hash);
        }
    }

    Result<void> ask(std::uint64_t cursor) {
        constexpr auto flags = static_cast<std::uint16_t>(wire::scan_values | wire::scan_placements);
        std::uint64_t last = cursor;
        do {
            const Result<std::uint64_t> next = pages_.ask(flags, cursor);
            if (!next.has_value()) return next.error();
            wire::ItemReader items = pages_.items();
            for (wire::PackedPair pair; items.pair(pair);) {
                const std::uint64_t hash = shard_hash(hash_of(pair.key));
                if (hash < std::exchange(last, hash)) return pages_.malformed();
                if (const Result<void> saved = save(pair, hash); !saved) return saved;
            }
            if (!items.at_end() || (*next != 0 && *next < cursor)) return pages_.malformed();
            cursor = *next;
            if (!tell()) return stopped();
        } while (cursor != 0);
        return {};
    }

    Result<void> save(const wire::PackedPair& pair, std::uint64_t hash) {
        if (pair.ask_alone)
            return save_alone({.key = pair.key, .placement = pair.placement, .transient = pair.transient},
                              hash);
        return writer_.add({.key = pair.key,
                            .value = pair.value,
                            .value_type = pair.value_type,
                            .placement = pair.placement,
                            .broadcast = broadcasts_.contains(pair.key),
                            .transient = pair.transient},
                           hash);
    }

    Result<void> save_alone(Record record, std::uint64_t hash) {
        const Result<std::uint16_t> type = pages_.value(record.key, alone_);
        if (!type.has_value() && type.error().code == Errc::not_found) return {};  // erased meanwhile
        if (!type.has_value()) return type.error();
        record.value = alone_.value;
        record.value_type = *type;
        record.broadcast = broadcasts_.contains(record.key);
        return writer_.add(record, hash);
    }

    Attachment& attachment_;
    const ShardId shard_;
    const std::uint32_t checkpoint_;
    client::ManagerPages pages_;
    FileWriter& writer_;
    SharedProgress& progress_;
    KeySet broadcasts_;
    AloneSink alone_;
    std::uint64_t told_pairs_ = 0;
    std::uint64_t told_bytes_ = 0;
};

Result<bool> is_to_compress(const SaveOptions& options) {
    return options.compress ? Result<bool>(*options.compress)
                            : os::flag_in_environment("DDICT_COMPRESS", false);
}

}  // namespace

Result<CheckpointInfo> Dictionary::try_save(std::string_view dir, const SaveOptions& options) const {
    const auto save = [&]() -> Result<CheckpointInfo> {
        if (const Result<void> good = check_attached(); !good) return good.error();
        Attachment& attachment = *this->attachment();
        const std::shared_ptr<CheckpointStore> store = attachment.checkpoint_store();
        std::error_code error;
        const persist::Place path(store ? std::filesystem::path(dir) : std::filesystem::absolute(dir, error),
                                  store.get());
        if (error || (dir.empty() && !store))
            return Error(Errc::invalid_argument, "a folder to save to is needed");
        const Result<bool> compress = is_to_compress(options);
        if (!compress.has_value()) return compress.error();
        // All of one checkpoint, whatever others go on to meanwhile.
        const Result<std::uint32_t> at = client::chosen_checkpoint(*this, options.checkpoint);
        if (!at.has_value()) return at.error();
        Result<persist::NewCheckpoint> checkpoint =
            persist::NewCheckpoint::begin(path, {.name = name(),
                                                 .dictionary_id = attachment.handle().dictionary_id,
                                                 .managers = manager_count(),
                                                 .checkpoint = *at});
        if (!checkpoint) return checkpoint.error();
        SharedProgress progress(options.progress, 0);
        std::vector<persist::CommittedFile> files(manager_count());
        const Result<void> saved = client::in_parallel(
            files.size(), options.threads, progress, [] { return 0; },
            [&](std::size_t i, int) -> Result<void> {
                const auto manager = static_cast<std::uint32_t>(i);
                Result<FileWriter> writer =
                    FileWriter::create(checkpoint->place(), checkpoint->header(manager), *compress);
                if (!writer) return writer.error();
                if (const Result<void> run =
                        ManagerSave(attachment, ShardId{manager}, *at, *writer, progress).run();
                    !run)
                    return run;
                Result<persist::CommittedFile> file = writer->finish();
                if (!file) return file.error();
                files[i] = *std::move(file);
                return {};
            });
        if (!saved) return saved.error();
        if (options.confirm) {
            if (const Result<void> confirmed = options.confirm(); !confirmed) return confirmed.error();
        }
        Result<persist::Commit> commit = checkpoint->commit(std::move(files));
        if (!commit) return commit.error();
        CheckpointInfo info = client::info_of({.folder = checkpoint->folder(), .commit = *commit});
        const Result<void> replaced =
            options.replaces ? persist::remove_superseded(path, *commit) : Result<void>();
        const Result<void> kept =
            options.keep > 0 ? persist::keep_newest(path, name(), options.keep) : Result<void>();
        for (const Result<void>* removed : {&replaced, &kept}) {
            if (!*removed) info.error = removed->error();
        }
        return info;
    };
    return client::outcome_of(Operation::save, save());
}

}  // namespace ddict
