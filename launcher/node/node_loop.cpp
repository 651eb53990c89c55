// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/node_loop.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "launcher/launch_loop.h"
#include "launcher/moved_managers.h"

namespace ddict::launcher {

void NodeLoop::turn(std::chrono::milliseconds wait) {
    std::vector<pollfd> fds{{signals_.fd(), POLLIN, 0},
                            {guardian_.is_lifeline_open() ? STDIN_FILENO : -1, POLLIN, 0},
                            {events_.poll_fd(), POLLOUT, 0}};
    managers_.add_poll_entries(fds);
    if (const auto due = restarts_.next_due_in()) wait = std::min(wait, *due);
    if (poll(fds.data(), fds.size(), static_cast<int>(wait.count())) > 0) take_in(fds);
    start_due();
}

void NodeLoop::take_in(std::span<const pollfd> fds) {
    constexpr std::size_t own = 3;  // those that turn() begins with
    if (fds[0].revents != 0) take_signals();
    if (fds[1].revents != 0) take_lifeline();
    if (fds[2].revents != 0) events_.flush();
    const std::vector<NodeManagers::Change> changes = managers_.advance(fds.subspan(own));
    for (const DirectoryEntry& entry : managers_.take_entries()) {
        const std::uint32_t local = number_of(entry.shard) - identity_.first_manager;
        if (local >= managers_.all().size())
            take_entry(entry);  // of this node's own nobody else says anything
    }
    for (const NodeManagers::Fill& fill : managers_.take_fills()) {
        Event event = identity_.event(Event::Kind::fill);
        event.manager = ShardId{fill.manager};
        event.fill = fill.fill;
        report(event);
    }
    for (const NodeManagers::Filled& filled : managers_.take_filled()) {
        Event event = identity_.event(Event::Kind::filled);
        event.manager = ShardId{filled.manager};
        event.text = filled.text;
        report(event);
    }
    for (const NodeManagers::SessionNews& news : managers_.take_sessions()) {
        Event event = identity_.event(Event::Kind::session);
        event.manager = ShardId{news.manager};
        event.text = news.text;
        report(event);
    }
    for (const NodeManagers::Change& change : changes)
        on_change(change);
}

void NodeLoop::take_signals() {
    while (const auto signal = signals_.next())
        guardian_.on_signal(*signal);
    if (!guardian_.take_job_end()) return;
    segments_.withdraw_names();
    if (guardian_.is_in_job()) report(identity_.event(Event::Kind::ending));
}

void NodeLoop::take_lifeline() {
    const auto state = lifeline_.read_from(STDIN_FILENO, [this](std::string_view line) {
        if (line == order_to_keep) guardian_.on_order_to_keep();
        if (line.starts_with(exchange_on_lifeline) && hear_) hear_(line);
    });
    state == LifelineReader::State::ended ? guardian_.on_lifeline_end() : guardian_.on_sign_of_life();
}

void NodeLoop::on_change(const NodeManagers::Change& change) {
    switch (guardian_.news_of(change.before, change.now)) {
        case Guardian::News::none:
            return;
        case Guardian::News::started: {
            Event event = identity_.event(Event::Kind::manager);
            event.manager = ShardId{managers_.of(change.local).manager()};
            event.text = managers_.place_of(change.local);
            return report(event);
        }
        case Guardian::News::reachable_again:
            return managers_.on_reachable_again(change.local);
        case Guardian::News::serves_again:
            return on_back(change.local);
        case Guardian::News::ended:
            return on_end(change.local);
    }
}

/// A manager that has died leaves its pool, and in it every pair that was acknowledged: another one is
/// started on it. Not without the pool's name, which is taken away when the job is about to be killed.
void NodeLoop::on_end(std::uint32_t local) {
    const ManagerProcess& manager = managers_.of(local);
    follow(local, restarts_.on_end(
                      local, {.how = manager.how(),
                              .is_wanted = manager.ended_for_restart(),
                              .may_restart = !segments_.are_names_withdrawn() && !guardian_.is_stopping(),
                              .is_hopeless = manager.is_hopeless()}));
}

/// What has been decided of a manager that has ended.
void NodeLoop::follow(std::uint32_t local, const DirectoryEntry& entry) {
    entry.state == ServingState::lost ? lose(local, entry) : publish(entry);
}

void NodeLoop::start_due() {
    for (const std::uint32_t local : restarts_.take_due()) {
        if (guardian_.is_stopping()) continue;
        if (segments_.are_names_withdrawn()) {
            lose(local, restarts_.give_up(local, "the job is ending"));
        } else if (const Result<void> started = managers_.start_again(local, segments_); !started) {
            follow(local, restarts_.on_failed_start(local, reason(started.error())));
        }
    }
}

void NodeLoop::on_back(std::uint32_t local) {
    const ManagerProcess& manager = managers_.of(local);
    const Restarts::Back back = restarts_.on_back(local, manager.entry());
    publish(back.entry);
    for (const std::string& line : format_moved(identity_.event(Event::Kind::moved), back.entry))
        events_.add(line);
    Event event = identity_.event(Event::Kind::back);
    event.manager = ShardId{manager.manager()};
    event.text = back.how;
    event.milliseconds = static_cast<std::uint64_t>(back.down.count());
    event.pairs = manager.recovered()->pairs;
    event.missing = manager.recovered()->missing;
    report(event);
}

/// For good.
void NodeLoop::lose(std::uint32_t local, const DirectoryEntry& entry) {
    segments_.mark_gone(local);
    publish(entry);
    Event event = identity_.event(Event::Kind::lost);
    event.manager = entry.shard;
    event.text = entry.reason;
    report(event);
}

/// First for this node, which looks into its directory; then for the others.
void NodeLoop::publish(const DirectoryEntry& entry) {
    take_entry(entry);
    managers_.announce(entry);
}

/// One that does not fit is left to messages: clients ask the managers then.
void NodeLoop::take_entry(const DirectoryEntry& entry) {
    if (const Result<bool> updated = segments_.update_entry(entry); !updated.has_value())
        std::fprintf(stderr, "ddict-launch on %s: %s\n", identity_.node.c_str(),
                     updated.error().message().c_str());
}

void NodeLoop::report_handle(std::string_view handle) {
    for (const std::string& line : format_handle(identity_.event(Event::Kind::handle), handle))
        events_.add(line);
}

}  // namespace ddict::launcher
