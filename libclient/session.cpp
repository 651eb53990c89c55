// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/session.h"

#include <algorithm>
#include <vector>

namespace ddict::client {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t calls_at_once_max = 64;
constexpr std::chrono::milliseconds goodbye_timeout{200};

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const Credentials& credentials) {
    Result<std::unique_ptr<ucx::Worker>> worker = ucx::Worker::create();
    if (!worker) return worker.error();
    return std::unique_ptr<Session>(new Session(*std::move(worker), credentials));
}

Session::Session(std::unique_ptr<ucx::Worker> worker, const Credentials& credentials)
    : worker_(std::move(worker)), requester_(*worker_, credentials) {}

Session::~Session() {
    requester_.leave();
    worker_->stop(steady_clock::now() + goodbye_timeout);
}

/// Lets things move; waits until the deadline, or until the requester wants to look at the clock, at the
/// most.
void Session::make_progress(Time deadline) {
    const bool arrived = worker_->progress(requester_, std::min(deadline, next_tick_)) != 0;
    // What has arrived may have begun another wait (a greeting is answered, a body follows), for which the
    // old time is no good; and before a tick all that has arrived must be delivered. So the next turn does
    // not wait.
    next_tick_ = arrived ? Time::min() : requester_.tick(steady_clock::now());
}

Result<Reply> Session::call(const Request& request, Time now, Time deadline) {
    const Requester::OperationId operation = requester_.begin(request, now, deadline);
    next_tick_ = now + limits::silence_before_ping;
    while (!requester_.done(operation))
        make_progress(deadline);
    return requester_.take(operation);
}

void Session::call_all(std::uint32_t count, Time deadline,
                       const std::function<Result<Request>(std::uint32_t)>& prepare,
                       const std::function<void(std::uint32_t, Result<Reply>)>& on_reply) {
    struct Running {
        std::uint32_t manager;
        Requester::OperationId operation;
    };
    std::vector<Running> running;
    std::uint32_t next = 0;
    while (next < count || !running.empty()) {
        for (; next < count && running.size() < calls_at_once_max; ++next) {
            const Result<Request> request = prepare(next);
            if (!request) {
                on_reply(next, request.error());
                continue;
            }
            running.push_back({next, requester_.begin(*request, steady_clock::now(), deadline)});
            next_tick_ = Time::min();
        }
        std::erase_if(running, [&](const Running& call) {
            if (!requester_.done(call.operation)) return false;
            on_reply(call.manager, requester_.take(call.operation));
            return true;
        });
        if (!running.empty()) make_progress(deadline);
    }
}

}  // namespace ddict::client
