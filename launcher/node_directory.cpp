// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/node_directory.h"

#include <algorithm>
#include <set>

#include "base/limits.h"
#include "os/network_interfaces.h"

namespace ddict::launcher {
namespace {

std::string version_text(std::uint32_t version) {
    return std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
}

}  // namespace

std::string pack_node(const NodeContribution& node) {
    std::vector<std::byte> packed;
    Packer packer(packed);
    packer.put(node.ucx_version);
    for (const auto* const list : {&node.used_addresses, &node.hosts}) {
        packer.put(static_cast<std::uint32_t>(list->size()));
        for (const std::string& address : *list)
            packer.put_text(address);
    }
    for (const DirectoryEntry& entry : node.entries)
        pack(entry, packed);
    return std::string(text_of(packed));
}

Result<NodeDirectory> NodeDirectory::gather(const std::vector<std::string>& contributions,
                                            std::uint32_t managers_per_node) {
    NodeDirectory all;
    std::vector<std::vector<std::string>> addresses(contributions.size());
    std::set<std::string> hosts;
    for (std::size_t node = 0; node < contributions.size(); ++node) {
        Unpacker in(bytes_of(contributions[node]));
        const auto ucx_version = in.take<std::uint32_t>();
        for (auto count = in.take<std::uint32_t>(); in.good() && count > 0; --count)
            addresses[node].push_back(std::string(in.take_text()));
        for (auto count = in.take<std::uint32_t>(); in.good() && count > 0; --count)
            hosts.insert(std::string(in.take_text()));
        std::vector<DirectoryEntry> entries;
        while (in.good() && !in.at_end() && entries.size() < managers_per_node)
            entries.push_back(unpack_directory_entry(in));
        if (!in.good() || !in.at_end() || entries.size() != managers_per_node)
            return Error(Errc::protocol,
                         "what node launcher " + std::to_string(node) + " sent makes no sense");
        for (DirectoryEntry& entry : entries) {
            if (number_of(entry.shard) != all.entries.size() || entry.address.empty())
                return Error(Errc::protocol,
                             "node launcher " + std::to_string(node) + " sent a wrong directory entry");
            all.entries.push_back(std::move(entry));
        }
        if (node == 0) all.ucx_version = ucx_version;
        if (ucx_version != all.ucx_version)
            return Error(Errc::incompatible, all.entries.back().node + " runs UCX " +
                                                 version_text(ucx_version) + ", " + all.entries.front().node +
                                                 " runs UCX " + version_text(all.ucx_version) +
                                                 ": use the same on all nodes");
    }
    all.hosts.assign(hosts.begin(), hosts.end());
    all.shared_addresses = os::shared_addresses(addresses);
    if (all.shared_addresses.size() > Handle::shared_addresses_max)
        all.shared_addresses.resize(Handle::shared_addresses_max);
    return all;
}

Handle NodeDirectory::handle(const NodePlan& plan) const {
    Handle handle;
    handle.dictionary_id = plan.identity.dictionary_id;
    handle.secret = plan.identity.secret;
    handle.ucx_version = ucx_version;
    handle.managers = static_cast<std::uint32_t>(entries.size());
    handle.nodes = plan.nodes;
    handle.name = plan.name;
    handle.persist = plan.persist;
    handle.shared_addresses = shared_addresses;
    const std::size_t seeds = std::min<std::size_t>(limits::handle_seeds_max, entries.size());
    for (std::size_t i = 0; i < seeds; ++i)
        handle.seeds.push_back(entries[i * entries.size() / seeds]);
    return handle;
}

}  // namespace ddict::launcher
