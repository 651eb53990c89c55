// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Can the nodes reach each other, on each of the interfaces that UCX would take? Tried with messages over
// TCP: each node listens on every address of its own, others connect to it, send a number, and expect the
// answer that only this node can give. An address that leads to another machine, or nowhere, shows.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "os/network_interfaces.h"

namespace ddict::launcher {

struct TrialAddress {
    std::string interface;
    std::string address;
    std::uint16_t port = 0;
};

/// What a node tells the others before they try.
struct TrialNode {
    std::string node;
    std::uint64_t secret = 0;  // makes its answers its own
    std::vector<TrialAddress> addresses;
};
std::string format_trial_node(const TrialNode& node);
/// protocol if it makes no sense.
Result<TrialNode> parse_trial_node(std::string_view text);

/// Which nodes a node tries: all where there are few; else its neighbours and those at distances that are
/// powers of two, so that every node is tried by many and nobody tries thousands.
std::vector<std::uint32_t> trial_partners(std::uint32_t self, std::uint32_t nodes);

struct TrialProblem {
    std::string to;  // node
    std::string interface;
    std::string address;
    std::string why;
};

class NetworkTrial {
  public:
    /// Listens on the interfaces' addresses, none of the loopback's. system if there are no descriptors.
    static Result<std::unique_ptr<NetworkTrial>> listen(const std::string& node,
                                                        const std::vector<os::NetworkInterface>& interfaces);
    ~NetworkTrial();
    NetworkTrial(const NetworkTrial&) = delete;
    NetworkTrial& operator=(const NetworkTrial&) = delete;

    const TrialNode& self() const;
    /// Connects to all addresses of the others, and answers them meanwhile. Ends by the timeout at the
    /// latest.
    std::vector<TrialProblem> run(const std::vector<TrialNode>& others, std::chrono::milliseconds timeout);
    /// Answers whoever is still trying; never waits.
    void answer();

  private:
    struct State;
    explicit NetworkTrial(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace ddict::launcher
