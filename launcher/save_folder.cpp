// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/save_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/hex.h"
#include "launcher/progress_line.h"
#include "launcher/rendezvous_file.h"
#include "os/file_descriptor.h"
#include "persist/file.h"
#include "persist/folder.h"

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

using persist::owner_name;
constexpr std::size_t text_bytes_max = 4096;
constexpr milliseconds text_timeout{1'000};     // from the owner's lock to its text
constexpr milliseconds release_timeout{2'000};  // of a file system that does not answer
constexpr milliseconds between_looks{100};

Error failed(std::string_view doing, const std::string& path) {
    return Error(Errc::system, std::string(doing) + " " + path + ": " + std::strerror(errno));
}

/// What stands in the file of an owner. Anybody who may write there can have written it: it is only shown.
struct Owner {
    std::string job;  // empty: no Slurm
    std::string host;
    std::int64_t pid = 0;
    std::string boot_id;
};

std::string text_of_owner(const os::Environment& environment) {
    const ProcessRecord process = this_process();
    std::uint64_t random = 0;
    static_cast<void>(::getrandom(&random, sizeof random, 0));
    const nlohmann::json text{{"job", std::string(os::value_of(environment, "SLURM_JOB_ID"))},
                              {"host", process.host},
                              {"pid", process.pid},
                              {"boot_id", process.boot_id},
                              {"id", hex(random)}};
    return text.dump() + "\n";
}

/// Nothing that a terminal would take for more than text.
bool is_plain(const std::string& text) {
    return text.size() <= 64 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::optional<Owner> owner_of(const std::string& text) {
    const nlohmann::json fields = nlohmann::json::parse(text, nullptr, false);
    if (!fields.is_object()) return std::nullopt;
    const auto word = [&](const char* name) {
        const auto found = fields.find(name);
        const bool good = found != fields.end() && found->is_string() && is_plain(found->get<std::string>());
        return good ? found->get<std::string>() : std::string();
    };
    Owner owner{.job = word("job"), .host = word("host"), .boot_id = word("boot_id")};
    if (const auto pid = fields.find("pid"); pid != fields.end() && pid->is_number_integer())
        owner.pid = pid->get<std::int64_t>();
    if (owner.host.empty() || owner.pid <= 0) return std::nullopt;
    return owner;
}

std::string name_of(const std::string& text) {
    const std::optional<Owner> owner = owner_of(text);
    if (!owner) return "another process";
    return "another ddict-launch (" + (owner->job.empty() ? "" : "job " + owner->job + ", ") + "host " +
           owner->host + ", process " + std::to_string(owner->pid) + ")";
}

Error busy(const std::string& text) {
    return Error(Errc::busy, name_of(text) + " saves to the same folder under the same name");
}

/// The text, and when it was touched last; as the server has it, not as it was when it was opened.
struct Seen {
    std::string text;
    timespec touched{};
    bool is_as(const Seen& other) const {
        return text == other.text && touched.tv_sec == other.touched.tv_sec &&
               touched.tv_nsec == other.touched.tv_nsec;
    }
};

Result<Seen> look(const std::string& path) {
    const os::FileDescriptor file = persist::open_no_link(path);
    if (!file.is_open()) return persist::file_error(errno, "opening", path);
    Seen seen;
    struct stat status {};
    if (::fstat(file.fd(), &status) != 0) return failed("reading", path);
    seen.touched = status.st_mtim;
    std::array<char, text_bytes_max> text;
    const ssize_t got = ::pread(file.fd(), text.data(), text.size(), 0);
    if (got < 0) return failed("reading", path);
    seen.text.assign(text.data(), static_cast<std::size_t>(got));
    return seen;
}

/// Who holds the lock writes at once who that is.
Error busy_at(const std::string& path) {
    const auto deadline = steady_clock::now() + text_timeout;
    for (;;) {
        const Result<Seen> seen = look(path);
        if (!seen) return seen.error();
        if (owner_of(seen->text) || steady_clock::now() >= deadline) return busy(seen->text);
        std::this_thread::sleep_for(between_looks);
    }
}

/// Success when the owner that `before` names has died, or has said that it ended.
Result<void> wait_for_death(const std::string& path, const Seen& before, milliseconds dead_after) {
    say("waits up to " + std::to_string((dead_after.count() + 999) / 1000) + " s to see whether " +
        name_of(before.text) + " still saves to the same folder");
    const auto deadline = steady_clock::now() + dead_after;
    while (steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::min<milliseconds>(between_looks, dead_after));
        const Result<Seen> seen = look(path);
        if (!seen) return seen.error();
        if (seen->text.empty()) return {};
        if (!seen->is_as(before)) return busy(seen->text);
    }
    return {};
}

Result<void> write_text(const os::FileDescriptor& file, const std::string& text, const std::string& path) {
    const auto size = static_cast<off_t>(text.size());
    if (::pwrite(file.fd(), text.data(), text.size(), 0) != size || ::ftruncate(file.fd(), size) != 0 ||
        (::fdatasync(file.fd()) != 0 && errno != EINVAL))
        return failed("writing", path);
    return {};
}

/// A file that has other names too, from a copy of the folder by hard links or from somebody who wants
/// another file to be written over, is not written to: its name here goes to a new one.
Result<void> leave_other_names(os::FileDescriptor& file, const std::string& path) {
    struct stat status {};
    if (::fstat(file.fd(), &status) != 0) return failed("reading", path);
    if (status.st_nlink <= 1) return {};
    if (::unlink(path.c_str()) != 0) return failed("removing", path);
    file = persist::open_no_link(path, O_CREAT | O_EXCL);
    if (!file.is_open()) return persist::file_error(errno, "opening", path);
    if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return busy_at(path);
    return {};
}

}  // namespace

Result<void> prepare_save_folder(const std::string& folder) {
    const auto cannot = [&] {
        return Error(Errc::system, "cannot save to " + folder + ": " + std::strerror(errno));
    };
    struct stat status {};
    if (mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) return cannot();
    if (stat(folder.c_str(), &status) != 0) return cannot();
    errno = ENOTDIR;
    if (!S_ISDIR(status.st_mode) || access(folder.c_str(), W_OK | X_OK) != 0) return cannot();
    return {};
}

struct SaveFolder::State {
    std::string path;
    std::string text;
    os::FileDescriptor file;   // has the lock, where there are locks
    os::FileDescriptor event;  // readable: `taken_by` is another's
    std::mutex mutex;          // guards what follows
    std::condition_variable changed;
    std::string taken_by;
    bool is_to_end = false;
    bool has_ended = false;

    /// Whether it is still this one's. Errors: busy; system.
    Result<void> check() const {
        const Result<Seen> seen = look(path);
        if (!seen) return seen.error();
        return seen->text == text ? Result<void>() : busy(seen->text);
    }
};

SaveFolder::SaveFolder(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<SaveFolder> SaveFolder::take(const std::string& dir, const std::string& name,
                                    const os::Environment& environment, const Timing& timing) {
    const std::string folder = persist::folder_of(dir, name).string();
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) return failed("creating the folder", folder);
    auto state = std::make_shared<State>();
    state->path = std::filesystem::absolute(folder).string() + "/" + owner_name;
    state->file = persist::open_no_link(state->path, O_CREAT);
    if (!state->file.is_open()) return persist::file_error(errno, "opening", state->path);
    const bool is_locked = ::flock(state->file.fd(), LOCK_EX | LOCK_NB) == 0;
    if (!is_locked && errno == EWOULDBLOCK) return busy_at(state->path);
    const Result<Seen> last = look(state->path);
    if (!last) return last.error();
    if (!last->text.empty()) {
        const std::optional<Owner> owner = owner_of(last->text);
        const std::string boot_id = this_process().boot_id;
        const bool has_ended = is_locked && owner && !boot_id.empty() && owner->boot_id == boot_id;
        if (!has_ended) {
            const Result<void> dead = wait_for_death(state->path, *last, timing.dead_after);
            if (!dead) return dead.error();
        }
    }
    const Result<void> alone = leave_other_names(state->file, state->path);
    if (!alone) return alone.error();
    state->text = text_of_owner(environment);
    const Result<void> written = write_text(state->file, state->text, state->path);
    if (!written) return written.error();
    state->event = os::FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!state->event.is_open()) return failed("watching", state->path);
    // Signals are for the thread that has a descriptor for them.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    Result<void> started;
    try {
        std::thread([state, interval = timing.touch] { touch_it(state, interval); }).detach();
    } catch (const std::system_error& error) {
        started = Error(Errc::system, std::string("no thread to be had: ") + error.what());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!started) return started.error();
    return SaveFolder(std::move(state));
}

/// The thread. What fails is tried again: while the file system is away nothing is saved, by anyone.
void SaveFolder::touch_it(const std::shared_ptr<State>& state, milliseconds interval) {
    bool is_own = true;
    std::unique_lock lock(state->mutex);
    while (!state->changed.wait_for(lock, interval, [&] { return state->is_to_end; })) {
        lock.unlock();
        const Result<void> checked = is_own ? state->check() : Result<void>();
        is_own = is_own && (checked || checked.error().code != Errc::busy);
        if (is_own) static_cast<void>(::futimens(state->file.fd(), nullptr));
        lock.lock();
        if (!checked && checked.error().code == Errc::busy) {
            state->taken_by = checked.error().detail.data();
            static_cast<void>(::eventfd_write(state->event.fd(), 1));
        }
    }
    lock.unlock();
    const Result<void> checked = state->check();
    if (checked) static_cast<void>(::ftruncate(state->file.fd(), 0));
    // A child that is not executed yet may have a copy of the descriptor.
    ::flock(state->file.fd(), LOCK_UN);
    state->file.reset();
    lock.lock();
    state->has_ended = true;
    state->changed.notify_all();
}

SaveFolder::~SaveFolder() {
    if (state_ == nullptr) return;
    std::unique_lock lock(state_->mutex);
    state_->is_to_end = true;
    state_->changed.notify_all();
    state_->changed.wait_for(lock, release_timeout, [&] { return state_->has_ended; });
}

Result<void> SaveFolder::check() const {
    return state_->check();
}

int SaveFolder::fd() const {
    return state_->event.fd();
}

std::optional<std::string> SaveFolder::take_notice() {
    const std::lock_guard lock(state_->mutex);
    eventfd_t ignored = 0;
    if (state_->taken_by.empty() || ::eventfd_read(state_->event.fd(), &ignored) != 0) return std::nullopt;
    return std::exchange(state_->taken_by, {});
}

}  // namespace ddict::launcher
