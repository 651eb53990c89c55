// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/dictionary_owner.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace ddict::bench {

std::string DictionaryOwner::run(const Phase& phase, Tally& tally) {
    const auto before = std::chrono::steady_clock::now();
    std::string text;
    switch (phase.task) {
        case Task::open:
            if (options_.attach) {
                dictionary_.emplace(Dictionary::attach());
            } else {
                CreateOptions create;
                create.nodes = 1;
                create.managers_per_node = options_.managers;
                create.total_mem = options_.total_bytes;
                create.name = "bench";
                create.working_set = options_.working_set;
                dictionary_.emplace(Dictionary::create(create));
            }
            text = dictionary_->serialize();
            break;
        case Task::describe:
            text = describe(dictionary_->stats());
            break;
        case Task::request:
            (void)dictionary_->erase("a key that is not there");  // always a message
            break;
        case Task::empty:
            dictionary_->clear();
            break;
        case Task::destroy:
            if (!options_.attach) dictionary_->destroy();
            dictionary_.reset();
            break;
        default:
            throw std::logic_error("not a task of the owner");
    }
    ++tally.operations;
    tally.latencies.add(
        static_cast<std::uint64_t>((std::chrono::steady_clock::now() - before) / Nanoseconds(1)));
    return text;
}

std::string describe(const std::vector<ManagerStats>& managers) {
    nlohmann::json all = nlohmann::json::array();
    for (const ManagerStats& one : managers) {
        all.push_back({{"manager", one.manager},
                       {"node", one.node},
                       {"pid", one.pid},
                       {"pool_bytes", one.pool_bytes},
                       {"used_bytes", one.used_bytes},
                       {"sessions", one.sessions},
                       {"transport", one.transport}});
    }
    return all.dump();
}

std::vector<ManagerStats> parse_description(const std::string& text) {
    std::vector<ManagerStats> managers;
    for (const nlohmann::json& one : nlohmann::json::parse(text)) {
        ManagerStats& stats = managers.emplace_back();
        stats.manager = one.at("manager").get<std::uint32_t>();
        stats.node = one.at("node").get<std::string>();
        stats.pid = one.at("pid").get<std::int32_t>();
        stats.pool_bytes = one.at("pool_bytes").get<std::uint64_t>();
        stats.used_bytes = one.at("used_bytes").get<std::uint64_t>();
        stats.sessions = one.at("sessions").get<std::uint64_t>();
        stats.transport = one.at("transport").get<std::string>();
    }
    return managers;
}

}  // namespace ddict::bench
