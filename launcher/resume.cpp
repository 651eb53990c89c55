// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/resume.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "base/bytes.h"
#include "base/counted.h"
#include "launcher/sizes.h"
#include "shm/pool.h"

namespace ddict::launcher {
namespace {

Error cannot(Errc code, const std::string& text) {
    return Error(code, text).set_operation(Operation::launch);
}

/// As --total-mem takes it, exactly.
std::string exact_size(std::uint64_t bytes) {
    constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
    return bytes % mebibyte == 0 ? std::to_string(bytes / mebibyte) + "M" : std::to_string(bytes);
}

bool is_there(const shm::KeptDictionary& kept, std::uint32_t manager) {
    const std::string name = shm::pool_segment_name(kept.dictionary_id, manager);
    const auto pool = shm::Segment::open(name, shm::Access::read_only);
    return pool && pool->size() == kept.pool_bytes && shm::Pool::was_attached(*pool) &&
           shm::Segment::open(shm::reply_segment_name(name), shm::Access::read_only);
}

std::string in_words(const WorkingSetSettings& set) {
    return counted(set.size, "checkpoint") + (set.waits_for_keys ? " that wait for keys" : "") +
           (set.waits_for_writers ? " that wait for writers" : "");
}

/// What has been asked for is not what is there.
std::optional<Error> difference(const NodePlan& plan, const shm::KeptDictionary& kept) {
    if (kept.nodes == plan.nodes && kept.managers_per_node == plan.managers_per_node &&
        kept.pool_bytes == plan.pool_bytes && kept.working_set == plan.working_set)
        return std::nullopt;
    const bool shows_checkpoints = kept.working_set != plan.working_set;
    const auto words = [&](const auto& of) {
        const std::uint64_t bytes = std::uint64_t{of.nodes} * of.managers_per_node * of.pool_bytes;
        return counted(of.nodes, "node") + " of " + counted(of.managers_per_node, "manager") + " with " +
               exact_size(bytes) + " in all" + (shows_checkpoints ? " and " + in_words(of.working_set) : "");
    };
    return cannot(Errc::invalid_argument, "'" + plan.name + "' was kept on " + words(kept) + ", and " +
                                              words(plan) + " are asked for: ask for what was kept");
}

}  // namespace

std::string pack_kept(const KeptOnNode& node) {
    std::vector<std::byte> packed;
    Packer packer(packed);
    packer.put_text(node.node);
    packer.put(static_cast<std::uint8_t>(node.kept.has_value()));
    if (node.kept) {
        const shm::KeptDictionary& kept = *node.kept;
        packer.put(kept.dictionary_id).put(kept.pool_bytes).put(kept.kept_at);
        packer.put(kept.nodes).put(kept.managers_per_node).put(kept.first_manager).put(kept.layout_version);
        packer.put(kept.working_set.packed());
        packer.put_text(kept.name);
    }
    packer.put(static_cast<std::uint32_t>(node.missing.size()));
    for (const std::uint32_t manager : node.missing)
        packer.put(manager);
    packer.put(node.trouble ? static_cast<std::uint16_t>(node.trouble->code) : std::uint16_t{0});
    packer.put_text(node.trouble ? std::string_view(node.trouble->detail.data()) : std::string_view());
    return std::string(text_of(packed));
}

Result<KeptOnNode> unpack_kept(std::string_view packed) {
    Unpacker in(bytes_of(packed));
    KeptOnNode node;
    node.node = in.take_text();
    if (in.take<std::uint8_t>() != 0) {
        shm::KeptDictionary& kept = node.kept.emplace();
        kept.dictionary_id = in.take<std::uint64_t>();
        kept.pool_bytes = in.take<std::uint64_t>();
        kept.kept_at = in.take<std::int64_t>();
        kept.nodes = in.take<std::uint32_t>();
        kept.managers_per_node = in.take<std::uint32_t>();
        kept.first_manager = in.take<std::uint32_t>();
        kept.layout_version = in.take<std::uint32_t>();
        kept.working_set = WorkingSetSettings::of(in.take<std::uint32_t>());
        kept.name = in.take_text();
    }
    for (auto count = in.take<std::uint32_t>(); in.good() && count > 0; --count)
        node.missing.push_back(in.take<std::uint32_t>());
    const auto code = in.take<std::uint16_t>();
    const std::string text = in.take_text();
    if (code != 0) node.trouble = cannot(static_cast<Errc>(code), text);
    if (!in.good() || !in.at_end() || code > errc_last)
        return cannot(Errc::protocol, "what a node launcher has sent of what it has kept makes no sense");
    return node;
}

FoundKept find_kept(const std::string& name, const std::string& node) {
    FoundKept found;
    found.on_node.node = node;
    const auto refuse = [&found](Error error) {
        found.on_node.trouble = error.set_operation(Operation::launch);
        return std::move(found);
    };
    Result<std::vector<shm::KeptDictionary>> listed = shm::list_kept();
    if (!listed) return refuse(listed.error());
    std::vector<shm::KeptDictionary> all = *std::move(listed);
    std::erase_if(all, [&](const shm::KeptDictionary& kept) { return kept.name != name; });
    if (all.empty()) return found;
    const shm::KeptDictionary& kept = all.front();
    if (all.size() > 1)
        return refuse(cannot(Errc::invalid_argument,
                             "several dictionaries named '" + name + "' were kept, the first at " +
                                 local_time(kept.kept_at) + ", the last at " +
                                 local_time(all.back().kept_at) + ": ddict-launch discard removes them"));
    if (!kept.is_of_this_version())
        return refuse(cannot(Errc::incompatible, "'" + name + "' was kept by another version of ddict, at " +
                                                     local_time(kept.kept_at) +
                                                     ": resume it with that one, or discard it"));
    auto mark = shm::Segment::open(shm::kept_segment_name(kept.dictionary_id), shm::Access::read_write);
    if (!mark) return mark.error().code == Errc::dictionary_gone ? std::move(found) : refuse(mark.error());
    if (const auto owned = mark->own(); !owned) {
        if (owned.error().code == Errc::dictionary_gone) return found;
        return refuse(cannot(Errc::busy, "'" + name + "' is being resumed by another process"));
    }
    found.on_node.kept = kept;
    found.mark.emplace(*std::move(mark));
    for (std::uint32_t i = 0; i < kept.managers_per_node; ++i)
        if (!is_there(kept, kept.first_manager + i)) found.on_node.missing.push_back(kept.first_manager + i);
    return found;
}

Result<void> agree_on_kept(const NodePlan& plan, std::span<const KeptOnNode> nodes) {
    for (const KeptOnNode& node : nodes)
        if (node.trouble)
            return Error(*node.trouble)
                .set_detail((nodes.size() > 1 ? node.node + ": " : "") + node.trouble->detail.data());
    const KeptOnNode* first = nullptr;
    std::string missing;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const KeptOnNode& node = nodes[i];
        if (!node.kept) {
            missing += (missing.empty() ? "" : ", ") + node.node + " has kept nothing";
            continue;
        }
        if (const auto differs = difference(plan, *node.kept)) return *differs;
        const std::size_t manager = i * plan.managers_per_node;
        if (node.kept->first_manager != manager)
            return cannot(Errc::invalid_argument,
                          node.node + " has kept what manager " + std::to_string(node.kept->first_manager) +
                              " had, and is to have manager " + std::to_string(manager) + ": resume '" +
                              plan.name + "' on the same nodes, all of them");
        if (first == nullptr) first = &node;
        if (node.kept->dictionary_id != first->kept->dictionary_id)
            return cannot(Errc::invalid_argument, "what " + first->node + " has kept of '" + plan.name +
                                                      "' at " + local_time(first->kept->kept_at) +
                                                      " is not of the same dictionary as what " + node.node +
                                                      " has kept at " + local_time(node.kept->kept_at) +
                                                      ": ddict-launch discard removes it");
        for (const std::uint32_t one : node.missing)
            missing += (missing.empty() ? "" : ", ") + std::string("that of manager ") + std::to_string(one) +
                       " on " + node.node + " is not there";
    }
    if (missing.empty() || plan.allow_empty) return {};
    if (first == nullptr)
        return cannot(Errc::not_found, "nothing was kept of '" + plan.name + "' on " + nodes.front().node +
                                           (nodes.size() > 1 ? ", nor on any other of its nodes" : "") +
                                           ": start it without --resume, or with --allow-empty");
    return cannot(Errc::not_found, "a part of '" + plan.name + "' is missing: " + missing.substr(0, 80) +
                                       "; --allow-empty has these managers begin empty");
}

std::string local_time(std::int64_t seconds) {
    const std::time_t time = seconds;
    std::tm fields{};
    localtime_r(&time, &fields);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &fields);
    return text.data();
}

}  // namespace ddict::launcher
