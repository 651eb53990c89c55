// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients that count what they were told of changes that cannot be made twice without being noticed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/sim_cluster.h"

namespace ddict::sim {

/// Adds, appends, swaps and takes without a pause, some at once.
class CountingClient {
  public:
    CountingClient(Cluster& cluster, SimClient& client, unsigned number, unsigned operations)
        : cluster_(cluster), client_(client), number_(number), left_(operations) {}

    void start(unsigned at_once);

    std::uint64_t added = 0;
    std::set<std::uint64_t> before;  // answers of fetch_add
    std::uint64_t appended = 0;
    std::uint64_t swapped = 0;
    std::uint64_t stored = 0;
    std::vector<std::string> taken;
    unsigned errors = 0;
    unsigned done = 0;

  private:
    void ask(Ask ask, std::function<void(const Outcome&)> then);
    void expect_ok(const Outcome& outcome);
    void next();
    void add();
    void append();
    void swap();
    std::string item() { return "item" + std::to_string(number_) + "-" + std::to_string(items_++); }
    void put();
    void put_several();
    void pop();

    Cluster& cluster_;
    SimClient& client_;
    unsigned number_;
    unsigned left_;
    unsigned items_ = 0;
    std::vector<std::string> mine_;
};

/// What they were told is what there is: they have finished, and nobody else has changed anything.
void expect_exact(Cluster& cluster, const std::deque<CountingClient>& clients);

}  // namespace ddict::sim
