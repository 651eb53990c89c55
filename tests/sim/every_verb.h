// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Clients that do everything there is to shared keys, alone and in batches, and the histories of the keys.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "tests/sim/value_model.h"

namespace ddict::sim {

/// Whether the code does not tell what came of a request.
bool outcome_unknown(Errc code);

/// As Book, for every verb.
class Histories {
  public:
    struct Line {
        ValueModel::Operation operation;
        bool counts = true;  // false: it certainly had no effect
    };

    Line& open(const Ask& ask);
    /// An answer other than an error of the transport.
    void close(Line& line, const Answer& answer);
    /// The key's manager could not be asked, or did not answer. Without doubt it had no effect.
    void give_up(Line& line, Errc code, bool in_doubt);

    /// What cannot be explained; empty if all can.
    std::string contradictions() const;
    std::uint64_t size() const { return lines_.size(); }
    std::uint64_t operations() const { return operations_; }
    const std::map<Errc, std::uint64_t>& errors() const { return errors_; }
    /// How often a verb was answered with success and an argument other than 0, or a value.
    std::uint64_t successes(wire::Verb verb) const {
        const auto found = successes_.find(verb);
        return found == successes_.end() ? 0 : found->second;
    }

  private:
    std::map<std::string, std::deque<Line>> lines_;
    std::map<Errc, std::uint64_t> errors_;
    std::map<wire::Verb, std::uint64_t> successes_;
    std::uint64_t clock_ = 0;
    std::uint64_t operations_ = 0;
};

/// Updates what an asker believes to be under a key by what it was answered.
void follow(Value& seen, const Ask& ask, const Outcome& outcome);

struct BusyOptions {
    unsigned operations = 20;
    unsigned in_flight_max = 2;
    unsigned keys = 3;
    std::chrono::microseconds pause_max{300};
    std::chrono::milliseconds timeout{30'000};
};

class BusyClient {
  public:
    BusyClient(Cluster& cluster, SimClient& client, Histories& histories, const BusyOptions& options = {});

    void start();
    SimClient& client() { return client_; }
    bool finished() const { return started_ == options_.operations && client_.in_flight() == 0; }
    /// How often an erase_prefix has removed a key.
    std::uint64_t erased_as_prefix() const { return erased_as_prefix_; }

  private:
    void next();
    void next_after_pause();
    void batch();
    static std::string key(unsigned number);
    std::string random_key();

    Cluster& cluster_;
    SimClient& client_;
    Histories& histories_;
    BusyOptions options_;
    std::map<std::string, Value> seen_;
    unsigned started_ = 0;
    std::uint64_t erased_as_prefix_ = 0;
};

}  // namespace ddict::sim
