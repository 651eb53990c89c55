// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/node_loop.h"

#include <poll.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

namespace ddict::launcher {

void NodeLoop::turn(std::chrono::milliseconds wait) {
    std::vector<pollfd> fds{{signals_.fd(), POLLIN, 0},
                            {guardian_.is_lifeline_open() ? STDIN_FILENO : -1, POLLIN, 0},
                            {events_.poll_fd(), POLLOUT, 0}};
    const std::size_t own = fds.size();
    managers_.add_poll_entries(fds);
    if (poll(fds.data(), fds.size(), static_cast<int>(wait.count())) <= 0) return;
    if (fds[0].revents != 0) take_signals();
    if (fds[1].revents != 0) take_lifeline();
    if (fds[2].revents != 0) events_.flush();
    managers_.advance(
        std::span(fds).subspan(own),
        [this](const ManagerProcess& manager, ManagerProcess::State before) { on_change(manager, before); });
    for (const DirectoryEntry& entry : managers_.take_entries()) {
        const std::uint32_t local = number_of(entry.shard) - identity_.first_manager;
        if (local >= managers_.all().size())
            take_entry(entry);  // of this node's own nobody else says anything
    }
}

void NodeLoop::take_signals() {
    while (const auto signal = signals_.next())
        guardian_.on_signal(*signal);
    if (!guardian_.take_job_end()) return;
    segments_.withdraw_names();
    if (guardian_.is_in_job()) report(identity_.event(Event::Kind::ending));
}

void NodeLoop::take_lifeline() {
    char ignored[256];
    const ssize_t got = read(STDIN_FILENO, ignored, sizeof ignored);
    if (got > 0) guardian_.on_sign_of_life();
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) guardian_.on_lifeline_end();
}

/// A manager that has died leaves its pool, and in it every pair that was acknowledged: here it could be
/// started again on that pool. Until then it stays lost.
void NodeLoop::on_change(const ManagerProcess& manager, ManagerProcess::State before) {
    const Guardian::News news = guardian_.news_of(before, manager.state());
    if (news == Guardian::News::none) return;
    if (news == Guardian::News::lost) segments_.mark_gone(manager.manager() - identity_.first_manager);
    Event event = identity_.event(news == Guardian::News::lost ? Event::Kind::lost : Event::Kind::manager);
    event.manager = manager.manager();
    if (news == Guardian::News::lost) event.text = manager.how();
    report(event);
}

/// Of another node. One that does not fit is left to messages: clients ask the managers then.
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
