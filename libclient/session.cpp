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

void Session::make_progress(Time until) {
    if (worker_->progress(requester_, until) == 0) next_tick_ = requester_.tick(steady_clock::now());
}

Result<Reply> Session::call(const Request& request, Time deadline) {
    const Time now = steady_clock::now();
    const Requester::OperationId operation = requester_.begin(request, now, deadline);
    Time until = std::min(deadline, now + limits::silence_before_ping);
    while (!requester_.done(operation)) {
        make_progress(until);
        until = std::min(deadline, next_tick_);
    }
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
        }
        std::erase_if(running, [&](const Running& call) {
            if (!requester_.done(call.operation)) return false;
            on_reply(call.manager, requester_.take(call.operation));
            return true;
        });
        if (running.empty()) continue;
        next_tick_ = requester_.tick(steady_clock::now());
        make_progress(std::min(deadline, next_tick_));
    }
}

}  // namespace ddict::client
