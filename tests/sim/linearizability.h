// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Is there an order of the operations on one key, in which each takes effect at one instant between its call
// and its return, that explains every answer? The search of Wing and Gong, with Lowe's memory of the
// situations already tried.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace ddict::sim {

/// One operation on a register that is empty (value 0) or holds a value. Calls and returns are numbered in
/// one sequence; all numbers differ.
struct RegisterOperation {
    enum class Kind { put, get, contains, erase, clear };
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

    Kind kind = Kind::get;
    std::uint64_t value = 0;  // put: written, not 0. get: what was read, 0 for not_found.
                              // contains, erase: 1 if the key was there, else 0
    std::uint64_t called = 0;
    std::uint64_t returned =
        never;  // never: the outcome is not known; it may take effect later, or not at all
    bool complete() const { return returned != never; }
};

/// A model says what an operation makes of a state.
struct RegisterModel {
    using Operation = RegisterOperation;
    using State = std::uint64_t;
    using Kind = RegisterOperation::Kind;

    static bool only_reads(const RegisterOperation& operation) {
        return operation.kind == Kind::get || operation.kind == Kind::contains ||
               (operation.kind == Kind::erase && operation.complete() && operation.value == 0);
    }

    /// The register after the operation; nothing if its answer does not fit.
    static std::optional<std::uint64_t> apply(const RegisterOperation& operation, std::uint64_t state) {
        const bool known = operation.complete();
        const std::uint64_t there = state != 0 ? 1 : 0;
        switch (operation.kind) {
            case Kind::put:
                return operation.value;
            case Kind::get:
                return !known || operation.value == state ? std::optional(state) : std::nullopt;
            case Kind::contains:
                return !known || operation.value == there ? std::optional(state) : std::nullopt;
            case Kind::erase:
                if (known && operation.value != there) return std::nullopt;
                return 0;
            case Kind::clear:
                return 0;
        }
        return std::nullopt;
    }
};

/// `Model` has Operation (with called, returned and complete(), as above), State (whose first one is
/// State{}), apply() and only_reads() (an answered operation that changes nothing), as RegisterModel.
template <class Model>
class LinearizabilityCheck {
  public:
    using Operation = typename Model::Operation;
    using State = typename Model::State;

    explicit LinearizabilityCheck(std::vector<Operation> history) : history_(std::move(history)) {
        std::sort(history_.begin(), history_.end(),
                  [](const auto& a, const auto& b) { return a.called < b.called; });
        done_.assign(history_.size(), false);
    }

    bool holds() { return explain(0, State{}); }
    std::uint64_t situations() const { return tried_.size(); }

  private:
    /// `first`: all operations before it are done.
    bool explain(std::size_t first, State state) {
        while (first < history_.size() && done_[first])
            ++first;
        std::uint64_t earliest_return = Operation::never;
        for (std::size_t i = first; i < history_.size(); ++i) {
            if (history_[i].called > earliest_return) break;
            if (!done_[i]) earliest_return = std::min(earliest_return, history_[i].returned);
        }
        if (earliest_return == Operation::never) return true;  // nothing that must be explained is left
        if (!tried_
                 .insert({std::vector<bool>(done_.begin() + static_cast<std::ptrdiff_t>(first), done_.end()),
                          state})
                 .second) {
            return false;
        }
        // A read whose answer fits now can as well be now: waiting gains nothing.
        for (const bool reads : {true, false}) {
            for (std::size_t i = first; i < history_.size() && history_[i].called < earliest_return; ++i) {
                const Operation& operation = history_[i];
                if (done_[i] || model_.only_reads(operation) != reads) continue;
                if (reads && !operation.complete()) continue;  // explains itself
                const std::optional<State> next = model_.apply(operation, state);
                if (!next) continue;
                done_[i] = true;
                if (explain(first, *next)) return true;
                done_[i] = false;
                if (reads) return false;
            }
        }
        return false;
    }

    Model model_;
    std::vector<Operation> history_;
    std::vector<bool> done_;
    std::set<std::pair<std::vector<bool>, State>> tried_;
};

inline bool linearizable(std::vector<RegisterOperation> history) {
    return LinearizabilityCheck<RegisterModel>(std::move(history)).holds();
}

}  // namespace ddict::sim
