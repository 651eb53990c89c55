// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Two processes at work at once: a client that does one small operation after the other, and another that
// saves the dictionary, or goes on to its next checkpoint, meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <ddict/dictionary.h>

#include "bench/shared_memory.h"
#include "bench/team.h"
#include "bench/value_buffer.h"
#include "bench/workload.h"

namespace ddict::bench {

/// The number of the phase that is over for the one that is waited for.
using PhaseOver = SharedArray<std::atomic<std::uint64_t>>;

/// Latencies, as figures.
struct Latencies {
    double p50_us = 0;
    double p99_us = 0;
    double max_us = 0;
};
/// What a SteadyClient has seen, and what the other one has done meanwhile.
struct Beside {
    Latencies get;
    Latencies put;
    double seconds = 0;       ///< that the other one took
    std::uint64_t bytes = 0;  ///< that it wrote to files
};

/// Gets a value of 8 bytes by message and puts one, in turns, of pairs chosen at random, until the other one
/// is done with the phase, whatever that is. At the newest checkpoint.
class SteadyClient final : public Role {
  public:
    static constexpr std::uint64_t value_bytes = 8;
    /// All must outlive it.
    SteadyClient(std::string handle, const Workload& workload, const PhaseOver& over)
        : handle_(std::move(handle)), workload_(workload), over_(over) {}

    void prepare(const Phase& phase) override;
    std::string run(const Phase& phase, Tally& tally) override;

  private:
    void get(Random& random);
    void put(Random& random);

    const std::string handle_;
    const Workload& workload_;
    const PhaseOver& over_;
    std::optional<Dictionary> dictionary_;
    ValueBuffer buffer_;
    std::vector<std::byte> value_;
};

struct OtherClientOptions {
    std::string handle{};
    bool by_message = false;         ///< it saves as if the managers were on another node
    std::filesystem::path folder{};  ///< where it writes
    std::uint64_t steady_pairs = 0;  ///< of the SteadyClient
};

/// Task::rest: sleeps for Phase::operations milliseconds. save: saves all, and removes that again.
/// write_file: writes as many bytes as Phase::operations. change: puts all pairs anew. step: the same at the
/// next checkpoint. retire: puts one at the next one, and waits until what is retired by it has gone.
class OtherClient final : public Role {
  public:
    /// Both must outlive it.
    OtherClient(OtherClientOptions options, const Workload& workload, const PhaseOver& over)
        : options_(std::move(options)), workload_(workload), over_(over) {}

    void prepare(const Phase& phase) override;
    std::string run(const Phase& phase, Tally& tally) override;

  private:
    std::uint64_t work(const Phase& phase);
    std::uint64_t save();
    void put_pairs(std::uint64_t value_bytes);
    void retire(std::uint64_t value_bytes);

    const OtherClientOptions options_;
    const Workload& workload_;
    const PhaseOver& over_;
    std::optional<Dictionary> dictionary_;
};

/// Of a team of the two, the steady one first.
Beside run_beside(Team& both, const Phase& phase);

/// `work` in a process of its own, and what it has returned. `name` is for error messages.
std::string in_own_process(const std::string& name, const std::function<std::string()>& work);

/// Puts all pairs of the workload, in batches.
void put_all(const View& dictionary, const Workload& workload, std::uint64_t value_bytes);

}  // namespace ddict::bench
