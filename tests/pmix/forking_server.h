// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A small PMIx server that starts the processes it serves: what srun --mpi=pmix is for a step, on one host
// and without Slurm. A process that dies does not take the others with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ddict::pmix {

struct Launch {
    std::uint32_t clients = 1;
    std::vector<std::string> command;  // command[0] is a path
    std::chrono::milliseconds time_max{60'000};
    std::string directory;  // where the server keeps its files; must exist, is left as it was found
};

struct Exit {
    std::uint32_t rank = 0;
    bool signalled = false;
    int code = 0;            // exit status, or number of the signal
    bool finalized = false;  // had left PMIx in good order
};

/// Runs all clients to their end; those that are still there after time_max are killed. ended() is told of
/// each as it ends. Returns an empty text, or why the clients could not be served. Once in the life of a
/// process.
std::string run_clients(const Launch& launch, const std::function<void(const Exit&)>& ended);

}  // namespace ddict::pmix
