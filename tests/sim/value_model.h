// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What each operation on one key must answer, and leave behind: the dictionary without a network.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/linearizability.h"
#include "tests/sim/sim_cluster.h"

namespace ddict::sim {

struct Stored {
    std::vector<std::byte> bytes;
    std::uint16_t type = 0;
};
/// What there is under a key.
using Value = std::optional<Stored>;

/// As much of an answer as the model can tell.
struct Answer {
    Errc code{};
    std::uint64_t argument = 0;
    std::uint64_t content = 0;  // of the value that came with it
    bool operator==(const Answer&) const = default;
};
std::string text_of(const Answer& answer);

/// Performs any operation on one key.
Answer perform(const Ask& ask, Value& value);
/// What was answered really.
Answer answer_of(wire::Verb verb, const Outcome& outcome);

/// An operation on `key` that changes or reads it, with operands for which every branch happens now and then;
/// `seen`: what the asker believes to be there. Some values travel as payloads.
Ask random_ask(Random& random, std::string key, const Value& seen);

/// For LinearizabilityCheck.
class ValueModel {
  public:
    struct Operation {
        static constexpr std::uint64_t never = RegisterOperation::never;
        Ask ask;
        Answer answer;
        std::uint64_t called = 0;
        std::uint64_t returned = never;
        bool complete() const { return returned != never; }
    };
    using State = std::uint64_t;  // 0: nothing there; otherwise a name of what is

    std::optional<State> apply(const Operation& operation, State state);
    static bool only_reads(const Operation& operation);

  private:
    State name_of(const Value& value);

    std::map<State, Stored> values_;
};

}  // namespace ddict::sim
