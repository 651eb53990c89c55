// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/binding.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/counted.h"
#include "launcher/topology.h"

namespace ddict::launcher {
namespace {

constexpr std::array<std::pair<std::string_view, Bind>, 3> words{
    {{"none", Bind::none}, {"numa", Bind::numa}, {"core", Bind::core}}};
constexpr std::size_t places_shown_max = 8;

Error cannot(std::string_view text) {
    return Error(Errc::invalid_argument, text).set_operation(Operation::launch);
}

Place place_in(const Domain& domain, os::Cpus cpus) {
    return {.cpus = std::move(cpus), .domain = domain.number, .has_memory = domain.has_memory};
}

Place whole(const Domain& domain) {
    os::Cpus cpus;
    for (const os::Cpus& core : domain.cores)
        cpus.insert(cpus.end(), core.begin(), core.end());
    std::sort(cpus.begin(), cpus.end());
    return place_in(domain, std::move(cpus));
}

}  // namespace

std::string_view word_of(Bind bind) {
    return words[static_cast<std::size_t>(bind)].first;
}

std::optional<Bind> bind_named(std::string_view word) {
    for (const auto& [name, bind] : words)
        if (name == word) return bind;
    return std::nullopt;
}

std::string describe(const Place& place) {
    return std::string("on cpu") + (place.cpus.size() == 1 ? " " : "s ") + os::format_cpus(place.cpus) +
           " of NUMA domain " + std::to_string(place.domain);
}

std::string describe(const std::vector<Place>& places) {
    std::string text;
    for (std::size_t i = 0; i < std::min(places.size(), places_shown_max); ++i)
        text += (i == 0 ? "" : "; ") + describe(places[i]);
    if (places.size() > places_shown_max)
        text += "; and " + std::to_string(places.size() - places_shown_max) + " more";
    return text;
}

Result<std::vector<Place>> deal_out(const std::vector<Domain>& domains, Bind bind, std::uint32_t managers) {
    std::vector<Place> places;
    if (bind == Bind::none) return places;
    std::size_t cores = 0;
    for (const Domain& domain : domains)
        cores += domain.cores.size();
    if (cores == 0) return cannot("--bind: there is no processor here that this process may use");
    if (bind == Bind::core && managers > cores)
        return cannot("--bind core: " + counted(managers, "manager") + " and " + counted(cores, "core") +
                      " that this process may use: lower --managers-per-node, ask Slurm for more cores, or "
                      "let them share with --bind numa");
    std::vector<std::size_t> taken(domains.size());
    for (std::size_t turn = 0; places.size() < managers; ++turn) {
        const std::size_t at = turn % domains.size();
        const Domain& domain = domains[at];
        if (domain.cores.empty()) continue;
        if (bind == Bind::numa) {
            places.push_back(whole(domain));
        } else if (taken[at] < domain.cores.size()) {
            places.push_back(place_in(domain, domain.cores[domain.cores.size() - ++taken[at]]));
        }
    }
    return places;
}

Result<std::vector<Place>> find_places(Bind bind, std::uint32_t managers) {
    if (bind == Bind::none) return std::vector<Place>();
    const auto cpus = os::own_cpus();
    if (!cpus) return cpus.error();
    const auto domains = find_domains(*cpus);
    if (!domains) return domains.error();
    return deal_out(*domains, bind, managers);
}

}  // namespace ddict::launcher
