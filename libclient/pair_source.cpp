// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/pair_source.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "cluster/placement.h"
#include "libclient/manager_pages.h"
#include "persist/record.h"
#include "wire/stats.h"

namespace ddict::client {
namespace {

// Of one part, more or less: what a thread holds at once, besides the largest value.
constexpr std::uint64_t part_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t parts_of_manager_max = 65'536;

void append(const persist::Record& record, std::vector<std::byte>& out) {
    const std::size_t begin = out.size();
    const std::size_t front = persist::record_front_bytes(record);
    out.resize(begin + front + record.value.size());
    persist::write_record_front(record, record.value.size(), out.data() + begin);
    if (!record.value.empty())
        std::memcpy(out.data() + begin + front, record.value.data(), record.value.size());
}

}  // namespace

Result<void> CheckpointSource::open() {
    for (const persist::CommittedFile& file : checkpoint_.commit.files) {
        Result<persist::FileReader> reader = persist::FileReader::open(
            persist::Place(checkpoint_.folder, checkpoint_.store), checkpoint_.commit, file, open_files_);
        if (!reader) return reader.error();
        files_.push_back(*std::move(reader));
    }
    for (const persist::FileReader& file : files_) {
        for (const persist::Extent& extent : file.extents())
            extents_.push_back({&file, &extent});
    }
    return {};
}

Result<void> LiveSource::open() {
    for (std::uint32_t manager = 0; manager < attachment_->manager_count(); ++manager) {
        PageSink page;
        Request request;
        request.verb = wire::Verb::stats;
        request.shard = ShardId{manager};
        request.sink = &page;
        const Result<Reply> reply = attachment_->call(request, {.timeout = attachment_->timeout()});
        if (!reply) return reply.error();
        ManagerStats stats;
        if (!unpack(page.page(), stats)) return Error(Errc::protocol).set_manager(manager);
        Result<KeySet> broadcasts = ManagerPages(*attachment_, ShardId{manager}, checkpoint_).broadcasts();
        if (!broadcasts) return broadcasts.error();
        broadcasts_.push_back(*std::move(broadcasts));
        const std::uint64_t pairs_bytes = stats.used_bytes - std::min(stats.used_bytes, stats.index_bytes);
        const std::uint64_t count =
            std::clamp<std::uint64_t>(pairs_bytes / part_bytes, 1, parts_of_manager_max);
        const std::uint64_t width = ~std::uint64_t{0} / count;
        for (std::uint64_t i = 0; i < count; ++i) {
            const bool is_last = i + 1 == count;
            parts_.push_back({.manager = manager,
                              .first = i * width,
                              .last = is_last ? ~std::uint64_t{0} : (i + 1) * width - 1,
                              .bytes = pairs_bytes / count});
        }
        bytes_ += pairs_bytes / count * count;
    }
    return {};
}

Result<Bytes> LiveSource::read(std::size_t part, persist::ExtentBuffer& buffer) const {
    const Part& wanted = parts_[part];
    ManagerPages pages(*attachment_, ShardId{wanted.manager}, checkpoint_);
    AloneSink alone;
    std::vector<std::byte> records;
    std::uint64_t cursor = wanted.first;
    for (bool more = true; more;) {
        constexpr auto flags = static_cast<std::uint16_t>(wire::scan_values | wire::scan_placements);
        const Result<std::uint64_t> next = pages.ask(flags, cursor);
        if (!next.has_value()) return next.error();
        wire::ItemReader items = pages.items();
        for (wire::PackedPair pair; items.pair(pair);) {
            const std::uint64_t hash = shard_hash(hash_of(pair.key));
            if (hash < wanted.first || hash > wanted.last) continue;
            persist::Record record{.key = pair.key,
                                   .value = pair.value,
                                   .value_type = pair.value_type,
                                   .placement = pair.placement,
                                   .broadcast = broadcasts_[wanted.manager].contains(pair.key),
                                   .transient = pair.transient};
            if (pair.ask_alone) {
                const Result<std::uint16_t> type = pages.value(pair.key, alone);
                if (!type.has_value() && type.error().code == Errc::not_found) continue;  // erased meanwhile
                if (!type.has_value()) return type.error();
                record.value = alone.value;
                record.value_type = *type;
            }
            append(record, records);
        }
        if (!items.at_end() || (*next != 0 && *next < cursor)) return pages.malformed();
        cursor = *next;
        more = cursor != 0 && cursor <= wanted.last;
    }
    const MutableBytes to = buffer.of(std::max<std::size_t>(records.size(), 1));
    if (!records.empty()) std::memcpy(to.data(), records.data(), records.size());
    return Bytes(to.first(records.size()));
}

}  // namespace ddict::client
