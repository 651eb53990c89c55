// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A node's directory segment in which anything may stand: its readers end, and say nothing that no node
// launcher can have written; an entry that is written afterwards is read.
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "shm/directory_segment.h"
#include "shm/layout.h"
#include "tests/fuzz/fuzz_target.h"

using namespace ddict;
using namespace ddict::shm;

namespace {

constexpr std::uint32_t managers = 5;

DirectoryEntry entry_of(std::uint32_t shard) {
    DirectoryEntry entry;
    entry.shard = ShardId{shard};
    entry.node = "n" + std::to_string(shard);
    entry.process.pid = 100 + static_cast<std::int32_t>(shard);
    entry.address.assign(100 + shard, static_cast<std::byte>(shard));
    return entry;
}

std::vector<DirectoryEntry> entries() {
    std::vector<DirectoryEntry> all;
    for (std::uint32_t shard = 0; shard < managers; ++shard)
        all.push_back(entry_of(shard));
    return all;
}

std::uint64_t own_id() {
    return std::uint64_t{0xf055} << 48 | static_cast<std::uint64_t>(::getpid());
}

/// The segment of this process, with its name in /dev/shm until the process ends.
class Directory {
  public:
    Directory() : segment_(create_directory_segment(own_id()).value()) {
        write_directory(segment_, {.dictionary_id = own_id(), .first_local_manager = 1, .local_managers = 2},
                        entries())
            .value();
        whole_.assign(segment_.data(), segment_.data() + segment_.size());
    }
    ~Directory() { Segment::remove(segment_.name()); }

    Segment& segment() { return segment_; }
    MutableBytes memory() { return {segment_.data(), segment_.size()}; }
    MutableBytes slots() { return memory().subspan(sizeof(DirectorySegmentHeader)); }
    MutableBytes header() { return memory().first(sizeof(DirectorySegmentHeader)); }
    void reset() { std::copy(whole_.begin(), whole_.end(), segment_.data()); }

  private:
    Segment segment_;
    std::vector<std::byte> whole_;
};

void look_at_all(const DirectorySegment& directory) {
    // A damaged number of managers may be the highest: some of them will do.
    const std::uint32_t count = directory.manager_count();
    fuzz::require(count >= 1 && count <= 65536);
    for (std::uint32_t shard = 0; shard < std::min(count, managers + 1); ++shard) {
        const Result<DirectoryEntry> entry = directory.entry(ShardId{shard});
        if (!entry) {
            fuzz::require(entry.error().code == Errc::protocol);
            continue;
        }
        fuzz::require(number_of(entry->shard) == shard && entry->epoch != no_epoch);
        fuzz::require(static_cast<std::uint16_t>(entry->state) <= serving_state_last);
        fuzz::require(entry->reason.size() <= DirectoryEntry::reason_bytes_max);
        fuzz::require(entry->address.size() < directory_slot_bytes_max);
    }
    fuzz::require(directory.entry(ShardId{count}).error().code == Errc::invalid_argument);
}

/// The node launcher's own: its header is as it wrote it.
void replace_one(Directory& directory, fuzz::Input& input) {
    directory.reset();
    for (std::size_t times = input.below(4); times > 0; --times)
        fuzz::scribble(input, directory.slots());
    DirectoryEntry entry = entry_of(static_cast<std::uint32_t>(input.below(managers)));
    entry.epoch = Epoch{static_cast<std::uint32_t>(input.number())};
    if (entry.epoch == no_epoch) return;
    entry.address.resize(input.take<std::uint16_t>() % 600);
    const Result<bool> updated = update_entry(directory.segment(), entry);
    if (!updated.has_value()) return fuzz::require(updated.error().code == Errc::too_large);
    const Result<DirectorySegment> reader = DirectorySegment::open(own_id());
    const Result<DirectoryEntry> read = reader.value().entry(entry.shard);
    fuzz::require(read.has_value());  // written now, or newer than what was to be written
    fuzz::require(*updated ? read->epoch == entry.epoch && read->address == entry.address
                           : !is_newer(entry, *read));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Directory directory;
    fuzz::Input input(data, size);
    directory.reset();
    std::optional<DirectorySegment> earlier;
    if (input.flip()) {
        Result<DirectorySegment> opened = DirectorySegment::open(own_id());
        fuzz::require(opened.has_value());
        earlier.emplace(*std::move(opened));
    }
    const bool in_header = input.flip();
    if (input.below(3) == 0) {
        replace_one(directory, input);
        return 0;
    }
    while (!input.is_empty())
        fuzz::scribble(input, in_header && input.flip() ? directory.header() : directory.slots());
    if (earlier) {
        fuzz::require(earlier->manager_count() == managers);
        look_at_all(*earlier);
    }
    const Result<DirectorySegment> now = DirectorySegment::open(own_id());
    if (now) {
        look_at_all(*now);
    } else {
        const Errc code = now.error().code;
        fuzz::require(code == Errc::protocol || code == Errc::incompatible || code == Errc::dictionary_gone);
    }
    return 0;
}
