// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/managers.h"

#include <algorithm>
#include <utility>

namespace ddict::launcher {

Result<void> NodeManagers::start(const NodeSegments& segments,
                                 const std::vector<std::string>& shared_addresses) {
    auto program = find_manager_program(plan_.manager_program);
    if (!program) return program.error();
    program_ = *std::move(program);
    shared_addresses_ = shared_addresses;
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        auto manager = start_one(i, segments, false);
        if (!manager) return manager.error();
        managers_.push_back(*std::move(manager));
    }
    return {};
}

Result<ManagerProcess> NodeManagers::start_one(std::uint32_t local, const NodeSegments& segments,
                                               bool takes_over) const {
    return ManagerProcess::start({.manager = identity_.first_manager + local,
                                  .program = program_,
                                  .pool = segments.pool_name(local),
                                  .directory = segments.directory_name(),
                                  .shared_addresses = shared_addresses_,
                                  .takes_over = takes_over,
                                  .environment = environment_});
}

Result<void> NodeManagers::start_again(std::uint32_t local, const NodeSegments& segments) {
    auto manager = start_one(local, segments, true);
    if (!manager) return manager.error();
    managers_[local] = *std::move(manager);
    return {};
}

void NodeManagers::on_reachable_again(std::uint32_t local) {
    managers_[local].permit(permitted_);
    managers_[local].tell(Control::directory);
}

void NodeManagers::add_poll_entries(std::vector<pollfd>& fds) const {
    for (const ManagerProcess& manager : managers_) {
        const int for_output = manager.has_unsent() ? POLLOUT : 0;
        fds.push_back({manager.control_fd(), static_cast<short>(POLLIN | for_output), 0});
        fds.push_back({manager.pidfd(), POLLIN, 0});
    }
}

std::vector<NodeManagers::Change> NodeManagers::advance(std::span<const pollfd> entries) {
    std::vector<Change> changes;
    for (std::uint32_t i = 0; i < managers_.size(); ++i) {
        if (entries[2 * i].revents == 0 && entries[2 * i + 1].revents == 0) continue;
        const ManagerProcess::State before = managers_[i].state();
        managers_[i].advance();
        if (managers_[i].state() != before) changes.push_back({i, before, managers_[i].state()});
    }
    return changes;
}

bool NodeManagers::all_are(ManagerProcess::State state) const {
    return std::none_of(managers_.begin(), managers_.end(),
                        [&](const ManagerProcess& m) { return m.state() < state; });
}

bool NodeManagers::any_runs() const {
    return std::any_of(managers_.begin(), managers_.end(),
                       [](const ManagerProcess& m) { return m.running(); });
}

Guardian::Managers NodeManagers::summary() const {
    Guardian::Managers summary{.any_runs = any_runs()};
    for (const ManagerProcess& manager : managers_) {
        summary.any_serves |= manager.state() == ManagerProcess::State::ready;
        summary.any_ended_by_client |= manager.ended_by_client();
    }
    return summary;
}

const ManagerProcess* NodeManagers::first_ended() const {
    const auto found = std::find_if(managers_.begin(), managers_.end(), [](const ManagerProcess& m) {
        return m.state() == ManagerProcess::State::lost || m.state() == ManagerProcess::State::ended;
    });
    return found == managers_.end() ? nullptr : &*found;
}

void NodeManagers::permit(const std::vector<std::string>& hosts) {
    permitted_.insert(permitted_.end(), hosts.begin(), hosts.end());
    for (ManagerProcess& manager : managers_)
        manager.permit(hosts);
}

void NodeManagers::tell_directory() {
    for (ManagerProcess& manager : managers_)
        manager.tell(Control::directory);
}

/// Rather by one that takes in what it is told: others may be stopped.
void NodeManagers::announce(const DirectoryEntry& entry) {
    for (const bool has_unsent : {false, true}) {
        for (ManagerProcess& manager : managers_) {
            const bool is_asked =
                manager.state() == ManagerProcess::State::ready && manager.has_unsent() == has_unsent;
            if (is_asked && manager.announce(entry)) return;
        }
    }
}

std::vector<DirectoryEntry> NodeManagers::take_entries() {
    std::vector<DirectoryEntry> all;
    for (ManagerProcess& manager : managers_) {
        for (DirectoryEntry& entry : manager.take_entries())
            all.push_back(std::move(entry));
    }
    return all;
}

void NodeManagers::stop() {
    for (ManagerProcess& manager : managers_)
        manager.stop();
}

void NodeManagers::kill() {
    for (ManagerProcess& manager : managers_)
        manager.kill();
}

}  // namespace ddict::launcher
