// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/managers.h"

#include <algorithm>
#include <utility>

#include "launcher/lifeline_environment.h"

namespace ddict::launcher {

Result<void> NodeManagers::start(const NodeSegments& segments,
                                 const std::vector<std::string>& shared_addresses) {
    auto program = find_manager_program(plan_.manager_program);
    if (!program) return program.error();
    program_ = *std::move(program);
    shared_addresses_ = shared_addresses;
    for (std::uint32_t i = 0; i < plan_.managers_per_node; ++i) {
        auto manager = start_one(i, segments, segments.is_kept(i));
        if (!manager) return manager.error();
        managers_.push_back(*std::move(manager));
    }
    return {};
}

Result<ManagerProcess> NodeManagers::start_one(std::uint32_t local, const NodeSegments& segments,
                                               bool takes_over) const {
    os::Environment environment = environment_;
    // The user's word for it would have a lone manager wait for hosts that nobody will name.
    environment.erase(hosts_follow_variable);
    if (plan_.bootstrap != Bootstrap::alone) environment[hosts_follow_variable] = "1";
    return ManagerProcess::start({.manager = identity_.first_manager + local,
                                  .program = program_,
                                  .pool = segments.pool_name(local),
                                  .directory = segments.directory_name(),
                                  .shared_addresses = shared_addresses_,
                                  .cpus = local < places_.size() ? places_[local].cpus : os::Cpus(),
                                  .prefault = plan_.prefault,
                                  .huge_pages = plan_.huge_pages,
                                  .tells_sessions = plan_.tells_sessions,
                                  .takes_over = takes_over,
                                  .environment = std::move(environment)});
}

Result<void> NodeManagers::start_empty(std::uint32_t local, const NodeSegments& segments) {
    auto manager = start_one(local, segments, false);
    if (!manager) return manager.error();
    managers_[local] = *std::move(manager);
    return {};
}

Result<void> NodeManagers::start_again(std::uint32_t local, const NodeSegments& segments) {
    auto manager = start_one(local, segments, true);
    if (!manager) return manager.error();
    remember(managers_[local]);
    managers_[local] = *std::move(manager);
    return {};
}

/// Its pairs are those of the next one.
void NodeManagers::remember(const ManagerProcess& ended) {
    EndSummary summary;
    if (ended.summary()) summary = end_summary_of(ended.manager(), identity_.node, *ended.summary());
    summary.managers = 0;
    summary.pairs = 0;
    summary.is_partial = !ended.summary();
    earlier_.add(summary);
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

bool NodeManagers::is_any_to_be_kept() const {
    return std::any_of(managers_.begin(), managers_.end(),
                       [](const ManagerProcess& m) { return m.is_to_be_kept(); });
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

std::vector<NodeManagers::Fill> NodeManagers::take_fills() {
    std::vector<Fill> all;
    for (ManagerProcess& manager : managers_) {
        if (const auto fill = manager.take_fill()) all.push_back({manager.manager(), *fill});
    }
    return all;
}

std::vector<NodeManagers::Filled> NodeManagers::take_filled() {
    std::vector<Filled> all;
    for (ManagerProcess& manager : managers_) {
        if (auto filled = manager.take_filled()) all.push_back({manager.manager(), *std::move(filled)});
    }
    return all;
}

std::vector<NodeManagers::SessionNews> NodeManagers::take_sessions() {
    std::vector<SessionNews> all;
    for (ManagerProcess& manager : managers_) {
        for (std::string& text : manager.take_sessions())
            all.push_back({manager.manager(), std::move(text)});
    }
    return all;
}

EndSummary NodeManagers::end_summary() const {
    EndSummary all = earlier_;
    for (const ManagerProcess& manager : managers_) {
        if (manager.summary()) all.add(end_summary_of(manager.manager(), identity_.node, *manager.summary()));
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
