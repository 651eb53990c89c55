// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Figures, and how they are shown: a table for people, JSON for programs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/machine.h"
#include "bench/options.h"

namespace ddict::bench {

struct Spread {
    double median = 0;
    double min = 0;
    double max = 0;
};
/// A number with three digits or so: "0.0123", "1.52", "187".
std::string brief(double value);
/// Of at least one value.
Spread spread_of(std::vector<double> values);

/// One measured quantity: a value for each repetition.
struct Figure {
    std::string name;
    std::vector<double> values;
};

/// Mean times of an operation, of two phases of some milliseconds, one after the other.
struct Slice {
    double own_us = 0;
    double raw_us = 0;  ///< UCX alone, of the same shape
};

/// One thing that was measured, under one set of conditions.
struct Record {
    std::string op;
    std::uint64_t bytes = 0;  ///< of the value
    std::uint64_t key_bytes = 0;
    std::uint64_t clients = 0;
    std::uint64_t managers = 0;  ///< 0: not of the dictionary
    std::uint64_t group = 1;     ///< pairs in a batch, or operations under way at once
    std::uint64_t operations_per_client = 0;
    std::string transport;  ///< what UCX really used
    std::vector<Figure> figures;
    std::vector<Slice> slices;  ///< of all repetitions, where UCX alone was measured beside it

    void add(std::string_view figure, double value);
    bool has(std::string_view figure) const;
    /// Requires has(figure).
    Spread spread(std::string_view figure) const;
};

/// One line of the table of what ddict means to reach: bench/targets.h.
struct Target {
    enum class Bound { at_least, at_most };

    std::string id{};      ///< "S1"
    std::string figure{};  ///< what is measured, and against what
    Bound bound = Bound::at_least;
    double limit = 0;
    std::string unit{};            ///< "", "M/s", "us", "%"
    std::vector<double> values{};  ///< of each repetition; empty: it could not be measured
    std::string own{};             ///< the dictionary's own figure, in words; or why there is none
    std::string baseline{};        ///< the other's figure, in words; may be empty

    /// By the median. Requires values.
    bool met() const;
};

/// The names of figures that several files need.
namespace figure {
inline constexpr std::string_view ops_per_second = "ops_per_second";
inline constexpr std::string_view mean_us = "mean_us";
inline constexpr std::string_view p50_us = "p50_us";
inline constexpr std::string_view p99_us = "p99_us";
inline constexpr std::string_view raw_us = "raw_ucx_us";
inline constexpr std::string_view ratio = "ratio_to_raw_ucx";
inline constexpr std::string_view gb_per_second = "gb_per_second";
inline constexpr std::string_view ratio_to_map = "ratio_to_map";
inline constexpr std::string_view ratio_to_peer = "ratio_to_peer";
inline constexpr std::string_view ratio_p50 = "ratio_to_raw_ucx_p50";
}  // namespace figure

/// The commit that was built: "4c7656c", "4c7656c-dirty" with changes on top, or "unknown".
std::string_view commit();

/// What was measured with and on, in two lines, and a warning for a build that is not optimised.
std::string banner(const Machine& machine, const Options& options);
/// The headline workload.
std::string table(const std::vector<Record>& records);
/// Any records: a line for each figure.
std::string list(const std::vector<Record>& records);

std::string json(const std::vector<Record>& records, const Machine& machine, const Options& options,
                 const std::vector<Target>& targets = {});

}  // namespace ddict::bench
