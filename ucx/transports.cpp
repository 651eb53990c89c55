// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What UCX can use, read from the text that it prints about a context: its API has no call for it.
#include <algorithm>
#include <sstream>

#include "ucx/context.h"
#include "ucx/worker.h"
#include "ucx/worker_impl.h"

namespace ddict::ucx {

std::vector<TransportDevice> usable_transports(ucp_context_h context) {
    std::vector<TransportDevice> usable;
    std::istringstream text(
        printed([context](std::FILE* stream) { ucp_context_print_info(context, stream); }));
    // "#      resource 3  :  md 1  dev 2  flags -- tcp/eth0"
    for (std::string line; std::getline(text, line);) {
        if (line.find(" resource ") == std::string::npos) continue;
        const std::string name = line.substr(line.find_last_of(' ') + 1);
        const std::size_t slash = name.find('/');
        if (slash == std::string::npos) continue;
        usable.push_back({name.substr(0, slash), name.substr(slash + 1)});
    }
    return usable;
}

Result<TransportSummary> available_transports(const DeviceOptions& devices) {
    auto context = make_context({.devices = devices});
    if (!context) return context.error();
    TransportSummary summary;
    unsigned major = 0;
    unsigned minor = 0;
    unsigned release = 0;
    ucp_get_version(&major, &minor, &release);
    summary.version = std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
    summary.usable = usable_transports(context->handle.get());
    summary.refused_settings = std::move(context->refused_settings);
    return summary;
}

namespace {

bool has_word(const std::string& text, const std::string& word) {
    return (" " + text + " ").find(" " + word + " ") != std::string::npos;
}

void add_word(std::string& text, const std::string& word) {
    if (!has_word(text, word)) text += (text.empty() ? "" : " ") + word;
}

}  // namespace

std::string Worker::Impl::describe(PeerId peer) const {
    const Endpoint* endpoint = endpoints_.find(peer);
    if (endpoint == nullptr || endpoint->handle == nullptr) return "closed";
    if (!endpoint->description.empty()) return endpoint->description;
    std::istringstream text(
        printed([endpoint](std::FILE* stream) { ucp_ep_print_info(endpoint->handle, stream); }));
    // "#                 lane[0]:  3:sysv/memory.0 md[2]  -> md[2]/sysv/sysdev[255] am am_bw#0"
    std::string names;
    for (std::string line; std::getline(text, line);) {
        const std::size_t lane = line.find("lane[");
        if (lane == std::string::npos) continue;
        std::istringstream fields(line.substr(line.find(':', lane) + 1));
        std::string resource;
        fields >> resource;
        const std::size_t colon = resource.find(':');
        if (colon == std::string::npos) continue;
        std::string name = resource.substr(colon + 1);
        add_word(names, name.substr(0, name.rfind('.')));
    }
    // While it is connecting the lanes may still change.
    if (endpoint->state() == EndpointState::open) endpoint->description = names;
    return names;
}

std::string Worker::Impl::ways_back() const {
    std::string names;
    for (const TransportDevice& usable : usable_transports(context_.get())) {
        if (usable.transport != "self" && usable.device != "lo") add_word(names, usable.device);
    }
    return names.find(' ') == std::string::npos ? std::string() : names;
}

}  // namespace ddict::ucx
