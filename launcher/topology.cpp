// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <tuple>
#include <type_traits>

namespace ddict::launcher {
namespace {

struct DestroyTopology {
    void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using Topology = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, DestroyTopology>;

struct FreeBitmap {
    void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<std::remove_pointer_t<hwloc_bitmap_t>, FreeBitmap>;

Error unknown(const char* what) {
    return Error(Errc::system,
                 std::string("--bind: hwloc cannot ") + what + ": " + std::generic_category().message(errno))
        .set_operation(Operation::launch);
}

/// Also what this process may not use: that is left out here, where it is seen.
Result<Topology> load() {
    hwloc_topology_t made = nullptr;
    if (hwloc_topology_init(&made) != 0) return unknown("start");
    Topology topology(made);
    hwloc_topology_set_flags(made, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    if (hwloc_topology_load(made) != 0) return unknown("tell the processors of this node");
    return topology;
}

os::Cpus numbers_of(hwloc_const_bitmap_t bitmap) {
    os::Cpus cpus;
    for (int i = hwloc_bitmap_first(bitmap); i >= 0; i = hwloc_bitmap_next(bitmap, i))
        cpus.push_back(static_cast<std::uint32_t>(i));
    return cpus;
}

/// Of these processors those of each core; each by itself where cores are not known.
std::vector<os::Cpus> cores_of(hwloc_topology_t topology, hwloc_bitmap_t cpus) {
    std::vector<os::Cpus> cores;
    const Bitmap rest(hwloc_bitmap_dup(cpus));
    const Bitmap part(hwloc_bitmap_alloc());
    for (hwloc_obj_t core = nullptr;
         (core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != nullptr;) {
        hwloc_bitmap_and(part.get(), core->cpuset, cpus);
        if (hwloc_bitmap_iszero(part.get())) continue;
        cores.push_back(numbers_of(part.get()));
        hwloc_bitmap_andnot(rest.get(), rest.get(), core->cpuset);
    }
    for (const std::uint32_t cpu : numbers_of(rest.get()))
        cores.push_back({cpu});
    return cores;
}

/// The smallest first: what belongs to a whole socket leaves the domains within that alone.
std::vector<hwloc_obj_t> memories_of(hwloc_topology_t topology) {
    std::vector<hwloc_obj_t> memories;
    for (hwloc_obj_t node = nullptr;
         (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != nullptr;)
        memories.push_back(node);
    const hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_nodeset(topology);
    const auto rank = [&](hwloc_obj_t node) {
        return std::tuple(hwloc_bitmap_weight(node->cpuset), hwloc_bitmap_isset(allowed, node->os_index) == 0,
                          node->os_index);
    };
    std::sort(memories.begin(), memories.end(),
              [&](hwloc_obj_t a, hwloc_obj_t b) { return rank(a) < rank(b); });
    return memories;
}

}  // namespace

bool can_find_domains() {
    return true;
}

Result<std::vector<Domain>> find_domains(const os::Cpus& permitted) {
    const auto topology = load();
    if (!topology) return topology.error();
    const Bitmap free(hwloc_bitmap_alloc());
    for (const std::uint32_t cpu : permitted)
        hwloc_bitmap_set(free.get(), cpu);
    hwloc_bitmap_and(free.get(), free.get(), hwloc_topology_get_allowed_cpuset(topology->get()));
    const hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_nodeset(topology->get());
    std::vector<Domain> domains;
    const Bitmap part(hwloc_bitmap_alloc());
    for (hwloc_obj_t node : memories_of(topology->get())) {
        hwloc_bitmap_and(part.get(), free.get(), node->cpuset);
        if (hwloc_bitmap_iszero(part.get())) continue;
        hwloc_bitmap_andnot(free.get(), free.get(), node->cpuset);
        domains.push_back({.number = node->os_index,
                           .has_memory = hwloc_bitmap_isset(allowed, node->os_index) != 0,
                           .cores = cores_of(topology->get(), part.get())});
    }
    std::sort(domains.begin(), domains.end(),
              [](const Domain& a, const Domain& b) { return a.number < b.number; });
    return domains;
}

}  // namespace ddict::launcher
