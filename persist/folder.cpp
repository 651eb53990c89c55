// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "persist/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <thread>

#include "persist/file.h"

namespace ddict::persist {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr std::chrono::seconds lock_timeout{10};
constexpr std::chrono::milliseconds between_tries{10};

enum class Lock { taken, held, unsupported };

Lock try_lock(const os::FileDescriptor& file) {
    while (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return Lock::held;
        if (errno != EINTR) return Lock::unsupported;
    }
    return Lock::taken;
}

/// Unlocked, where the file system has no locks.
Result<FileLock> lock_within(os::FileDescriptor file, const fs::path& path) {
    const auto deadline = steady_clock::now() + lock_timeout;
    for (;;) {
        const Lock lock = try_lock(file);
        if (lock != Lock::held) return FileLock(lock == Lock::taken ? std::move(file) : os::FileDescriptor());
        if (steady_clock::now() >= deadline)
            return Error(Errc::timeout, "for 10 s another process has held " + path.string());
        std::this_thread::sleep_for(between_tries);
    }
}

Result<os::FileDescriptor> open_lock(const fs::path& path, int flags) {
    os::FileDescriptor file = open_no_link(path, flags);
    if (!file.is_open()) return file_error(errno, "opening", path);
    return file;
}

bool is_of_checkpoint(const fs::path& file) {
    const std::string name = file.filename().string();
    unsigned manager = 0;
    int end = 0;
    return name == commit_name || name == new_commit_name || name == writing_name ||
           (std::sscanf(name.c_str(), "manager-%u.ddict%n", &manager, &end) == 1 &&
            name == file_name(manager));
}

/// Whether a folder is there; `absent` for a file, too, and then errno is 0. `unknown`: errno says why, which
/// is ENOENT for a link whose target is not there.
Presence folder_at(const fs::path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
        errno = 0;
        return S_ISDIR(status.st_mode) ? Presence::there : Presence::absent;
    }
    if (errno != ENOENT) return Presence::unknown;
    if (::lstat(path.c_str(), &status) != 0) return errno == ENOENT ? Presence::absent : Presence::unknown;
    errno = ENOENT;
    return Presence::unknown;
}

Result<void> unlink(const fs::path& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return file_error(errno, "removing", path);
    return {};
}

}  // namespace

std::string folder_name(std::string_view dictionary) {
    std::string name;
    for (const char c : dictionary) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '-' || c == '_' || (c == '.' && !name.empty());
        char hex[4];
        std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
        name += plain ? std::string(1, c) : std::string(hex);
    }
    // One that looks like a checkpoint's is none.
    if (generation_of(name)) {
        char hex[4];
        std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(name[0])));
        name.replace(0, 1, hex);
    }
    return name.empty() ? "default" : name;
}

std::string generation_name(std::uint64_t generation) {
    char name[24];
    std::snprintf(name, sizeof name, "%06llu", static_cast<unsigned long long>(generation));
    return name;
}

std::optional<std::uint64_t> generation_of(const fs::path& folder) {
    const std::string name = folder.filename().string();
    std::uint64_t generation = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), generation);
    if (error != std::errc() || name != generation_name(generation)) return std::nullopt;
    return generation;
}

Result<std::vector<Subfolder>> folders_in(const fs::path& folder) {
    std::error_code error;
    fs::directory_iterator entry(folder, error);
    std::vector<Subfolder> folders;
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
        const fs::path& path = entry->path();
        if (path.filename().string().starts_with('.')) continue;
        switch (folder_at(path)) {
            case Presence::there:
                folders.push_back({path});
                break;
            case Presence::unknown:
                folders.push_back({path, file_error(errno, "looking at", path)});
                break;
            case Presence::absent:  // a file, or removed meanwhile
                break;
        }
    }
    if (error == std::errc::no_such_file_or_directory)
        return Error(Errc::not_found, "there is no folder " + folder.string());
    if (error) return file_error(error.value(), "reading the folder", folder);
    std::sort(folders.begin(), folders.end(),
              [](const Subfolder& a, const Subfolder& b) { return a.path < b.path; });
    return folders;
}

Result<void> require_never_made(const fs::path& folder) {
    fs::path above = folder;
    for (int level = 0; level < 3; ++level, above = above.parent_path()) {
        struct stat status {};
        if (::lstat(above.c_str(), &status) != 0) {
            if (errno == ENOENT) continue;
            return file_error(errno, "looking for", above);
        }
        // Here it is, and was not there to be read: a link to what is away, or a folder that has just come.
        if (level == 0) return file_error(ENOENT, "reading the folder", above);
        if (folder_at(above) == Presence::there) return {};
        return file_error(errno != 0 ? errno : ENOTDIR, "looking at", above);
    }
    return Error(Errc::system, "cannot find out what was saved to " + folder.parent_path().string() +
                                   ": the folder above it is not there either; is its file system mounted?");
}

Presence commit_in(const fs::path& folder) {
    struct stat status {};
    if (::lstat((folder / commit_name).c_str(), &status) == 0) return Presence::there;
    return errno == ENOENT ? Presence::absent : Presence::unknown;
}

bool has_files_of_checkpoint(const fs::path& folder) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        if (entry->path().filename() != commit_name && is_of_checkpoint(entry->path())) return true;
    }
    return read_commit(folder).has_value();
}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
    release();
    file_ = std::move(other.file_);
    return *this;
}

void FileLock::release() noexcept {
    if (!file_.is_open()) return;
    ::flock(file_.fd(), LOCK_UN);
    file_.reset();
}

Result<Commit> read_commit(const fs::path& folder) {
    const fs::path path = folder / commit_name;
    const Result<os::FileDescriptor> file = open_file(path);
    if (!file) return file.error();
    const Result<std::uint64_t> bytes = size_of(*file, path);
    if (!bytes) return bytes.error();
    if (*bytes > commit_bytes_max)
        return about(Error(Errc::protocol, "damaged: the commit file is too large"), path);
    std::vector<std::byte> content(*bytes);
    if (const Result<void> read = read_at(*file, 0, content, path); !read) return read.error();
    return commit_in_bytes(content, folder, path);
}

Result<Commit> commit_in_bytes(Bytes content, const fs::path& folder, const fs::path& path) {
    Result<Commit> commit = commit_of(content);
    if (!commit) return about(commit.error(), path);
    if (const auto generation = generation_of(folder); generation && *generation != commit->generation)
        return about(Error(Errc::protocol, "it is of generation " + std::to_string(commit->generation)),
                     path);
    return commit;
}

Holder holder_of(const fs::path& folder) {
    const os::FileDescriptor file = open_no_link(folder / writing_name);
    if (!file.is_open()) return errno == ENOENT ? Holder::none : Holder::unknown;
    switch (try_lock(file)) {
        case Lock::taken:
            ::flock(file.fd(), LOCK_UN);
            return Holder::nobody;
        case Lock::held:
            return Holder::somebody;
        default:
            return Holder::unknown;
    }
}

/// Whoever looks whether it is held holds it for a moment.
Result<FileLock> hold(const fs::path& folder) {
    const fs::path path = folder / writing_name;
    Result<os::FileDescriptor> file = open_lock(path, O_CREAT | O_EXCL);
    if (!file) return file.error();
    Result<FileLock> lock = lock_within(*std::move(file), path);
    if (!lock) static_cast<void>(unlink(path));
    return lock;
}

Result<FileLock> lock_folder(const fs::path& folder) {
    Result<os::FileDescriptor> file = open_lock(folder / lock_name, O_CREAT);
    if (!file) return file.error();
    return lock_within(*std::move(file), folder / lock_name);
}

/// The file that a save holds comes first, and goes last: what is left in between is a dead save's.
Result<void> remove_files(const fs::path& folder) {
    const os::FileDescriptor mark = open_no_link(folder / writing_name, O_CREAT);
    for (const char* first : {commit_name, new_commit_name}) {
        if (const Result<void> removed = unlink(folder / first); !removed) return removed;
    }
    if (const Result<void> synced = sync_folder(folder); !synced) return synced;
    std::error_code error;
    std::vector<fs::path> files;
    for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        if (is_of_checkpoint(entry->path()) && entry->path().filename() != writing_name)
            files.push_back(entry->path());
    }
    if (error) return file_error(error.value(), "reading the folder", folder);
    files.push_back(folder / writing_name);
    for (const fs::path& file : files) {
        if (const Result<void> removed = unlink(file); !removed) return removed;
    }
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
    if (errno == ENOTEMPTY || errno == EEXIST)
        return Error(Errc::invalid_argument,
                     "the checkpoint is removed, but something else is in " + folder.string());
    return file_error(errno, "removing", folder);
}

}  // namespace ddict::persist
