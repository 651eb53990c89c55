// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "slurm/allocation.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <unordered_set>

#include <unistd.h>

#include "base/limits.h"
#include "slurm/hostlist.h"

namespace ddict::slurm {

namespace {

Error not_understood(std::string_view variable, std::string_view value) {
    std::string text = "Slurm's variable ";
    text.append(variable).append(" is '").append(value).append(
        "', which makes no sense; is this a shell of a job?");
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

const std::string* look_up(const os::Environment& environment, std::string_view name) {
    const auto found = environment.find(name);
    return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

bool read_number(std::string_view text, std::uint64_t max, std::uint64_t& number) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end && number <= max;
}

// Slurm's short form for one number per node: "4(x2),8" is 4 4 8. None if it is malformed.
std::optional<std::vector<std::uint32_t>> read_repeated(std::string_view text) {
    std::vector<std::uint32_t> numbers;
    while (true) {
        const std::string_view part = text.substr(0, text.find(','));
        const std::size_t open = part.find("(x");
        std::uint64_t number = 0;
        std::uint64_t times = 1;
        if (!read_number(part.substr(0, open), UINT32_MAX, number)) return std::nullopt;
        if (open != std::string_view::npos) {
            if (part.back() != ')') return std::nullopt;
            const std::string_view count = part.substr(open + 2, part.size() - open - 3);
            if (!read_number(count, limits::hosts_max, times)) return std::nullopt;
        }
        if (times > limits::hosts_max - numbers.size()) return std::nullopt;
        numbers.insert(numbers.end(), times, static_cast<std::uint32_t>(number));
        if (part.size() == text.size()) return numbers;
        text.remove_prefix(part.size() + 1);
    }
}

// The variables of one group of the job: a plain job has one, and no suffix.
class Group {
  public:
    Group(const os::Environment& environment, std::uint32_t number, std::string suffix)
        : environment_(environment), number_(number), suffix_(std::move(suffix)) {}

    Result<std::vector<AllocatedNode>> nodes() const {
        std::string variable = "SLURM_JOB_NODELIST" + suffix_;
        if (!look_up(environment_, variable)) variable = "SLURM_NODELIST" + suffix_;
        const std::string* const list = look_up(environment_, variable);
        if (!list)
            return Error(Errc::invalid_argument, "SLURM_JOB_ID is set, but SLURM_JOB_NODELIST" + suffix_ +
                                                     " is not; unset SLURM_JOB_ID if this is not a job")
                .set_operation(Operation::launch);
        const auto names = expand_hostlist(*list);
        if (!names || names->empty()) return not_understood(variable, *list);

        std::vector<AllocatedNode> nodes;
        for (const std::string& name : *names)
            nodes.push_back({.name = name, .het_group = number_});
        if (auto done = fill_cpus(nodes); !done) return done.error();
        if (auto done = fill_memory(nodes); !done) return done.error();
        return nodes;
    }

  private:
    Result<void> fill_cpus(std::vector<AllocatedNode>& nodes) const {
        const std::string variable = "SLURM_JOB_CPUS_PER_NODE" + suffix_;
        const std::string* const text = look_up(environment_, variable);
        if (!text) return {};
        const auto cpus = read_repeated(*text);
        if (!cpus) return not_understood(variable, *text);
        if (cpus->size() != nodes.size()) return {};  // of another list of nodes: says nothing about these
        for (std::size_t i = 0; i < nodes.size(); ++i)
            nodes[i].cpus = (*cpus)[i];
        return {};
    }

    // Requires fill_cpus(). Slurm counts memory in MB; 0 stands for all that the node has.
    Result<void> fill_memory(std::vector<AllocatedNode>& nodes) const {
        for (const bool per_cpu : {false, true}) {
            const std::string variable = (per_cpu ? "SLURM_MEM_PER_CPU" : "SLURM_MEM_PER_NODE") + suffix_;
            const std::string* const text = look_up(environment_, variable);
            if (!text) continue;
            std::uint64_t megabytes = 0;
            if (!read_number(*text, std::uint64_t{1} << 32, megabytes))
                return not_understood(variable, *text);
            for (AllocatedNode& node : nodes) {
                const std::uint64_t bytes = (megabytes << 20) * (per_cpu ? node.cpus : 1);
                if (bytes != 0) node.memory_bytes = bytes;
            }
            break;
        }
        return {};
    }

    const os::Environment& environment_;
    const std::uint32_t number_;
    const std::string suffix_;
};

constexpr std::uint64_t het_groups_max = 1024;

}  // namespace

const AllocatedNode* Allocation::find(std::string_view node_name) const {
    const auto found =
        std::find_if(nodes.begin(), nodes.end(), [&](const AllocatedNode& n) { return n.name == node_name; });
    return found == nodes.end() ? nullptr : &*found;
}

Result<std::optional<Allocation>> detect_allocation(const os::Environment& environment) {
    const std::string* id = look_up(environment, "SLURM_JOB_ID");
    if (!id) id = look_up(environment, "SLURM_JOBID");
    if (!id) return std::optional<Allocation>();
    Allocation allocation;
    allocation.job_id = *id;
    if (const std::string* const node = look_up(environment, "SLURMD_NODENAME")) allocation.this_node = *node;

    std::vector<Group> groups;
    if (const std::string* const size = look_up(environment, "SLURM_HET_SIZE")) {
        std::uint64_t count = 0;
        if (!read_number(*size, het_groups_max, count) || count == 0)
            return not_understood("SLURM_HET_SIZE", *size);
        allocation.het_groups = static_cast<std::uint32_t>(count);
        if (const std::string* const first = look_up(environment, "SLURM_JOB_ID_HET_GROUP_0"))
            allocation.job_id = *first;
        for (std::uint32_t i = 0; i < allocation.het_groups; ++i)
            groups.emplace_back(environment, i, "_HET_GROUP_" + std::to_string(i));
    } else {
        groups.emplace_back(environment, 0, "");
    }

    std::unordered_set<std::string> known;
    for (const Group& group : groups) {
        auto nodes = group.nodes();
        if (!nodes) return nodes.error();
        for (AllocatedNode& node : *nodes)
            if (known.insert(node.name).second) allocation.nodes.push_back(std::move(node));
    }
    std::uint64_t job_number = 0;
    if (!read_number(allocation.job_id, UINT32_MAX, job_number)) return not_understood("SLURM_JOB_ID", *id);
    return std::optional(std::move(allocation));
}

}  // namespace ddict::slurm
