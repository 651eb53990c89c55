// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Very many managers and clients in one process: what they send to each other, and what they allocate. The
// managers are real members on real pools, of which only the pages in use are kept; the clients are real
// requesters that behave as libclient does. Needs accounts.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddict::sim {

struct LargeClusterOptions {
    std::uint32_t managers = 100;
    std::uint32_t clients = 1000;
    std::uint32_t managers_per_host = 4;
    std::uint32_t partners = 4;                     ///< managers that each client talks to, at random
    std::uint32_t operations = 16;                  ///< of each client, a put and a get in turns
    std::uint32_t clients_without_directory = 100;  ///< one in so many has no manager on its host; 0: none
    std::uint64_t seed = 1;
};

/// One phase of a cluster's life. Messages and bytes are those that were sent; of memory what is held when
/// the phase is over.
struct PhaseCosts {
    std::string name;
    std::uint64_t manager_messages = 0;
    std::uint64_t manager_bytes = 0;
    std::uint64_t manager_messages_max = 0;  ///< of one
    std::uint64_t client_messages = 0;
    std::uint64_t client_bytes = 0;
    std::uint64_t client_messages_max = 0;
    std::int64_t manager_memory = 0;  ///< of all managers
    std::int64_t client_memory = 0;
    double virtual_ms = 0;
    double seconds = 0;  ///< that the simulation took
};

struct LargeClusterCosts {
    std::vector<PhaseCosts> phases;     ///< made, bring_up, attach, steady, leave
    std::uint64_t directory_bytes = 0;  ///< of each node's segment
    std::uint64_t operations_failed = 0;
    std::string problems;  ///< breaches of the transport's contract; empty if none
};

LargeClusterCosts run_large_cluster(const LargeClusterOptions& options);

}  // namespace ddict::sim
