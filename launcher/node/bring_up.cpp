// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node/bring_up.h"

#include <unistd.h>

#include <cstdio>

#include "launcher/launch_loop.h"
#include "launcher/memory_budget.h"
#include "launcher/node/stream_rendezvous.h"
#include "launcher/node_network.h"
#include "os/network_interfaces.h"
#include "pmix/session.h"
#include "shm/segment.h"
#include "slurm/memory_limit.h"

namespace ddict::launcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds look_interval{50};

/// For the user.
std::string did_not_start(const ManagerProcess& manager) {
    return "manager " + std::to_string(manager.manager()) + " did not start: " + manager.how();
}

}  // namespace

Result<void> BringUp::run() {
    if (const auto found = find_identity(node_.plan, node_.environment, node_.identity); !found) return found;
    Event here = node_.identity.event(Event::Kind::node);
    here.step = node_.identity.step;
    node_.loop.report(here);
    if (node_.plan.resume) {
        if (const auto agreed = agree_to_resume(); !agreed) return agreed;
    }
    if (const auto enough = check_memory(); !enough) return enough;
    if (const auto made = make_segments(); !made) return made;
    if (const auto started = start_managers(); !started) return started;
    if (const auto met = meet(); !met) return met;
    node_.segments.settle();
    return {};
}

/// Before anything is changed, on any node.
Result<void> BringUp::agree_to_resume() {
    if (const auto met = meet_others(); !met) return met;
    const auto packed = exchange("kept", pack_kept(node_.segments.find_kept()));
    if (!packed) return packed.error();
    std::vector<KeptOnNode> nodes;
    for (const std::string& one : *packed) {
        auto node = unpack_kept(one);
        if (!node) return node.error();
        nodes.push_back(*std::move(node));
    }
    return agree_on_kept(node_.plan, nodes);
}

Result<void> BringUp::check_memory() const {
    const NodePlan& plan = node_.plan;
    shm::remove_stale_segments();
    const auto shared_free = shm::shared_memory_free_bytes();
    if (!shared_free) return shared_free.error();
    const auto limit = slurm::memory_limit(plan.job_memory_bytes);
    if (!limit) return limit.error();
    return launcher::check_memory(
        {.managers = plan.managers_per_node,
         .managers_total = plan.nodes * plan.managers_per_node,
         .pool_bytes = plan.pool_bytes,
         .pools_kept = node_.segments.pools_kept(),
         .kept_missing_bytes = node_.segments.kept_missing_bytes()},
        {.shared_free_bytes = *shared_free, .free_bytes = limit->free_bytes(), .limited_by = limit->source});
}

Result<void> BringUp::make_segments() {
    auto places = find_places(node_.plan.bind, node_.plan.managers_per_node);
    if (!places) return places.error();
    node_.places = *std::move(places);
    const auto look_up = [this] {
        node_.loop.turn(milliseconds(0));
        return trouble();
    };
    if (const std::string why = no_huge_pages(node_.plan); !why.empty())
        std::fprintf(stderr, "ddict-launch on %s: --huge-pages: %s\n", node_.identity.node.c_str(),
                     why.c_str());
    const auto made = node_.segments.make(look_up);
    if (const std::string why = node_.segments.far_memory(); !why.empty())
        std::fprintf(stderr, "ddict-launch on %s: --bind: memory may be far from its manager: %s\n",
                     node_.identity.node.c_str(), why.c_str());
    return made;
}

Result<void> BringUp::start_managers() {
    const auto started = node_.managers.start(node_.segments, shared_addresses_);
    if (!started) return started;
    [[maybe_unused]] const int moved = chdir("/");  // the folder of the user's shell is not ours to keep
    return {};
}

Result<void> BringUp::meet_others() {
    if (rendezvous_) return {};
    switch (node_.plan.bootstrap) {
        case Bootstrap::alone:
            rendezvous_ = std::make_unique<LoneRendezvous>();
            return {};
        case Bootstrap::streams:
            rendezvous_ = over_streams();
            return {};
        case Bootstrap::pmix:
            break;
    }
    auto session = pmix::Session::open();
    if (!session) return session.error();
    rendezvous_ = *std::move(session);
    if (rendezvous_->index() != number_of(node_.identity.id) || rendezvous_->count() != node_.plan.nodes)
        return Error(Errc::system, "PMIx and Slurm do not agree about this node launcher's rank");
    return {};
}

std::unique_ptr<Rendezvous> BringUp::over_streams() {
    static constexpr milliseconds listen_interval{10};
    auto streams = std::make_unique<StreamRendezvous>(
        node_.identity, node_.plan.nodes,
        StreamRendezvous::Streams{.say = [this](const std::string& line) { node_.loop.say(line); },
                                  .listen = [this] { node_.loop.turn(listen_interval); }});
    node_.loop.hear_exchanges([to = streams.get()](std::string_view line) { to->hear(line); });
    return streams;
}

Result<void> BringUp::meet() {
    if (const auto met = meet_others(); !met) return met;
    if (const auto started = wait_for_managers(ManagerProcess::State::started); !started) return started;
    const auto all = agree_on_directory();
    if (!all) return all.error();
    if (const auto introduced = introduce(*all); !introduced) return introduced;
    if (const auto everyone = exchange("ready", "ready"); !everyone) return everyone.error();
    // From here on a death on another node is that node's affair; inside PMIx it would end the whole step.
    if (const auto left = rendezvous_->leave(); !left) return left;
    node_.loop.hear_exchanges({});
    node_.guardian.begin_serving();
    return node_.identity.id == NodeId{0} ? announce(*all) : Result<void>();
}

Result<NodeDirectory> BringUp::agree_on_directory() {
    auto all = exchange_directory("directory");
    if (!all || all->shared_addresses.empty()) return all;
    if (const auto avoided = avoid(all->shared_addresses); !avoided) return avoided.error();
    all = exchange_directory("directory without shared addresses");
    if (all) all->shared_addresses = shared_addresses_;
    return all;
}

Result<NodeDirectory> BringUp::exchange_directory(std::string_view key) {
    const auto managers = node_.managers.all();
    NodeContribution mine{.ucx_version = managers[0].ucx_version(),
                          .used_addresses = addresses_for_ucx(node_.environment),
                          .hosts = os::host_addresses().value_or(std::vector{std::string(all_hosts)}),
                          .entries = {}};
    for (const ManagerProcess& manager : managers) {
        mine.entries.push_back(manager.entry());
        mine.entries.back().is_restartable = node_.restarts.enabled();
    }
    const auto packed = exchange(key, pack_node(mine));
    if (!packed) return packed.error();
    return NodeDirectory::gather(*packed, node_.plan.managers_per_node);
}

/// Managers that have put such an address into theirs are started again without it. Rare, and so found out
/// only now: to ask before the first start would take every launch longer.
Result<void> BringUp::avoid(const std::vector<std::string>& shared_addresses) {
    shared_addresses_ = shared_addresses;
    const auto interfaces = os::network_interfaces();
    if (interfaces_for_ucx(interfaces, {}, node_.environment).size() ==
        interfaces_for_ucx(interfaces, shared_addresses_, node_.environment).size())
        return {};
    node_.managers.kill();
    while (node_.managers.any_runs()) {
        if (node_.guardian.told_to_stop() || node_.guardian.is_bring_up_overdue())
            return Error(Errc::timeout, "managers that are started again do not end");
        node_.loop.turn(look_interval);
    }
    node_.managers.clear();
    if (const auto formatted = node_.segments.format_again(); !formatted) return formatted;
    if (const auto started = start_managers(); !started) return started;
    return wait_for_managers(ManagerProcess::State::started);
}

Result<void> BringUp::introduce(const NodeDirectory& all) {
    const auto written = node_.segments.write_directory(all.ucx_version, all.entries);
    if (!written) return written;
    introduced_ = true;
    const auto own = all.entries.begin() + node_.identity.first_manager;
    node_.restarts.begin({own, own + node_.plan.managers_per_node});
    if (node_.plan.bootstrap != Bootstrap::alone) {
        node_.managers.permit(node_.plan.client_hosts);
        node_.managers.permit(all.hosts);
    }
    node_.managers.tell_directory();
    if (const auto ready = wait_for_managers(ManagerProcess::State::ready); !ready) return ready;
    if (node_.plan.resume) report_resumed();
    return {};
}

Result<void> BringUp::announce(const NodeDirectory& all) {
    const std::string handle = all.handle(node_.plan).serialize();
    if (handle.size() > limits::handle_bytes_max)
        return Error(Errc::too_large,
                     "the handle is too long: the addresses of UCX are larger than expected");
    node_.loop.report_handle(handle);
    Event ready = node_.identity.event(Event::Kind::ready);
    ready.step = node_.identity.step;
    node_.loop.report(ready);
    return {};
}

Result<std::vector<std::string>> BringUp::exchange(std::string_view key, std::string_view mine) {
    auto all = rendezvous_->exchange(key, mine, [this] {
        node_.loop.turn(milliseconds(0));
        return !trouble().has_value();
    });
    if (const auto good = trouble(); !good) return good.error();
    return all;
}

Result<void> BringUp::wait_for_managers(ManagerProcess::State state) {
    for (;;) {
        if (const auto replaced = replace_hopeless(); !replaced) return replaced;
        if (const auto good = trouble(); !good) return good;
        if (node_.managers.all_are(state)) return {};
        node_.loop.turn(2 * look_interval);
    }
}

/// What was kept for a manager can be so damaged that nothing leads to its pairs any more.
Result<void> BringUp::replace_hopeless() {
    if (!node_.plan.allow_empty || introduced_) return {};
    for (std::uint32_t i = 0; i < node_.managers.all().size(); ++i) {
        const ManagerProcess& manager = node_.managers.of(i);
        const bool is_hopeless = manager.state() == ManagerProcess::State::lost && manager.is_hopeless();
        if (!is_hopeless || !node_.segments.is_kept(i)) continue;
        if (const auto made = node_.segments.make_empty(i); !made) return made;
        if (const auto started = node_.managers.start_empty(i, node_.segments); !started) return started;
    }
    return {};
}

void BringUp::report_resumed() {
    Event event = node_.identity.event(Event::Kind::resumed);
    for (std::uint32_t i = 0; i < node_.managers.all().size(); ++i) {
        const ManagerProcess& manager = node_.managers.of(i);
        if (manager.recovered()) {
            event.pairs += manager.recovered()->pairs;
            event.missing += manager.recovered()->missing;
        }
        if (!node_.segments.is_kept(i))
            event.text += (event.text.empty() ? "" : ", ") + std::to_string(manager.manager());
    }
    node_.loop.report(event);
}

Result<void> BringUp::trouble() const {
    if (node_.guardian.told_to_stop()) return Error(Errc::timeout, "told to stop");
    if (const ManagerProcess* ended = node_.managers.first_ended(); ended != nullptr)
        return Error(Errc::manager_lost, did_not_start(*ended));
    if (node_.guardian.is_bring_up_overdue()) return Error(Errc::timeout, "not ready in time");
    return {};
}

std::string BringUp::why(const Error& error) const {
    std::string text = reason(error);
    for (const ManagerProcess& manager : node_.managers.all()) {
        if (error.code == Errc::manager_lost && manager.state() == ManagerProcess::State::lost)
            text = did_not_start(manager) + (node_.plan.resume && manager.is_hopeless()
                                                 ? "; with --allow-empty it begins empty, and ddict-launch "
                                                   "discard gives back all that is kept"
                                                 : "");
    }
    if (error.code == Errc::manager_lost && node_.identity.node.size() >= limits::node_name_bytes_max)
        text += "; UCX 1.13 aborts where the host's name is that long";
    if (introduced_ && node_.plan.nodes > 1)
        text += "; if the nodes do not reach each other, choose a network with DDICT_UCX_NET_DEVICES (" +
                node_.identity.node + " has " + describe_interfaces() + "), and see ddict-launch --check";
    return text;
}

}  // namespace ddict::launcher
