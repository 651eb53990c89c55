// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The command line of ddict-bench.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/operation_kind.h"
#include "bench/transport.h"
#include "bench/workload.h"

namespace ddict::bench {

enum class Peer { none, redis };

/// How much is done.
struct Effort {
    std::uint64_t operations = 0;  ///< per client and phase; 0: as many as take `seconds`
    double seconds = 0.3;
    unsigned repetitions = 5;
};

/// The numbers that go with operations on several pairs.
struct Grouping {
    unsigned batch = 64;        ///< pairs in a batch
    unsigned in_flight = 64;    ///< asynchronous operations
    unsigned put_percent = 10;  ///< of mixed operations
};

struct Options {
    std::vector<std::uint32_t> clients{1};
    std::vector<std::uint32_t> managers{1};
    std::vector<std::uint64_t> value_bytes{8, 8192};
    WorkloadOptions workload;
    std::vector<const OperationKind*> operations_measured;  ///< at least one
    Grouping grouping;
    Peer peer = Peer::none;
    Effort effort;
    std::vector<Transport> transports{Transport::as_it_comes};  ///< one after the other; at least one
    bool pin = false;                                           ///< each process on one processor
    bool attach = false;
    std::string json;                                                 ///< a file; empty: none
    bool targets = false;                                             ///< --suite targets
    bool saving_targets = false;                                      ///< --suite saving
    std::vector<std::uint64_t> large_value_bytes{1 << 20, 64 << 20};  ///< of that suite
    double idle = 0;                                                  ///< seconds; 0: not measured
    bool bring_up = false;
    bool memory = false;
    bool connections = false;
    std::string save;  ///< a folder to save to; empty: saving is not measured
    std::uint64_t saved_bytes = std::uint64_t{1} << 30;  ///< of --suite saving
    std::uint64_t step_pairs = 2'000'000;                ///< of --suite saving: put at each checkpoint
    std::uint32_t working_set = 0;                       ///< checkpoints that are kept in memory; 0: 1
    bool help = false;
    bool version = false;

    bool headline() const {
        return idle == 0 && !bring_up && !memory && !connections && !targets && save.empty();
    }
};

/// A command line that makes no sense; what() says what to write instead.
class UsageError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// args: without the program's name.
Options parse_options(const std::vector<std::string>& args);
std::string help_text();

}  // namespace ddict::bench
