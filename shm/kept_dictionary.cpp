// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/kept_dictionary.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/hash.h"
#include "base/limits.h"
#include "shm/layout.h"

namespace ddict::shm {
namespace {

constexpr std::uint64_t kept_magic = 0x31'7470'656b'6464ULL;  // "ddkept1"
constexpr const char* folder_of_marks = "/dev/shm";
constexpr std::string_view prefix = "ddict-";
constexpr std::string_view suffix = "-kept";

struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

struct KeptHeader {
    AtomicWord magic;        // when all is there; written last
    std::uint64_t checksum;  // of what follows
    std::uint64_t dictionary_id;
    std::uint64_t pool_bytes;
    std::int64_t kept_at;
    std::uint32_t layout_version;  // of the pools
    std::uint32_t nodes;
    std::uint32_t managers_per_node;
    std::uint32_t first_manager;
    std::uint32_t working_set;
    std::uint32_t zero;
    char name[64];  // NUL-terminated
};
static_assert(sizeof(KeptHeader) == 128 && std::is_standard_layout_v<KeptHeader>);
static_assert(sizeof(KeptHeader::name) > limits::name_bytes_max && sizeof(KeptHeader) <= page_bytes);

std::uint64_t checksum_of(const KeptHeader& header) {
    constexpr std::size_t from = offsetof(KeptHeader, dictionary_id);
    return hash_of(std::as_bytes(std::span(&header, 1)).subspan(from));
}

/// Null if the segment is not well formed.
const KeptHeader* header_in(const Segment& segment) {
    if (segment.size() != page_bytes) return nullptr;
    const auto* header = reinterpret_cast<const KeptHeader*>(segment.data());
    const bool good = header->magic.load(std::memory_order_acquire) == kept_magic &&
                      header->checksum == checksum_of(*header) &&
                      segment.name() == kept_segment_name(header->dictionary_id) &&
                      header->name[sizeof header->name - 1] == '\0';
    return good ? header : nullptr;
}

Error not_known(const std::string& why, int error = 0) {
    return Error(Errc::system, "looking for what is kept in " + std::string(folder_of_marks) + ": " + why +
                                   (error != 0 ? std::string(": ") + std::strerror(error) : ""))
        .set_operation(Operation::attach);
}

/// What the mark of this name says; nothing if there is none of this user that is well formed, of whatever
/// version. system where that cannot be found out.
Result<std::optional<KeptDictionary>> look_at(const std::string& segment_name) {
    const std::string path = std::string(folder_of_marks) + "/" + segment_name;
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        if (errno == ENOENT) return std::optional<KeptDictionary>();
        return not_known("cannot look at " + segment_name, errno);
    }
    if (info.st_uid != ::geteuid() || !S_ISREG(info.st_mode)) return std::optional<KeptDictionary>();
    const Result<Segment> segment = Segment::open(segment_name, Access::read_only);
    if (segment) {
        Result<KeptDictionary> kept = read_kept(*segment);
        return kept ? std::optional(*std::move(kept)) : std::nullopt;
    }
    const Errc code = segment.error().code;
    if (code == Errc::dictionary_gone || code == Errc::protocol) return std::optional<KeptDictionary>();
    // Anything else says nothing of the segment: too few descriptors, or too little memory to map it.
    return not_known(segment.error().detail.data());
}

void remove_files_of(const std::string& pool_name) {
    Segment::remove(pool_name);
    Segment::remove(reply_segment_name(pool_name));
}

}  // namespace

bool KeptDictionary::is_of_this_version() const noexcept {
    return layout_version == pool_layout_version;
}

Result<void> keep(const KeptDictionary& dictionary) {
    Result<Segment> segment = Segment::create(kept_segment_name(dictionary.dictionary_id), page_bytes);
    if (!segment) return segment.error();
    auto& header = *reinterpret_cast<KeptHeader*>(segment->data());
    header.dictionary_id = dictionary.dictionary_id;
    header.pool_bytes = dictionary.pool_bytes;
    header.kept_at = dictionary.kept_at;
    header.layout_version = pool_layout_version;
    header.nodes = dictionary.nodes;
    header.managers_per_node = dictionary.managers_per_node;
    header.first_manager = dictionary.first_manager;
    header.working_set = dictionary.working_set.packed();
    std::memcpy(header.name, dictionary.name.data(),
                std::min(dictionary.name.size(), sizeof header.name - 1));
    header.checksum = checksum_of(header);
    header.magic.store(kept_magic, std::memory_order_release);
    return {};
}

Result<KeptDictionary> read_kept(const Segment& segment) {
    const KeptHeader* header = header_in(segment);
    if (header == nullptr)
        return Error(Errc::protocol, "segment " + segment.name() + " is damaged")
            .set_operation(Operation::create);
    KeptDictionary kept;
    kept.dictionary_id = header->dictionary_id;
    kept.name = header->name;
    kept.nodes = header->nodes;
    kept.managers_per_node = header->managers_per_node;
    kept.first_manager = header->first_manager;
    kept.working_set = WorkingSetSettings::of(header->working_set);
    kept.pool_bytes = header->pool_bytes;
    kept.kept_at = header->kept_at;
    kept.layout_version = header->layout_version;
    return kept;
}

bool is_kept(const std::string& segment_name) {
    const Result<std::optional<KeptDictionary>> mark = look_at(segment_name);
    return !mark.has_value() || mark->has_value();
}

Result<std::vector<KeptDictionary>> list_kept() {
    const std::unique_ptr<DIR, CloseFolder> folder(::opendir(folder_of_marks));
    if (folder == nullptr) return not_known("cannot list it", errno);
    std::vector<KeptDictionary> all;
    for (;;) {
        errno = 0;
        const dirent* const entry = ::readdir(folder.get());
        if (entry == nullptr && errno != 0) return not_known("cannot list it", errno);
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
        Result<std::optional<KeptDictionary>> mark = look_at(std::string(name));
        if (!mark.has_value()) return mark.error();
        if (*mark) all.push_back(**std::move(mark));
    }
    std::sort(all.begin(), all.end(), [](const KeptDictionary& a, const KeptDictionary& b) {
        return std::pair(a.kept_at, a.dictionary_id) < std::pair(b.kept_at, b.dictionary_id);
    });
    return all;
}

Result<void> discard_kept(std::uint64_t dictionary_id) {
    Result<Segment> segment = Segment::open(kept_segment_name(dictionary_id), Access::read_write);
    if (!segment) return segment.error();
    const Result<KeptDictionary> kept = read_kept(*segment);  // not well formed: what there is is stale
    if (const Result<void> owned = segment->own(); !owned) return owned;
    // First: what is killed behind this leaves nothing but what is stale.
    Segment::remove(segment->name());
    for (std::uint32_t i = 0; kept && i < kept->managers_per_node; ++i)
        remove_files_of(pool_segment_name(dictionary_id, kept->first_manager + i));
    return {};
}

}  // namespace ddict::shm
