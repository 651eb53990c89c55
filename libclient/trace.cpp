// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/trace.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include <ddict/checkpoint_id.h>

#include "base/utc_text.h"
#include "os/descriptors.h"
#include "os/error.h"
#include "os/host_name.h"

namespace ddict::client {
namespace {

using std::chrono::steady_clock;

constexpr char variable[] = "DDICT_TRACE";

std::string seconds_text(steady_clock::duration took) {
    const double seconds = std::chrono::duration<double>(took).count();
    std::array<char, 48> text;
    return {text.data(), static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%.7f", seconds))};
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

Error error_of_variable(Errc code, std::string text) {
    return Error(code, std::string(variable) + ": " + std::move(text)).set_operation(Operation::attach);
}

/// Keys are data: a file that is somebody else's, or that others can read, gets none.
Result<void> require_own(int fd, const std::string& path) {
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return {};  // a terminal, /dev/stderr
    if (info.st_uid != ::geteuid())
        return error_of_variable(Errc::access_denied,
                                 "'" + path + "' is another user's: choose another name");
    if ((info.st_mode & 077) != 0)
        return error_of_variable(Errc::access_denied, "others may read or write '" + path +
                                                          "', and keys are not for them: chmod 600 it, or "
                                                          "remove it");
    return {};
}

/// Beyond the limit of files (ulimit -f) a write would end the program.
class WithoutFileSizeSignal {
  public:
    WithoutFileSizeSignal() {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGXFSZ);
        is_blocked_ = ::pthread_sigmask(SIG_BLOCK, &set, &before_) == 0;
    }
    ~WithoutFileSizeSignal() {
        if (!is_blocked_ || sigismember(&before_, SIGXFSZ) == 1) return;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGXFSZ);
        const timespec none{};
        while (::sigtimedwait(&set, nullptr, &none) > 0)
            ;  // it was sent to this thread, by the write
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    WithoutFileSizeSignal(const WithoutFileSizeSignal&) = delete;
    WithoutFileSizeSignal& operator=(const WithoutFileSizeSignal&) = delete;

  private:
    sigset_t before_{};
    bool is_blocked_ = false;
};

}  // namespace

Result<std::string> Trace::path_from(std::string_view pattern, const std::string& host, int process) {
    std::string path;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '%') {
            path += pattern[i];
            continue;
        }
        switch (++i < pattern.size() ? pattern[i] : '\0') {
            case 'h':
                path += host;
                break;
            case 'p':
                path += std::to_string(process);
                break;
            case '%':
                path += '%';
                break;
            default:
                return error_of_variable(Errc::invalid_argument,
                                         "after '%' in '" + std::string(pattern) +
                                             "' there may be h (host), p (process) or another '%'");
        }
    }
    return path;
}

Result<void> Trace::begin() {
    const char* const pattern = std::getenv(variable);
    if (pattern == nullptr || *pattern == '\0') return {};
    const Trace* const known = current();
    const int process = ::getpid();
    if (known != nullptr && known->process_ == process) return {};
    std::string host = os::host_name();
    Result<std::string> path = path_from(pattern, host, process);
    if (!path.has_value()) return path.error();
    if (known != nullptr && known->path_ == *path) return {};
    // A pipe that nobody reads is an error, rather than a wait.
    const int fd = os::above_standard(::open(
        path->c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, S_IRUSR | S_IWUSR));
    if (fd < 0)
        return os::error_of(errno, "DDICT_TRACE: cannot open '" + *path + "'")
            .set_operation(Operation::attach);
    if (const Result<void> good = require_own(fd, *path); !good) {
        ::close(fd);
        return good;
    }
    // Two threads may attach at once: the second one's descriptor is not needed.
    const Trace* const made = new Trace(fd, *std::move(path), std::move(host), process);
    const Trace* expected = known;
    if (!current_.compare_exchange_strong(expected, made)) {
        ::close(fd);
        delete made;
    }
    return {};
}

std::string Trace::line_of(const TracedOperation& of) const {
    std::string line = "time=" + utc_text(std::chrono::system_clock::now(), 6) + " host=" + host_ +
                       " process=" + std::to_string(::getpid()) +
                       " thread=" + std::to_string(::syscall(SYS_gettid)) +
                       " operation=" + std::string(name(of.operation));
    if (of.manager != Error::no_manager) line += " manager=" + std::to_string(of.manager);
    if (!of.node.empty()) line += " node=" + std::string(of.node);
    line += of.is_read_here ? " way=memory" : " way=message";
    if (of.checkpoint == newest_checkpoint)
        line += " checkpoint=newest";
    else if (of.checkpoint != 0)
        line += " checkpoint=" + std::to_string(of.checkpoint);
    line += " sent=" + std::to_string(of.bytes_sent) + " received=" + std::to_string(of.bytes_received) +
            " seconds=" + seconds_text(steady_clock::now() - of.started) +
            " outcome=" + std::string(name(of.error == nullptr ? Errc{} : of.error->code));
    if (of.error != nullptr && of.error->in_doubt) line += " in_doubt=1";
    if (of.error != nullptr && of.error->code != Errc::not_found)
        line += " error=" + quoted(of.error->message());
    if (!of.key.empty()) line += " key=" + in_words(of.key);
    return line + '\n';
}

void Trace::write(const TracedOperation& operation) const noexcept {
    // One write for a line: lines of several processes and threads do not mix.
    int failure = ENOMEM;
    try {
        const std::string line = line_of(operation);
        const WithoutFileSizeSignal guard;
        ssize_t written = 0;
        do {
            written = ::write(fd_, line.data(), line.size());
        } while (written < 0 && errno == EINTR);
        if (written == static_cast<ssize_t>(line.size())) return;
        failure = written < 0 ? errno : ENOSPC;
    } catch (const std::bad_alloc&) {
    }
    const Trace* expected = this;
    if (!current_.compare_exchange_strong(expected, nullptr)) return;
    std::fprintf(stderr, "ddict: %s: cannot write to '%s': %s: nothing more is traced\n", variable,
                 path_.c_str(), std::strerror(failure));
}

}  // namespace ddict::client
