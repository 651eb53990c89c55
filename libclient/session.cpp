// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/session.h"

#include <algorithm>

#include "base/assert.h"
#include "libclient/batch_lane.h"

namespace ddict::client {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds goodbye_timeout{200};
// Turns of a millisecond at the most, until the transport must have given back all memory.
constexpr unsigned give_up_turns_max = 100'000;

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const Credentials& credentials, LostManagers& lost,
                                               const transport::WorkerOptions& options) {
    Result<std::unique_ptr<transport::Worker>> worker = transport::Worker::create(options);
    if (!worker) return worker.error();
    return std::unique_ptr<Session>(new Session(*std::move(worker), credentials, lost));
}

Session::Session(std::unique_ptr<transport::Worker> worker, const Credentials& credentials,
                 LostManagers& lost)
    : worker_(std::move(worker)), requester_(*worker_, credentials, &lost) {
    flights_.reserve(limits::operations_in_flight_max);  // so that none is lost when memory runs out
}

Session::~Session() {
    // The managers must hear the goodbye first: they then drop what is on its way, and this side's transport
    // gives back the memory that it still holds.
    requester_.leave();
    for (unsigned turn = 0;; ++turn) {
        for (std::size_t i = flights_.size(); i-- > 0;)
            finished(*flights_[i]);
        if (flights_.empty()) break;
        DDICT_ASSERT(turn < give_up_turns_max, "the transport keeps the memory of an operation for ever");
        worker_->progress(requester_, steady_clock::now() + std::chrono::milliseconds(1));
    }
    worker_->stop(steady_clock::now() + goodbye_timeout);
}

void Session::progress(Time deadline) {
    const bool arrived = worker_->progress(requester_, std::min(deadline, next_tick_)) != 0;
    // What has arrived may have begun another wait (a greeting is answered, a body follows), for which the
    // old time is no good; and before a tick all that has arrived must be delivered. So the next turn does
    // not wait.
    next_tick_ = arrived ? Time::min() : requester_.tick(steady_clock::now());
}

void Session::poll() {
    if (worker_->poll(requester_) != 0) {
        next_tick_ = Time::min();
    } else if (const Time now = steady_clock::now(); now >= next_tick_) {
        next_tick_ = requester_.tick(now);
    }
}

Result<Reply> Session::call_later(const Request& request, Time now, Time deadline) {
    if (const Result<void> room = make_room(request, now, deadline); !room) return room.error();
    return call_now(request, now, deadline);
}

/// (One function with one result: that is made where the caller wants it, not copied there.)
Result<Reply> Session::call_now(const Request& request, Time now, Time deadline) {
    const Requester::OperationId operation = requester_.begin(request, now, deadline);
    look_at_clock_by(now + limits::silence_before_ping);
    if (requester_.done(operation)) {
        poll();  // it has failed at once: what has arrived may tell better for the next
    } else {
        do {
            progress(deadline);
        } while (!requester_.done(operation));
    }
    Result<Reply> reply = requester_.take(operation);
    counters_.add(request.verb, request.value.size(), reply, now);
    return reply;
}

void Session::start(Flight& flight, const Request& request, Time now, Time deadline) {
    if (const Result<void> room = make_room(request, now, deadline); !room) {
        flight.outcome = room.error();
        return;
    }
    flight.id = requester_.begin(request, now, deadline);
    look_at_clock_by(std::min(deadline, now + limits::silence_before_ping));
    flight.session = this;
    flight.place = flights_.size();
    flight.verb = request.verb;
    flight.value_bytes = request.value.size();
    flight.started = now;
    flights_.push_back(&flight);
}

/// The others under way may have to be looked after earlier.
void Session::look_at_clock_by(Time time) {
    next_tick_ = flights_.empty() ? time : std::min(next_tick_, time);
}

/// Waits until there is room for one more operation; sets the time if that takes any. An outcome that nobody
/// has asked for yet keeps its place at the requester: it is taken to its owner.
Result<void> Session::make_room(const Request& request, Time& now, Time deadline) {
    while (flights_.size() >= limits::operations_in_flight_max) {
        for (std::size_t i = flights_.size(); i-- > 0;)
            finished(*flights_[i]);
        if (flights_.size() < limits::operations_in_flight_max) break;
        progress(deadline);
        now = steady_clock::now();
        if (now < deadline) continue;
        Error error(Errc::timeout,
                    "the deadline had passed before anything was sent: too many operations are under way");
        error.set_operation(operation_of(request.verb)).set_key(request.key);
        error.set_manager(request.manager);
        if (const DirectoryEntry* known = known_manager(request.manager)) error.set_node(known->node);
        return error;
    }
    return {};
}

void Session::settle(Flight& flight) {
    flight.outcome = requester_.take(flight.id);
    flight.session = nullptr;
    flights_[flight.place] = flights_.back();
    flights_[flight.place]->place = flight.place;
    flights_.pop_back();
    counters_.add(flight.verb, flight.value_bytes, flight.outcome, flight.started);
}

void Session::call_all(std::uint32_t count, Time deadline,
                       const std::function<Result<Request>(std::uint32_t, Time&)>& prepare,
                       const std::function<void(std::uint32_t, Result<Reply>)>& on_reply) {
    struct Call {
        std::uint32_t index = 0;
        bool used = false;
        Flight flight;
    };
    std::vector<Call> calls(std::min(count, calls_at_once_max));
    std::uint32_t next = 0;
    std::uint32_t running = 0;
    while (next < count || running > 0) {
        for (Call& call : calls) {
            if (call.used && finished(call.flight)) {
                call.used = false;
                --running;
                on_reply(call.index, call.flight.outcome);
            }
            while (!call.used && next < count) {
                call.index = next++;
                Time latest = deadline;
                const Result<Request> request = prepare(call.index, latest);
                if (!request) {
                    on_reply(call.index, request.error());
                    continue;
                }
                start(call.flight, *request, steady_clock::now(), latest);
                call.used = true;
                ++running;
            }
        }
        if (running > 0) progress(deadline);
    }
}

std::optional<std::uint32_t> Session::call_any(
    std::uint32_t count, Time deadline, const std::function<Result<Request>(std::uint32_t)>& prepare,
    const std::function<bool(std::uint32_t, const Error&)>& on_failure) {
    std::vector<Flight> flights(count);
    std::vector<std::uint32_t> running;
    std::optional<std::uint32_t> answered;
    bool goes_on = true;
    Time next_start = Time::min();
    for (std::uint32_t next = 0; goes_on && (next < count || !running.empty());) {
        const Time now = steady_clock::now();
        if (next < count && (running.empty() || now >= next_start)) {
            const std::uint32_t candidate = next++;
            next_start = now + limits::silence_before_next_candidate;
            if (const Result<Request> request = prepare(candidate); !request) {
                goes_on = on_failure(candidate, request.error());
            } else {
                start(flights[candidate], *request, now, deadline);
                running.push_back(candidate);
            }
        }
        const auto ended = std::find_if(running.begin(), running.end(), [&](std::uint32_t candidate) {
            return finished(flights[candidate]);
        });
        if (ended != running.end()) {
            const std::uint32_t candidate = *ended;
            running.erase(ended);
            if (flights[candidate].outcome) {
                answered = candidate;
                break;
            }
            goes_on = on_failure(candidate, flights[candidate].outcome.error());
        } else if (!running.empty()) {
            progress(next < count ? std::min(deadline, next_start) : deadline);
        }
    }
    for (const std::uint32_t candidate : running)
        requester_.give_up(flights[candidate].id);
    for (const std::uint32_t candidate : running) {
        while (!finished(flights[candidate]))
            progress(steady_clock::now() + std::chrono::milliseconds(1));
    }
    return answered;
}

}  // namespace ddict::client
