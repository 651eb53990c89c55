// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "shm/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/assert.h"
#include "base/hex.h"
#include "cluster/directory.h"
#include "os/file_descriptor.h"
#include "shm/kept_dictionary.h"

namespace ddict::shm {
namespace {

namespace bip = boost::interprocess;

// Where glibc's shm_open, and so Boost.Interprocess, keeps shared memory on Linux.
constexpr const char* shared_memory_folder = "/dev/shm";
constexpr std::string_view name_prefix = "ddict-";
constexpr std::string_view directory_suffix = "-directory";
constexpr std::string_view kept_suffix = "-kept";
constexpr std::string_view socket_suffix = "-socket";
constexpr std::string_view reply_suffix = "-replies";
constexpr std::size_t hex_digits = 16;
// Reserving memory can be interrupted by a signal, and then starts again: in pieces, so that it gets on.
constexpr std::uint64_t reserve_step_bytes = std::uint64_t{64} << 20;
// Of stat(2), whatever the file system's are.
constexpr std::uint64_t stat_block_bytes = 512;

std::string path_of(const std::string& name) {
    return std::string(shared_memory_folder) + "/" + name;
}

/// What Boost.Interprocess maps.
struct OpenFile {
    os::FileDescriptor fd{-1};
    bip::mode_t mode = bip::read_only;

    bip::mapping_handle_t get_mapping_handle() const { return {fd.fd(), false}; }
    bip::mode_t get_mode() const { return mode; }
};

/// What to do where the kernel's word does not say it.
std::string_view advice(int code) {
    struct statvfs info {};
    switch (code) {
        case ENOMEM:
            return "; this process may not map so much (ulimit -v), or so many files (vm.max_map_count)";
        case ENOSPC:
            if (::statvfs(shared_memory_folder, &info) != 0 || info.f_files == 0 || info.f_favail != 0)
                return "";
            return "; it has no inode left (df -i /dev/shm): remove files there, or mount it with more "
                   "(nr_inodes)";
        default:
            return "";
    }
}

Error system_error(int code, const std::string& what) {
    const Errc kind = code == EACCES || code == EPERM ? Errc::access_denied
                      : code == ENOENT                ? Errc::dictionary_gone
                      : code == ENOSPC                ? Errc::no_space
                                                      : Errc::system;
    return Error(kind, what + ": " + std::generic_category().message(code) + std::string(advice(code)));
}

Error boost_error(const bip::interprocess_exception& e, const std::string& what) {
    return e.get_native_error() != 0 ? system_error(e.get_native_error(), what)
                                     : Error(Errc::system, what + ": " + e.what());
}

Error no_space(const std::string& name, std::uint64_t need, std::uint64_t have) {
    return Error(
               Errc::no_space,
               "/dev/shm has no space for " + name + ": it needs " + std::to_string(need >> 20) + " MiB, " +
                   std::to_string(have >> 20) +
                   " MiB are free; ask for less memory, see what else lies in /dev/shm, or have it enlarged")
        .set_operation(Operation::create)
        .set_bytes(need, have);
}

/// Beyond it the kernel ends the process (SIGXFSZ).
Result<void> check_file_limit(std::uint64_t bytes) {
    rlimit file_bytes{};
    if (::getrlimit(RLIMIT_FSIZE, &file_bytes) != 0 || bytes <= file_bytes.rlim_cur) return {};
    return Error(Errc::no_space, "files may have " + std::to_string(file_bytes.rlim_cur) +
                                     " bytes at the most (ulimit -f), and memory in /dev/shm is a file of " +
                                     std::to_string(bytes) + ": raise that limit")
        .set_operation(Operation::create)
        .set_bytes(bytes, file_bytes.rlim_cur);
}

/// Reserves [from, to) of the file. Memory, not just a size: no access to it can fail later. What is reserved
/// already needs no more. Also if it fails, `reached` is how far it has come.
Result<void> reserve_file(int fd, const std::string& name, std::uint64_t from, std::uint64_t to,
                          std::uint64_t* reached = nullptr) {
    if (const Result<void> permitted = check_file_limit(to); !permitted) return permitted;
    for (std::uint64_t at = from; at < to;) {
        const std::uint64_t bytes = std::min(reserve_step_bytes, to - at);
        const int code = ::posix_fallocate(fd, static_cast<off_t>(at), static_cast<off_t>(bytes));
        if (code == EINTR) continue;
        if (code == ENOSPC) return no_space(name, to - from, shared_memory_free_bytes().value_or(0));
        if (code != 0)
            return system_error(code, "reserving memory in /dev/shm").set_operation(Operation::create);
        at += bytes;
        if (reached != nullptr) *reached = at;
    }
    return {};
}

/// Of a file's bytes, those that are not there.
std::uint64_t missing_of(const struct stat& info) noexcept {
    const auto there = static_cast<std::uint64_t>(info.st_blocks) * stat_block_bytes;
    return static_cast<std::uint64_t>(info.st_size) -
           std::min(static_cast<std::uint64_t>(info.st_size), there);
}

/// Without this question the kernel would take all that is there before it gives up.
Result<void> check_free(const std::string& name, std::uint64_t bytes) {
    const Result<std::uint64_t> have = shared_memory_free_bytes();
    if (!have) return have.error();
    return bytes > *have ? no_space(name, bytes, *have) : Result<void>();
}

/// Of a file of this size, of which nothing is there yet.
Result<void> prepare_file(int fd, const std::string& name, std::uint64_t bytes, const Preparation& prepare) {
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return system_error(errno, "mapping " + name).set_operation(Operation::create);
    prepare(static_cast<std::byte*>(at), bytes);
    ::munmap(at, bytes);
    return {};
}

/// Whether somebody holds the creator's lock on the file behind this descriptor.
bool is_locked(int fd) {
    if (::flock(fd, LOCK_SH | LOCK_NB) != 0) return true;
    ::flock(fd, LOCK_UN);
    return false;
}

struct SegmentName {
    std::string id;  // hex digits
    bool directory = false;
    bool stays_if_kept = false;  // what a dictionary that is kept goes on with
};

/// What the name of a dictionary's segment, or socket, says; nothing if it is none.
std::optional<SegmentName> parse(std::string_view name) {
    if (!name.starts_with(name_prefix) || name.size() <= name_prefix.size() + hex_digits) return std::nullopt;
    const std::string_view id = name.substr(name_prefix.size(), hex_digits);
    if (id.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
    std::string_view rest = name.substr(name_prefix.size() + hex_digits);
    const bool directory = rest == directory_suffix;
    const bool kept = rest == kept_suffix;
    const bool socket = rest.ends_with(socket_suffix);
    for (const std::string_view suffix : {socket_suffix, reply_suffix})
        if (rest.ends_with(suffix)) rest.remove_suffix(suffix.size());
    const bool pool = rest.size() > 2 && rest.starts_with("-m") &&
                      rest.find_first_not_of("0123456789", 2) == std::string_view::npos;
    if (!directory && !pool && !kept) return std::nullopt;
    return SegmentName{std::string(id), directory, !directory && !socket};
}

bool is_own_file(int folder, const char* name) {
    struct stat info {};
    return ::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           (S_ISREG(info.st_mode) || S_ISSOCK(info.st_mode)) && info.st_uid == ::geteuid();
}

bool owner_lives(int folder, const std::string& id) {
    const std::string name = std::string(name_prefix) + id + std::string(directory_suffix);
    struct stat info {};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno != ENOENT;                    // if in doubt, leave it
    if (info.st_uid != ::geteuid()) return false;  // somebody else has taken the name since: ours is gone
    const os::FileDescriptor fd(
        ::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd.is_open()) return errno != ENOENT;
    return is_locked(fd.fd());
}

/// A segment of this user that is there; `info` is what is known of its file.
Result<os::FileDescriptor> open_file(const std::string& name, Access access, const std::string& what,
                                     struct stat& info) {
    // Anybody may have put anything there under this name: a pipe, which keeps who opens it, or a link.
    const int flags = (access == Access::read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    os::FileDescriptor fd(::open(path_of(name).c_str(), flags));
    if (!fd.is_open()) {
        const bool foreign = errno == ELOOP || errno == ENXIO || errno == EISDIR;
        return system_error(foreign ? EACCES : errno, what);
    }
    if (::fstat(fd.fd(), &info) != 0) return system_error(errno, what);
    if (info.st_uid != ::geteuid())
        return Error(Errc::access_denied,
                     what + ": it is another user's (" + std::to_string(info.st_uid) + ")");
    if (!S_ISREG(info.st_mode)) return Error(Errc::access_denied, what + ": it is no file");
    if (info.st_size == 0) return Error(Errc::protocol, what + ": it is empty");
    return fd;
}

Error name_is_taken(const std::string& name) {
    struct stat info {};
    const bool foreign = ::lstat(path_of(name).c_str(), &info) == 0 && info.st_uid != ::geteuid();
    Error error = foreign
                      ? Error(Errc::access_denied, "user " + std::to_string(info.st_uid) +
                                                       " has put a file in the place of " + path_of(name) +
                                                       ": start again, which chooses other names")
                      : Error(Errc::invalid_argument, "there is a segment of the name " + name + " already");
    return error.set_operation(Operation::create);
}

}  // namespace

struct Segment::State {
    std::string name;
    OpenFile file;
    bip::mapped_region region;
    os::FileDescriptor owner_lock{
        -1};  // of the creator; separate, so that has_owner() sees it like anyone else

    mutable std::atomic<std::uint64_t> reserved_bytes{0};

    int fd() const { return file.fd.fd(); }
    void note_reserved(std::uint64_t from, std::uint64_t to) const {
        std::uint64_t known = reserved_bytes.load(std::memory_order_relaxed);
        while (from <= known && known < to && !reserved_bytes.compare_exchange_weak(known, to)) {
        }
    }
};

Segment::Segment(std::unique_ptr<State> state) : state_(std::move(state)) {}
Segment::Segment(Segment&& other) noexcept = default;
Segment& Segment::operator=(Segment&& other) noexcept = default;
Segment::~Segment() = default;

std::string pool_segment_name(std::uint64_t dictionary_id, std::uint32_t manager) {
    return std::string(name_prefix) + hex(dictionary_id) + "-m" + std::to_string(manager);
}

std::string socket_path(const std::string& pool_segment_name) {
    return path_of(pool_segment_name + std::string(socket_suffix));
}

std::string reply_segment_name(const std::string& pool_segment_name) {
    return pool_segment_name + std::string(reply_suffix);
}

bool remove_socket(const std::string& pool_segment_name) {
    return ::unlink(socket_path(pool_segment_name).c_str()) == 0;
}

std::string directory_segment_name(std::uint64_t dictionary_id) {
    return std::string(name_prefix) + hex(dictionary_id) + std::string(directory_suffix);
}

std::string kept_segment_name(std::uint64_t dictionary_id) {
    return std::string(name_prefix) + hex(dictionary_id) + std::string(kept_suffix);
}

Result<Segment> Segment::create(const std::string& name, std::uint64_t bytes, const Preparation& prepare) {
    return create_sparse(name, bytes, bytes, prepare);
}

Result<Segment> Segment::create_sparse(const std::string& name, std::uint64_t bytes,
                                       std::uint64_t reserved_bytes, const Preparation& prepare) {
    const auto refuse = [&](int code, const std::string& what) {
        return system_error(code, what).set_operation(Operation::create);
    };
    if (bytes == 0 || name.empty() || name.size() > NAME_MAX || name.find('/') != std::string::npos)
        return Error(Errc::invalid_argument, "a segment needs a plain name and a size")
            .set_operation(Operation::create);
    // A file without a name; it gets one when all is ready.
    os::FileDescriptor fd(::open(shared_memory_folder, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!fd.is_open()) return refuse(errno, "creating shared memory in /dev/shm");
    if (::fchmod(fd.fd(), S_IRUSR | S_IWUSR) != 0 || ::flock(fd.fd(), LOCK_EX | LOCK_NB) != 0)
        return refuse(errno, "preparing shared memory in /dev/shm");
    if (const Result<void> enough = check_free(name, reserved_bytes); !enough) return enough.error();
    if (const Result<void> permitted = check_file_limit(bytes); !permitted) return permitted.error();
    if (::ftruncate(fd.fd(), static_cast<off_t>(bytes)) != 0)
        return refuse(errno, "giving shared memory its size");
    if (prepare) {
        if (const Result<void> done = prepare_file(fd.fd(), name, bytes, prepare); !done) return done.error();
    }
    if (const Result<void> done = reserve_file(fd.fd(), name, 0, reserved_bytes); !done) return done.error();
    const std::string unnamed = "/proc/self/fd/" + std::to_string(fd.fd());
    if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path_of(name).c_str(), AT_SYMLINK_FOLLOW) != 0) {
        if (errno == EEXIST) return name_is_taken(name);
        return refuse(errno, "giving shared memory the name " + name);
    }
    Result<Segment> segment = open(name, Access::read_write);
    if (!segment) {
        ::unlink(path_of(name).c_str());
        return segment.error();
    }
    segment->state_->note_reserved(0, reserved_bytes);
    segment->state_->owner_lock = std::move(fd);
    return segment;
}

Result<Segment> Segment::open(const std::string& name, Access access) {
    const std::string what = "opening the shared memory " + name;
    struct stat info {};
    Result<os::FileDescriptor> fd = open_file(name, access, what, info);
    if (!fd) return fd.error().set_operation(Operation::attach);
    try {
        auto state = std::make_unique<State>();
        state->name = name;
        state->file.fd = *std::move(fd);
        state->file.mode = access == Access::read_only ? bip::read_only : bip::read_write;
        state->region = bip::mapped_region(state->file, state->file.mode);
        if (missing_of(info) == 0) state->note_reserved(0, static_cast<std::uint64_t>(info.st_size));
        return Segment(std::move(state));
    } catch (const bip::interprocess_exception& e) {
        return boost_error(e, what).set_operation(Operation::attach);
    }
}

struct SegmentPart::State {
    bip::mapped_region region;
};

SegmentPart::SegmentPart(std::unique_ptr<State> state) : state_(std::move(state)) {}
SegmentPart::SegmentPart(SegmentPart&& other) noexcept = default;
SegmentPart& SegmentPart::operator=(SegmentPart&& other) noexcept = default;
SegmentPart::~SegmentPart() = default;

Result<SegmentPart> SegmentPart::open(const std::string& name, std::uint64_t offset, std::uint64_t bytes) {
    const std::string what = "opening a part of the shared memory " + name;
    struct stat info {};
    Result<os::FileDescriptor> fd = open_file(name, Access::read_write, what, info);
    if (!fd) return fd.error().set_operation(Operation::attach);
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (bytes == 0 || size < bytes || size - bytes < offset)
        return Error(Errc::protocol, what + ": it is too small").set_operation(Operation::attach);
    try {
        const OpenFile file{.fd = *std::move(fd), .mode = bip::read_write};
        auto state = std::make_unique<State>();
        state->region = bip::mapped_region(file, file.mode, static_cast<bip::offset_t>(offset), bytes);
        return SegmentPart(std::move(state));
    } catch (const bip::interprocess_exception& e) {
        return boost_error(e, what).set_operation(Operation::attach);
    }
}

std::byte* SegmentPart::data() const noexcept {
    return static_cast<std::byte*>(state_->region.get_address());
}

bool Segment::remove(const std::string& name) {
    return ::unlink(path_of(name).c_str()) == 0;
}

Result<void> Segment::add_name(const std::string& name, const std::string& second) {
    if (::link(path_of(name).c_str(), path_of(second).c_str()) == 0) return {};
    if (errno == EEXIST) return name_is_taken(second);
    return system_error(errno, "giving the shared memory " + name + " another name")
        .set_operation(Operation::create);
}

std::byte* Segment::data() const noexcept {
    return static_cast<std::byte*>(state_->region.get_address());
}
std::uint64_t Segment::size() const noexcept {
    return state_->region.get_size();
}
const std::string& Segment::name() const noexcept {
    return state_->name;
}

Result<void> Segment::grow(std::uint64_t bytes) {
    DDICT_ASSERT(state_->owner_lock.is_open(), "only the creator of a segment makes it larger");
    const std::uint64_t before = size();
    if (bytes <= before) return {};
    const int fd = state_->owner_lock.fd();
    Result<void> done = check_free(name(), bytes - before);
    if (done) done = reserve_file(fd, name(), before, bytes);
    if (done) {
        try {
            bip::mapped_region larger(state_->file, bip::read_write);
            state_->region.swap(larger);
            return {};
        } catch (const bip::interprocess_exception& e) {
            done = boost_error(e, "mapping " + name()).set_operation(Operation::create);
        }
    }
    if (::ftruncate(fd, static_cast<off_t>(before)) != 0)
        return system_error(errno, "shrinking " + name()).set_operation(Operation::create);
    return done;
}

std::uint64_t Segment::missing_bytes() const {
    struct stat info {};
    return ::fstat(state_->fd(), &info) == 0 ? missing_of(info) : size();
}

/// What is there is the beginning, but for little (Pool::create_sparse_segment()).
Result<void> Segment::reserve(std::uint64_t from, std::uint64_t to) const {
    const std::uint64_t there = std::clamp(size() - missing_bytes(), from, to);
    if (const Result<void> enough = check_free(name(), to - there); !enough) return enough;
    std::uint64_t reached = from;
    Result<void> done = reserve_file(state_->fd(), name(), from, to, &reached);
    state_->note_reserved(from, reached);
    return done;
}

std::uint64_t Segment::reserved_bytes() const noexcept {
    return state_->reserved_bytes.load(std::memory_order_acquire);
}

bool Segment::has_owner() const {
    return is_locked(state_->fd());
}

Result<void> Segment::own() {
    const std::string what = "taking over the shared memory " + name();
    os::FileDescriptor fd(::open(path_of(name()).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd.is_open()) return system_error(errno, what).set_operation(Operation::create);
    if (::flock(fd.fd(), LOCK_EX | LOCK_NB) != 0)
        return Error(Errc::busy, what + ": another process has it").set_operation(Operation::create);
    // Whoever had it before may have taken the name away meanwhile.
    struct stat mapped {};
    struct stat named {};
    const bool same = ::fstat(state_->fd(), &mapped) == 0 && ::lstat(path_of(name()).c_str(), &named) == 0 &&
                      mapped.st_ino == named.st_ino && mapped.st_dev == named.st_dev;
    if (!same) return Error(Errc::dictionary_gone, what + ": it has gone").set_operation(Operation::create);
    state_->owner_lock = std::move(fd);
    return {};
}

/// Cannot hit a dictionary that is only being made: its directory segment is locked before it has a name, and
/// comes before all others; so whatever has a name by the time the folder is listed has a locked directory by
/// the time that is looked for.
std::vector<std::string> remove_stale_segments() {
    std::vector<std::string> removed;
    DIR* folder = ::opendir(shared_memory_folder);
    if (folder == nullptr) return removed;
    std::map<std::string, std::vector<std::string>> names_by_id;  // of one dictionary: the directory last
    while (const dirent* entry = ::readdir(folder)) {
        const std::optional<SegmentName> name = parse(entry->d_name);
        if (!name || !is_own_file(::dirfd(folder), entry->d_name)) continue;
        std::vector<std::string>& names = names_by_id[name->id];
        names.insert(name->directory ? names.end() : names.begin(), entry->d_name);
    }
    for (const auto& [id, names] : names_by_id) {
        if (owner_lives(::dirfd(folder), id)) continue;
        // In this order: the owner makes the mark before it goes.
        const bool kept = is_kept(std::string(name_prefix) + id + std::string(kept_suffix));
        for (const std::string& name : names) {
            if (kept && parse(name)->stays_if_kept) continue;
            if (::unlinkat(::dirfd(folder), name.c_str(), 0) == 0) removed.push_back(name);
        }
    }
    ::closedir(folder);
    return removed;
}

Result<std::uint64_t> shared_memory_free_bytes() {
    struct statvfs info {};
    if (::statvfs(shared_memory_folder, &info) != 0) return system_error(errno, "looking at /dev/shm");
    if (info.f_blocks != 0) return std::uint64_t{info.f_bavail} * info.f_frsize;
    // A tmpfs without a limit of its own.
    return static_cast<std::uint64_t>(::sysconf(_SC_AVPHYS_PAGES)) *
           static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace ddict::shm
