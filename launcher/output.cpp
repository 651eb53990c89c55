// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/output.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "os/file_descriptor.h"

namespace ddict::launcher {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Where nothing else helps: what fits into a pipe that can be written to does not wait, unless another
/// program fills it at this very moment.
ssize_t write_if_ready(int fd, std::string_view text) {
    pollfd ready{fd, POLLOUT, 0};
    if (poll(&ready, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
}

/// write() that does not wait. Whether a descriptor waits belongs to all who share it, so it is not changed:
/// the pipe or terminal behind it is opened once more.
ssize_t write_now(int fd, std::string_view text) {
    struct stat info {};
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &info) != 0) return -1;
    if (S_ISSOCK(info.st_mode)) return send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    const bool may_wait = (flags & O_NONBLOCK) == 0 && (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode));
    if (!may_wait) return write(fd, text.data(), text.size());
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const os::FileDescriptor again(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    return again.is_open() ? write(again.fd(), text.data(), text.size()) : write_if_ready(fd, text);
}

}  // namespace

void Output::add(std::string_view text) {
    if (text.empty()) return;
    if (waiting_bytes_ + text.size() > waiting_bytes_max_) {
        ++left_out_;
        return;
    }
    waiting_.emplace_back(text);
    waiting_bytes_ += text.size();
    flush();
}

void Output::flush() {
    while (!waiting_.empty()) {
        std::string& first = waiting_.front();
        const ssize_t written = write_now(fd_, first);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (written < 0) return drop_all();
        waiting_bytes_ -= static_cast<std::size_t>(written);
        first.erase(0, static_cast<std::size_t>(written));
        if (first.empty()) waiting_.pop_front();
        if (waiting_.empty() && left_out_ != 0) {
            const auto count = std::exchange(left_out_, 0);
            const std::string line = "ddict-launch: " + std::to_string(count) +
                                     (count == 1 ? " message was" : " messages were") +
                                     " left out, since nobody read them\n";
            waiting_bytes_ += line.size();
            waiting_.push_back(line);
        }
    }
}

bool Output::flush_within(milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    for (;;) {
        flush();
        const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
        if (!is_pending() || left.count() <= 0) return !is_pending();
        pollfd ready{fd_, POLLOUT, 0};
        poll(&ready, 1, static_cast<int>(left.count()));
    }
}

void Output::drop_all() {
    waiting_.clear();
    waiting_bytes_ = 0;
    left_out_ = 0;
}

Output& standard_error() {
    static Output output(STDERR_FILENO);
    return output;
}

}  // namespace ddict::launcher
