// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/ucx_variables.h"

namespace ddict::os {
namespace {

constexpr std::string_view own_prefix = "DDICT_UCX_";
constexpr std::string_view common_prefix = "UCX_";

}  // namespace

std::optional<UcxVariable> ucx_variable(const Environment& environment, std::string_view option) {
    for (const std::string_view prefix : {own_prefix, common_prefix}) {
        const auto found = environment.find(std::string(prefix) + std::string(option));
        if (found != environment.end()) return UcxVariable{found->first, std::string(option), found->second};
    }
    return std::nullopt;
}

std::vector<UcxVariable> own_ucx_variables(const Environment& environment) {
    std::vector<UcxVariable> variables;
    for (auto at = environment.lower_bound(own_prefix);
         at != environment.end() && at->first.starts_with(own_prefix); ++at)
        variables.push_back({at->first, at->first.substr(own_prefix.size()), at->second});
    return variables;
}

std::optional<UcxVariable> chosen_network_devices(const Environment& environment) {
    std::optional<UcxVariable> chosen = ucx_variable(environment, "NET_DEVICES");
    if (chosen && (chosen->value.empty() || chosen->value == "all")) chosen.reset();
    return chosen;
}

}  // namespace ddict::os
