// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "ucx/descriptors.h"

#include <sys/socket.h>
#include <ucs/async/async_fwd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "os/descriptors.h"
#include "os/epoll_targets.h"
#include "os/error.h"
#include "os/file_descriptor.h"
#include "ucx/status.h"

namespace ddict::ucx {
namespace {

// To mark by; the folder of descriptors and two lists in it.
constexpr unsigned descriptors_to_look = 4;
// Of the time that has gone by, one part in so many may be used to look.
constexpr int share_of_time = 4;
// That may be used at once after a pause, times share_of_time.
constexpr std::chrono::seconds credit_max{1};
constexpr std::chrono::milliseconds retry_interval{100};
constexpr std::chrono::seconds time_to_settle{1};
constexpr std::chrono::milliseconds settling_interval{10};

/// A socket of ours, which nothing ever comes to, among the descriptors that UCX's thread waits for. By it
/// the thread's epoll set is told from all others, also if another user of UCX in this process has started
/// it.
class Marker {
  public:
    static Result<Marker> put() {
        os::FileDescriptor socket;
        for (const int family : {AF_UNIX, AF_INET}) {  // a sandbox may refuse one of them
            socket = os::FileDescriptor(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            if (socket.is_open()) break;
        }
        if (!socket.is_open()) return os::error_of(errno, "opening a socket");
        const ucs_status_t status = ucs_async_set_event_handler(
            UCS_ASYNC_MODE_THREAD_SPINLOCK, socket.fd(), UCS_EVENT_SET_EVREAD,
            [](int, ucs_event_set_types_t, void*) {}, nullptr, nullptr);
        if (status != UCS_OK) return to_error(status, "having UCX's thread watch a descriptor");
        return Marker(std::move(socket));
    }
    Marker(Marker&&) = default;
    Marker& operator=(Marker&&) = delete;
    ~Marker() {
        if (socket_.is_open()) ucs_async_remove_handler(socket_.fd(), 1);
    }
    int fd() const noexcept { return socket_.fd(); }

  private:
    explicit Marker(os::FileDescriptor socket) : socket_(std::move(socket)) {}

    os::FileDescriptor socket_;
};

/// Not what is in the sets in it: connections are in them, which are found below their own worker's set.
Result<void> mark_those_of_thread() {
    const Result<Marker> marker = Marker::put();
    if (!marker) return marker.error();
    const int epoll = os::epoll_set_with(marker->fd());
    if (epoll < 0) return {};
    os::close_on_exec(epoll);
    os::close_registered_on_exec(epoll, os::Registered::in_set);
    os::close_other_pipe_ends_on_exec(epoll);
    return {};
}

}  // namespace

Result<void> Descriptors::start(int worker_epoll) {
    if (!wanted_) return {};
    worker_epoll_ = worker_epoll;
    if (Result<void> enough = os::need_descriptors(descriptors_to_look, "starting UCX"); !enough)
        return enough;
    if (Result<void> marked = mark_those_of_thread(); !marked) return marked;
    os::close_on_exec(worker_epoll);
    mark(Clock::now());
    return {};
}

void Descriptors::begun() noexcept {
    if (!wanted_) return;
    changed_ = true;
    settled_at_ = Clock::now() + time_to_settle;
}

void Descriptors::opened() noexcept {
    if (wanted_) ++unanswered_;
    begun();
}

void Descriptors::after(unsigned messages) {
    unanswered_ -= std::min(unanswered_, messages);
    changed_ = true;
    mark(Clock::now());
}

void Descriptors::look_before_sleep() {
    const auto now = Clock::now();
    if (!changed_ && now - looked_at_ < settling_interval) return;
    if (now >= settled_at_) settled_at_ = {};
    mark(now);
}

void Descriptors::mark(Clock::time_point now) {
    if (now < paid_until_) return;
    const int error = os::close_registered_on_exec(worker_epoll_, os::Registered::in_nested_sets);
    const bool may_work_later = error == EMFILE || error == ENFILE || error == ENOMEM;
    changed_ = may_work_later;
    looked_at_ = Clock::now();
    paid_until_ = may_work_later
                      ? looked_at_ + retry_interval
                      : std::max(paid_until_, now - credit_max) + share_of_time * (looked_at_ - now);
}

}  // namespace ddict::ucx
