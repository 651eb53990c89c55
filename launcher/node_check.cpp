// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_check.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launcher/launch_loop.h"
#include "launcher/lifeline.h"
#include "launcher/manager_process.h"
#include "launcher/node/node_identity.h"
#include "launcher/node/segments.h"
#include "launcher/node/stream_rendezvous.h"
#include "launcher/node_network.h"
#include "launcher/resume.h"
#include "launcher/sizes.h"
#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"
#include "os/host_name.h"
#include "pmix/session.h"
#include "shm/kept_dictionary.h"
#include "shm/segment.h"
#include "slurm/memory_limit.h"

namespace ddict::launcher {
namespace {

constexpr std::chrono::seconds probe_timeout{10};
// For a connection to a host that drops what it gets; TCP itself repeats after one and three seconds.
constexpr std::chrono::milliseconds trial_timeout{4'000};

std::string text_of_file(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

void look_at_limits(NodeFacts& facts) {
    utsname names{};
    if (uname(&names) == 0) facts.host_name_bytes = std::strlen(names.nodename);
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    facts.open_files_soft = files.rlim_cur;
    facts.open_files_hard = files.rlim_max;
    if (rlimit file_bytes{}; getrlimit(RLIMIT_FSIZE, &file_bytes) == 0)
        facts.file_bytes_max = file_bytes.rlim_cur;
    facts.segments = count_segments(text_of_file("/proc/sysvipc/shm"), [](std::int64_t pid) {
        return kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH;
    });
    std::istringstream(text_of_file("/proc/sys/kernel/shmmni")) >> facts.segments.max;
}

/// Of all names.
void look_at_kept(NodeFacts& facts) {
    const auto all_kept = shm::list_kept();
    if (!all_kept) {
        facts.kept_unseen = reason(all_kept.error());
        return;
    }
    for (const shm::KeptDictionary& kept : *all_kept)
        facts.kept += (facts.kept.empty() ? "'" : ", '") + kept.name + "' (" + format_size(kept.bytes()) +
                      ", since " + local_time(kept.kept_at) + ")";
}

void look_at_memory(const NodePlan& plan, NodeFacts& facts) {
    facts.stale_removed = shm::remove_stale_segments().size();  // as a start would, before it looks
    look_at_kept(facts);
    if (struct statvfs shm{}; statvfs("/dev/shm", &shm) == 0)
        facts.shared_total_bytes = shm.f_blocks * shm.f_frsize;
    if (const auto shared_free = shm::shared_memory_free_bytes())
        facts.memory.shared_free_bytes = *shared_free;
    if (const auto limit = slurm::memory_limit(plan.job_memory_bytes)) {
        facts.memory.free_bytes = limit->free_bytes();
        facts.memory.limited_by = limit->source;
        facts.limit_unseen = limit->unseen;
    }
}

/// UCX is the manager's business: ask it.
void probe_ucx(const std::string& manager_program, const os::Environment& environment, NodeFacts& facts) {
    const auto program = find_manager_program(manager_program);
    if (!program) {
        facts.ucx_error = reason(program.error());
        return;
    }
    const auto answer = os::capture_output({*program, "--probe"}, environment, probe_timeout);
    if (!answer) {
        facts.ucx_error = reason(answer.error());
        return;
    }
    const nlohmann::json report = nlohmann::json::parse(answer->output, nullptr, false);
    try {
        for (const auto& transport : report.at("transports"))
            facts.transports.emplace_back(transport.at("transport").get<std::string>(),
                                          transport.at("device").get<std::string>());
        for (const auto& setting : report.at("refused_settings"))
            facts.ucx_refused += (facts.ucx_refused.empty() ? "" : ", ") + setting.get<std::string>();
        report.at("ucx_version").get_to(facts.ucx_version);
    } catch (const nlohmann::json::exception&) {
        facts.ucx_error =
            *program + " --probe " + answer->status.describe() + ": " + last_line(answer->errors);
    }
}

/// The standard streams of this process, over which it meets the others.
class CheckStreams {
  public:
    /// `identity` must outlive it.
    CheckStreams(const NodeIdentity& identity, std::uint32_t count)
        : rendezvous_(identity, count,
                      {.say = [](const std::string& line) { os::write_fully(STDOUT_FILENO, line); },
                       .listen = [this] { listen(); }}) {}

    Rendezvous& rendezvous() { return rendezvous_; }
    /// Nobody is there any more who could answer.
    bool is_over() const { return is_over_; }

  private:
    void listen() {
        constexpr int listen_ms = 10;
        pollfd in{STDIN_FILENO, POLLIN, 0};
        if (poll(&in, 1, listen_ms) <= 0) return;
        const auto state = lifeline_.read_from(STDIN_FILENO, [this](std::string_view line) {
            if (line.starts_with(exchange_on_lifeline)) rendezvous_.hear(line);
        });
        is_over_ = is_over_ || state == LifelineReader::State::ended;
    }

    StreamRendezvous rendezvous_;
    LifelineReader lifeline_;
    bool is_over_ = false;
};

/// Collective: all nodes call it, and each tells what it has seen.
Result<void> try_others(Rendezvous& rendezvous, const std::function<bool()>& is_over,
                        const os::Environment& environment, NodeFacts& facts) {
    const auto interfaces = os::network_interfaces();
    const auto mine = interfaces_for_ucx(interfaces, {}, environment);
    auto trial = NetworkTrial::listen(facts.node, mine);
    if (!trial) return trial.error();
    const auto told = rendezvous.exchange("trial", format_trial_node((*trial)->self()), is_over);
    if (!told) return told.error();
    std::vector<TrialNode> nodes;
    std::vector<std::vector<std::string>> addresses;
    for (const std::string& text : *told) {
        auto node = parse_trial_node(text);
        if (!node) return node.error();
        for (auto& of_node = addresses.emplace_back(); const TrialAddress& address : node->addresses)
            of_node.push_back(address.address);
        nodes.push_back(*std::move(node));
    }
    const auto shared = os::shared_addresses(addresses);
    for (const auto& interface : interfaces_for_ucx(interfaces, shared, environment)) {
        if (!interface.loopback) facts.network.used.push_back(interface.name);
    }
    facts.network.left_out = os::dead_end_interfaces(interfaces, shared);
    std::vector<TrialNode> partners;
    for (const std::uint32_t partner : trial_partners(rendezvous.index(), rendezvous.count())) {
        TrialNode& node = partners.emplace_back(nodes[partner]);
        // On a node where nothing else is left, such an address is tried.
        if (std::any_of(node.addresses.begin(), node.addresses.end(), [&](const TrialAddress& address) {
                return std::find(shared.begin(), shared.end(), address.address) == shared.end();
            }))
            std::erase_if(node.addresses, [&](const TrialAddress& address) {
                return std::find(shared.begin(), shared.end(), address.address) != shared.end();
            });
    }
    facts.network.nodes_tried = static_cast<std::uint32_t>(partners.size());
    facts.network.problems = (*trial)->run(partners, trial_timeout);
    const auto finished = rendezvous.exchange("tried", "tried", [&] {
        (*trial)->answer();
        return is_over();
    });
    return finished ? Result<void>() : Result<void>(finished.error());
}

void try_network(const NodePlan& plan, const NodeIdentity& identity, const os::Environment& environment,
                 NodeFacts& facts) {
    if (plan.bootstrap == Bootstrap::alone || plan.nodes == 1) {
        facts.network.left_out = os::dead_end_interfaces(os::network_interfaces(), {});
        return;
    }
    const auto try_over = [&](Rendezvous& rendezvous, const std::function<bool()>& is_over) {
        if (const auto tried = try_others(rendezvous, is_over, environment, facts); !tried)
            facts.network.error = reason(tried.error());
    };
    if (plan.bootstrap == Bootstrap::streams) {
        CheckStreams streams(identity, plan.nodes);
        return try_over(streams.rendezvous(), [&] { return streams.is_over(); });
    }
    auto session = pmix::Session::open();
    if (!session) {
        facts.network.error = reason(session.error());
        return;
    }
    try_over(**session, [] { return false; });
    // What cannot be left in good order has nothing more to say.
    [[maybe_unused]] const bool left = (*session)->leave().has_value();
}

/// As a start would bind them.
void look_for_places(const NodePlan& plan, NodeFacts& facts) {
    const auto places = find_places(plan.bind, plan.managers_per_node);
    if (places) {
        facts.places = describe(*places);
    } else {
        facts.unbound = reason(places.error());
    }
}

/// What does not fit into a line is left out.
void look_for_kept(const NodePlan& plan, NodeFacts& facts) {
    constexpr std::size_t missing_max = 20;
    KeptOnNode kept = find_kept(plan.name, facts.node).on_node;
    if (kept.missing.size() > missing_max) kept.missing.resize(missing_max);
    if (kept.trouble) kept.trouble->detail[100] = '\0';
    facts.kept_of_name = pack_kept(kept);
}

}  // namespace

std::string last_line(const std::string& text) {
    std::istringstream lines(text);
    std::string last;
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty()) last = line;
    }
    return last;
}

NodeFacts look_at_this_node(const NodePlan& plan, const os::Environment& environment) {
    NodeFacts facts;
    NodeIdentity identity;
    if (find_identity(plan, environment, identity)) facts.rank = number_of(identity.id);
    facts.node = os::host_name();
    look_at_limits(facts);
    look_at_memory(plan, facts);
    if (plan.resume) look_for_kept(plan, facts);
    facts.no_huge_pages = no_huge_pages(plan);
    if (plan.bind != Bind::none) look_for_places(plan, facts);
    probe_ucx(plan.manager_program, environment, facts);
    try_network(plan, identity, environment, facts);
    return facts;
}

}  // namespace ddict::launcher
