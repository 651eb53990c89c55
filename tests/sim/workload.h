// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A client that runs a random program on keys it shares with others, and the book in which everyone's
// operations are kept, to be checked afterwards.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/linearizability.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {

/// Histories of all keys. An operation whose client was killed, or whose error leaves doubt, may have
/// happened or not; one whose error leaves none has not.
class Book {
  public:
    struct Line {
        RegisterOperation operation;
        bool counts = true;  // false: it certainly had no effect
    };

    Line& open(const std::string& key, RegisterOperation::Kind kind, std::uint64_t value);
    void close(Line& line, const Outcome& outcome);

    /// What cannot be explained; empty if all can.
    std::string contradictions() const;
    std::uint64_t histories() const { return lines_.size(); }
    std::uint64_t operations() const { return operations_; }
    std::uint64_t unknown() const { return unknown_; }
    const std::map<Errc, std::uint64_t>& errors() const { return errors_; }

  private:
    std::map<std::string, std::vector<std::unique_ptr<Line>>> lines_;
    std::map<Errc, std::uint64_t> errors_;
    std::uint64_t clock_ = 0;
    std::uint64_t operations_ = 0;
    std::uint64_t unknown_ = 0;
};

struct WorkloadOptions {
    unsigned operations = 25;
    unsigned in_flight_max = 3;
    unsigned keys = 4;
    std::chrono::microseconds pause_max{300};
    std::chrono::milliseconds timeout{30'000};
    bool clears = true;
};

/// Runs its program from start() on, as the network moves.
class SharingClient {
  public:
    SharingClient(Cluster& cluster, SimClient& client, Book& book, const WorkloadOptions& options);

    void start();
    SimClient& client() { return client_; }
    bool finished() const { return started_ == options_.operations && client_.in_flight() == 0; }

  private:
    void next();
    void clear(std::uint32_t manager);
    std::string key(std::uint64_t number) const {
        return "shared" + std::to_string(number / 2) + (number % 2 == 0 ? "" : "#");
    }

    Cluster& cluster_;
    SimClient& client_;
    Book& book_;
    WorkloadOptions options_;
    unsigned started_ = 0;
};

}  // namespace ddict::sim
