// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Waiting for the first of several keys, whose managers are asked side by side. The first value that comes is
// taken, and the waits for the other keys are cancelled at their managers.
#include <chrono>
#include <string>
#include <vector>

#include "libclient/view_calls.h"

namespace ddict {
namespace {

using client::Flight;
using client::Session;
using std::chrono::steady_clock;
using wire::Verb;

/// Where the value goes, and which wait it is of.
struct Choice {
    static constexpr std::size_t none = SIZE_MAX;

    ValueSink& sink;
    std::size_t index = none;
};

/// Of one wait: lets its value through if it is the first.
class FirstSink final : public ValueSink {
  public:
    FirstSink(Choice& choice, std::size_t index) : choice_(choice), index_(index) {}
    Result<MutableBytes> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        if (choice_.index == Choice::none) choice_.index = index_;
        if (choice_.index != index_) return Error(Errc::busy, "another key was there first");
        return choice_.sink.prepare(bytes, value_type);
    }

  private:
    Choice& choice_;
    std::size_t index_;
};

/// Invariant: what a flight under way refers to stays until it is settled; the end of this object sees to it.
class Waits {
  public:
    Waits(const View& view, Session& session, std::span<const KeyBytes> keys, ValueSink& sink, Time deadline)
        : view_(view), session_(session), keys_(keys), deadline_(deadline), choice_{.sink = sink} {
        waits_.reserve(keys.size());
        for (std::size_t i = 0; i < keys.size(); ++i)
            waits_.emplace_back(choice_, i);
    }
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;
    ~Waits() { end(); }

    /// `prepare(index, sink)` makes the request, or says why it cannot be made.
    template <class F>
    Result<std::size_t> run(F prepare) {
        session_.interruptible();
        for (std::size_t i = 0; i < keys_.size() && !has_failed_; ++i)
            start(i, prepare(i, waits_[i].sink));
        while (goes_on() && !session_.is_interrupted())
            session_.progress();
        if (session_.is_interrupted())
            note(Error(Errc::timeout, "the program has ended the wait before its deadline"));
        cancel();
        end();
        if (found_ != Choice::none) return found_;
        return error();
    }

  private:
    struct Wait {
        Wait(Choice& choice, std::size_t index) : sink(choice, index) {}

        FirstSink sink;
        ShardId shard{};
        Flight flight;
        Flight cancel;
        bool is_over = true;        // or has not begun
        bool is_cancelled = false;  // its manager has said so: the answer is on its way
        bool cancels = false;       // the cancel is under way
    };

    void start(std::size_t index, const Result<Request>& request) {
        Wait& wait = waits_[index];
        if (!request) return note(request.error());
        wait.is_over = false;
        wait.shard = request->shard;
        wait.flight.outlives_call = true;  // run() ends it, at its manager too
        session_.start(wait.flight, *request, steady_clock::now(), deadline_);
    }
    /// Takes what has ended. Whether there is more to be waited for, before the others are cancelled.
    bool goes_on() {
        const bool all_over = take_all();
        if (found_ != Choice::none || all_over) return false;
        return !has_failed_ || value_is_coming();
    }
    bool value_is_coming() const { return choice_.index != Choice::none && !waits_[choice_.index].is_over; }
    /// True if all are over.
    bool take_all() {
        bool all_over = true;
        for (std::size_t i = 0; i < waits_.size(); ++i) {
            Wait& wait = waits_[i];
            if (!wait.is_over && session_.finished(wait.flight)) take(i);
            all_over = all_over && wait.is_over;
        }
        return all_over;
    }
    void take(std::size_t index) {
        Wait& wait = waits_[index];
        wait.is_over = true;
        const Result<Reply>& reply = wait.flight.outcome;
        if (!reply) {
            const bool gave_way = choice_.index != Choice::none && choice_.index != index;
            if (!gave_way && !cancels_) note(reply.error());
            return;
        }
        if (reply->value_bytes == 0) {  // then the sink has not been asked
            const Result<MutableBytes> buffer = wait.sink.prepare(0, reply->value_type);
            if (choice_.index != index) return;
            if (!buffer) return note(view_.name_error(buffer.error(), Operation::wait_for_any, keys_[index]));
        }
        found_ = index;
    }
    /// A timeout ends nothing: the others may still come. What is not known counts more than what is, and a
    /// failure more than both.
    void note(const Error& error) {
        const auto weight = [](const Error& e) {
            return e.code != Errc::timeout ? 2 : e.manager_state != ManagerState::answered ? 1 : 0;
        };
        if (error.code != Errc::timeout) has_failed_ = true;
        if (!error_ || weight(error) > weight(*error_)) error_ = error;
    }

    /// Ends the waits at the managers. A manager that does not answer is not waited for long. A cancel may
    /// overtake its wait, and is then sent again.
    void cancel() {
        cancels_ = true;
        const Time until = steady_clock::now() + limits::cancel_timeout;
        while (cancel_once(until)) {
            const Time latest = value_is_coming() ? deadline_ : until;
            if (steady_clock::now() >= latest) return;
            session_.progress(latest);
        }
    }
    /// False if nothing is under way any more.
    bool cancel_once(Time until) {
        bool under_way = !take_all();
        for (Wait& wait : waits_) {
            if (wait.cancels && session_.finished(wait.cancel)) {
                wait.is_cancelled =
                    wait.is_cancelled || (wait.cancel.outcome && wait.cancel.outcome->argument != 0);
                wait.cancels = false;
            }
            const Time now = steady_clock::now();
            if (!wait.is_over && !wait.is_cancelled && !wait.cancels && now < until) {
                Request request;
                request.verb = Verb::cancel_wait;
                request.shard = wait.shard;
                request.argument = wait.flight.id;
                wait.cancels = true;
                session_.start(wait.cancel, request, now, until);
            }
            under_way = under_way || wait.cancels;
        }
        return under_way;
    }
    /// Afterwards nothing of this object's is in use.
    void end() {
        for (Wait& wait : waits_) {
            session_.give_up(wait.flight);
            session_.give_up(wait.cancel);
        }
        for (Wait& wait : waits_) {
            for (Flight* flight : {&wait.flight, &wait.cancel}) {
                while (!session_.finished(*flight))
                    session_.progress(steady_clock::now() + std::chrono::milliseconds(1));
            }
        }
    }

    /// What is not of one key alone names none.
    Error error() const {
        Error error = *error_;
        if (error.operation == Operation::wait_for) error.set_operation(Operation::wait_for_any);
        if (error.code != Errc::timeout || keys_.size() == 1) return error;
        const auto of_all = [&](std::string_view why) {
            return Error(Errc::timeout, why)
                .set_operation(Operation::wait_for_any)
                .set_state(error.manager_state);
        };
        if (error.manager_state == ManagerState::unknown) return of_all(error.detail.data());  // nothing sent
        if (error.manager_state != ManagerState::answered) return error;
        const bool ended_early = steady_clock::now() < deadline_;
        return of_all("none of the " + std::to_string(keys_.size()) + " keys " + some_keys() +
                      (ended_early ? "appeared, and a wait ends after 24 hours: wait again"
                                   : "appeared in time; their managers answer: wait for longer"));
    }
    /// The first ones, as many as an error takes.
    std::string some_keys() const {
        constexpr std::size_t bytes_max = 100;
        std::string names;
        for (const KeyBytes key : keys_) {
            const std::string name = in_words(key);
            if (names.size() + name.size() > bytes_max) return names.empty() ? names : names + ", ... ";
            names += (names.empty() ? "" : ", ") + name;
        }
        return names + " ";
    }

    const View& view_;
    Session& session_;
    std::span<const KeyBytes> keys_;
    Time deadline_;
    Choice choice_;
    std::vector<Wait> waits_;
    std::optional<Error> error_;
    std::size_t found_ = Choice::none;  // whose value is there
    bool has_failed_ = false;
    bool cancels_ = false;
};

}  // namespace

Result<std::size_t> View::wait_for_any_bytes(std::span<const KeyBytes> keys, ValueSink& sink) const {
    if (attachment_ == nullptr) return Calls::no_dictionary(Operation::wait_for_any);
    if (keys.empty() || keys.size() > limits::keys_waited_for_max) {
        return Error(Errc::invalid_argument, "one waits for 1 to " +
                                                 std::to_string(limits::keys_waited_for_max) +
                                                 " keys at once, not for " + std::to_string(keys.size()))
            .set_operation(Operation::wait_for_any);
    }
    for (const KeyBytes key : keys) {
        if (const Result<void> good = Calls::check(*this, Operation::wait_for_any, key); !good)
            return good.error();
    }
    const Result<Session*> session = attachment_->session();
    if (!session) return Error(session.error()).set_operation(Operation::wait_for_any);
    const Time deadline = budget_.deadline(Clock::now());
    Waits waits(*this, **session, keys, sink, deadline);
    return waits.run([&](std::size_t index, ValueSink& first) -> Result<Request> {
        Request request;
        request.verb = Verb::wait_for;
        request.key = keys[index];
        request.sink = &first;
        Calls::place(*this, request);
        const Result<void> ready = attachment_->prepare(**session, request, Clock::now(), deadline);
        if (!ready) return ready.error();
        return request;
    });
}

}  // namespace ddict
