// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// When a connection to a manager says hello again, asks whether the manager lives, is made anew, and when the
// manager counts as lost. Decided from times that are given; sends nothing.
#pragma once

#include <chrono>
#include <optional>

#include "rpc/request.h"

namespace ddict {

class ConnectionTimers {
  public:
    /// Of the same host the kernel says whether the manager lives, so silence does not make it lost.
    void set_same_host(bool same_host) noexcept { same_host_ = same_host; }
    /// Of one that is waited for whatever it takes, neither: it is asked again, later each time.
    void set_keeps_asking(bool keeps_asking) noexcept {
        if (keeps_asking_ && !keeps_asking) late_answers_ = 0;  // who is lost sooner is asked sooner
        keeps_asking_ = keeps_asking;
    }

    // ---- what happens

    /// The first operation begins to wait for the manager.
    void begin(Time now) noexcept {
        heard_ = now;
        hellos_ = 0;
        pinged_.reset();
        lost_at_.reset();
    }
    void heard(Time now) noexcept {
        heard_ = now;
        pinged_.reset();
    }
    void said_hello(Time now) noexcept {
        heard_ = hello_at_ = now;
        ++hellos_;
    }
    /// The hello is answered: the connection is open.
    void opened(Time now) noexcept;
    /// Another process serves the shard, and has not been spoken to yet.
    void moved(Time now) noexcept;
    /// An answer that is not waited for any more still shows that the manager lives.
    void answered_late(Time now) noexcept;
    void pinged(Time now) noexcept { pinged_ = now; }
    /// The connection is gone. `was_made`: it was there. `others_may_know` where the manager is: of one that
    /// has never answered they are given some time to say so.
    void broke(Time now, bool was_made, bool others_may_know = false) noexcept;
    /// The manager lives, and has refused a connection: it is asked again after a while, and not lost.
    void was_refused(Time now) noexcept;
    /// A connection broke that was never answered. Whether to try again: a few times only, since a manager
    /// that was never reached has probably gone for good.
    bool may_try_again() noexcept;
    /// Everything is forgotten but when the manager was reached.
    void reset() noexcept;
    /// The manager counts as lost; from now on one try is enough.
    void lost() noexcept;
    bool is_one_try_enough() const noexcept;

    /// It is remembered as lost, and asked again: what waits ends then.
    void begin_probe(Time now) noexcept;
    /// The same if the last one is long enough ago. Whether one is under way then.
    bool begin_probe_if_due(Time now) noexcept;
    void end_probe() noexcept { probe_until_.reset(); }
    bool is_probing() const noexcept { return probe_until_.has_value(); }

    // ---- what is to be done

    bool was_opened() const noexcept { return opened_ != Time{}; }
    /// How many were said since begin().
    unsigned hellos() const noexcept { return hellos_; }
    /// Nobody has waited for the answer to the hello for so long that it may be lost.
    bool is_hello_stale(Time now) const noexcept;

    /// Of an open connection to another host.
    bool is_pinged() const noexcept { return pinged_.has_value(); }
    Time ping_due() const noexcept;
    /// Of one that was pinged: when to connect anew, and when the manager is lost.
    struct Silence {
        Time reconnect;
        Time lost;
    };
    Silence silence(bool known_lost, bool moves_payloads) const noexcept;
    /// Of one that breaks over its silence: the manager is lost then all the same.
    void set_lost_at(Time lost, Time now) noexcept;

    /// Of a connection that is not open.
    enum class Step {
        wait,
        probe_over,  ///< the manager is still lost
        lost,
        connect,  ///< anew; an earlier hello has come to nothing
    };
    Step next_step(Time now, bool says_hello, bool has_session) noexcept;
    /// Whether nobody has answered a hello for so long that the manager may be elsewhere.
    bool is_hello_doubtful(Time now) const noexcept;
    /// When to ask for the next step.
    Time next_look(Time now, bool says_hello) const noexcept;

  private:
    /// For an answer to a hello. It doubles: an attempt that takes a busy manager longer than the timeout
    /// must not be thrown away again and again, each time with more work for the manager.
    Time::duration hello_timeout() const noexcept;

    bool same_host_ = false;
    bool keeps_asking_ = false;
    unsigned hellos_ = 0;          // since begin()
    Time hello_at_{};              // when the hello was sent
    Time heard_{};                 // when the manager last said something, or was first asked
    Time opened_{};                // when it last answered a hello
    Time again_{};                 // broken: when to connect
    std::optional<Time> pinged_;   // when it was asked whether it lives; it has said nothing since
    std::optional<Time> lost_at_;  // not open: when it counts as lost; set at the first look
    std::optional<Time> probe_until_;
    Time probed_{};              // see begin_probe()
    Time looked_{};              // when lost_at_ was last looked at
    unsigned refusals_ = 0;      // connections that broke before it ever answered
    unsigned late_answers_ = 0;  // hellos that it has answered too late, or not at all
};

}  // namespace ddict
