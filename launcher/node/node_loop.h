// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The event loop of a node launcher: signals, the lifeline on its standard input, its managers, and the
// events that it reports on its standard output.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <span>
#include <string_view>

#include "launcher/events.h"
#include "launcher/lifeline.h"
#include "launcher/node/guardian.h"
#include "launcher/node/managers.h"
#include "launcher/node/node_identity.h"
#include "launcher/node/restarts.h"
#include "launcher/node/segments.h"
#include "launcher/output.h"
#include "os/signals.h"

namespace ddict::launcher {

class NodeLoop {
  public:
    /// All must outlive it.
    NodeLoop(os::SignalFd signals, const NodeIdentity& identity, Guardian& guardian, NodeSegments& segments,
             NodeManagers& managers, Restarts& restarts)
        : signals_(std::move(signals)),
          identity_(identity),
          guardian_(guardian),
          segments_(segments),
          managers_(managers),
          restarts_(restarts) {}

    /// Waits at the most so long for something to happen, and takes in all that has.
    void turn(std::chrono::milliseconds wait);

    /// If nobody listens any more, the lifeline says so too.
    void report(const Event& event) { events_.add(format_event(event)); }
    /// A line of an event.
    void say(const std::string& line) { events_.add(line); }
    /// Is given the lines of exchanges on the lifeline.
    void hear_exchanges(std::function<void(std::string_view)> hear) { hear_ = std::move(hear); }
    void report_handle(std::string_view handle);
    void flush_within(std::chrono::milliseconds timeout) { events_.flush_within(timeout); }

  private:
    // With a contribution of the largest size.
    static constexpr std::size_t events_waiting_bytes_max = std::size_t{4} << 20;

    void take_in(std::span<const pollfd> fds);
    void take_signals();
    void take_lifeline();
    void take_entry(const DirectoryEntry& entry);
    void on_change(const NodeManagers::Change& change);
    void on_end(std::uint32_t local);
    void follow(std::uint32_t local, const DirectoryEntry& entry);
    void start_due();
    void on_back(std::uint32_t local);
    void lose(std::uint32_t local, const DirectoryEntry& entry);
    void publish(const DirectoryEntry& entry);

    os::SignalFd signals_;
    const NodeIdentity& identity_;
    Guardian& guardian_;
    NodeSegments& segments_;
    NodeManagers& managers_;
    Restarts& restarts_;
    Output events_{STDOUT_FILENO, events_waiting_bytes_max};
    LifelineReader lifeline_;
    std::function<void(std::string_view)> hear_;
};

}  // namespace ddict::launcher
