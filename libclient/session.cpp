// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/session.h"

#include <ddict/interrupt.h>

#include <algorithm>
#include <atomic>

#include "base/assert.h"
#include "libclient/batch_lane.h"
#include "os/host_name.h"

namespace ddict::client {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds goodbye_timeout{200};
// Turns of a millisecond at the most, until the transport must have given back all memory.
constexpr unsigned give_up_turns_max = 100'000;
constexpr std::chrono::milliseconds interrupt_look_interval{100};
constexpr std::chrono::milliseconds turn_time_max{1};

std::atomic<InterruptCheck> interrupt_check{nullptr};
InterruptCheck current_interrupt_check() {
    return interrupt_check.load(std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const Credentials& credentials, LostManagers& lost,
                                               Whereabouts& whereabouts,
                                               const transport::WorkerOptions& options) {
    Result<std::unique_ptr<transport::Worker>> worker = transport::Worker::create(options);
    if (!worker) return worker.error();
    return std::unique_ptr<Session>(new Session(*std::move(worker), credentials, lost, whereabouts));
}

Session::Session(std::unique_ptr<transport::Worker> worker, const Credentials& credentials,
                 LostManagers& lost, Whereabouts& whereabouts)
    : worker_(std::move(worker)), requester_(*worker_, credentials, &lost, &whereabouts) {
    flights_.reserve(limits::operations_in_flight_max);  // so that none is lost when memory runs out
}

std::string Session::why_over_network(ShardId shard) const {
    const DirectoryEntry* entry = known_manager(shard);
    if (entry == nullptr || entry->node != os::host_name()) return {};
    if (transport::Worker::speaks_over_network_only()) return "DDICT_SAME_HOST=0";
    if (entry->process.host_key == worker_->identity().host_key) return worker_->why_not_within_host();
    return "they do not share /dev/shm, or are of different users";
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
    // What has arrived may have begun another wait (a hello is answered, a payload follows), for which the
    // old time is no good; and before a tick all that has arrived must be delivered. So the next turn does
    // not wait.
    if (arrived) {
        next_tick_ = Time::min();
        return;
    }
    const Time now = steady_clock::now();
    next_tick_ = requester_.tick(now);
    if (current_interrupt_check() != nullptr) look_for_interrupt(now);
}

void Session::look_for_interrupt(Time now) {
    if (now >= next_interrupt_look_) {
        next_interrupt_look_ = now + interrupt_look_interval;
        const InterruptCheck check = current_interrupt_check();
        if (check != nullptr && check()) {
            is_interrupted_ = true;
            for (Flight* flight : flights_) {
                if (!flight->outlives_call) give_up(*flight);
            }
        }
    }
    next_tick_ = std::min(next_tick_, next_interrupt_look_);
}

void Session::poll() {
    if (worker_->poll(requester_) != 0) {
        next_tick_ = Time::min();
    } else if (const Time now = steady_clock::now(); now >= next_tick_) {
        next_tick_ = requester_.tick(now);
    }
}

Time Session::turn() {
    const Time latest = steady_clock::now() + turn_time_max;
    for (;;) {
        if (const Time now = steady_clock::now(); now >= next_tick_) {
            next_tick_ = requester_.tick(now);
        } else if (now >= latest) {
            return now;
        }
        unsigned delivered = 0;
        const bool is_armed = worker_->turn(requester_, delivered);
        if (is_armed) return next_tick_;
        if (delivered != 0) next_tick_ = Time::min();
    }
}

Result<Reply> Session::call_later(const Request& request, Time now, Time deadline) {
    if (const Result<void> free_slot = await_free_slot(request, now, deadline); !free_slot)
        return free_slot.error();
    return call_now(request, now, deadline);
}

/// (One function with one result: that is made where the caller wants it, not copied there.)
Result<Reply> Session::call_now(const Request& request, Time now, Time deadline) {
    is_interrupted_ = false;
    const Requester::OperationId operation = requester_.begin(request, now, deadline);
    look_at_clock_by(std::min(deadline, now + quiet_time()));
    if (requester_.done(operation)) {
        poll();  // it has failed at once: what has arrived may tell better for the next
    } else {
        do {
            progress();
            if (is_interrupted_) requester_.give_up(operation);
        } while (!requester_.done(operation));
    }
    Result<Reply> reply = requester_.take(operation);
    counters_.add(request.verb, request.value_bytes(), reply, now);
    if (const Trace* const to = Trace::current(); to != nullptr) [[unlikely]]
        trace(*to, request, request.value_bytes(), reply, now);
    if (request.verb == wire::Verb::wait_for && is_interrupted_ && !reply)
        cancel_wait(request.shard, operation);
    return reply;
}

/// Its manager would wait on, to the deadline that it was given. One that does not answer is left to that.
void Session::cancel_wait(ShardId shard, Requester::OperationId wait) {
    Request cancel;
    cancel.verb = wire::Verb::cancel_wait;
    cancel.shard = shard;
    cancel.argument = wait;
    const Time now = steady_clock::now();
    const Time deadline = now + limits::cancel_timeout;
    const Requester::OperationId operation = requester_.begin(cancel, now, deadline);
    look_at_clock_by(deadline);
    while (!requester_.done(operation))
        progress();
    static_cast<void>(requester_.take(operation));
    is_interrupted_ = true;
}

void Session::cancel(Flight& flight, ShardId shard) {
    const Requester::OperationId operation = flight.id;
    give_up(flight);
    if (flight.verb != wire::Verb::wait_for) return;
    cancel_wait(shard, operation);
    interruptible();
}

void Session::start(Flight& flight, const Request& request, Time now, Time deadline) {
    if (const Result<void> free_slot = await_free_slot(request, now, deadline); !free_slot) {
        flight.outcome = free_slot.error();
        return;
    }
    flight.id = requester_.begin(request, now, deadline);
    look_at_clock_by(std::min(deadline, now + quiet_time()));
    flight.session = this;
    flight.place = flights_.size();
    flight.verb = request.verb;
    flight.shard = request.shard;
    flight.key = request.key;
    flight.checkpoint = request.checkpoint;
    flight.value_bytes = request.value_bytes();
    flight.started = now;
    flights_.push_back(&flight);
}

/// How long nothing need be looked at.
Time::duration Session::quiet_time() {
    if (current_interrupt_check() == nullptr) return limits::silence_before_ping;
    return std::min<Time::duration>(limits::silence_before_ping, interrupt_look_interval);
}

/// The others under way may have to be looked after earlier.
void Session::look_at_clock_by(Time time) {
    next_tick_ = flights_.empty() ? time : std::min(next_tick_, time);
}

/// Waits until fewer operations are under way than there may be; sets the time if that takes any. An outcome
/// that nobody has asked for yet counts at the requester: it is taken to its owner.
Result<void> Session::await_free_slot(const Request& request, Time& now, Time deadline) {
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
        error.set_manager(number_of(request.shard));
        if (const DirectoryEntry* known = known_manager(request.shard)) error.set_node(known->node);
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
    if (const Trace* const to = Trace::current(); to != nullptr) [[unlikely]]
        trace(*to, flight, flight.value_bytes, flight.outcome, flight.started);
}

/// `asked` is a request, or what a flight has kept of one.
template <class Asked>
void Session::trace(const Trace& trace, const Asked& asked, std::uint64_t bytes_sent,
                    const Result<Reply>& outcome, Time started) const {
    const DirectoryEntry* const manager = known_manager(asked.shard);
    trace.write({.operation = operation_of(asked.verb),
                 .key = asked.key,
                 .manager = number_of(asked.shard),
                 .node = manager == nullptr ? std::string_view() : std::string_view(manager->node),
                 .checkpoint = asked.checkpoint == no_checkpoint ? 0 : asked.checkpoint,
                 .bytes_sent = bytes_sent,
                 .bytes_received = outcome ? outcome->value_bytes : 0,
                 .started = started,
                 .error = outcome ? nullptr : &outcome.error()});
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

ddict::InterruptCheck ddict::set_interrupt_check(InterruptCheck check) noexcept {
    return client::interrupt_check.exchange(check);
}
