// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who is measured: the clients of a dictionary, and what they are compared with. Each makes series for
// run_in_turns() and must outlive them. None of their processes does anything between phases.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bench/bare_flags.h"
#include "bench/measured_dictionary.h"
#include "bench/operation_kind.h"
#include "bench/options.h"
#include "bench/raw_ucx.h"
#include "bench/redis_server.h"
#include "bench/series.h"
#include "bench/shared_memory.h"
#include "bench/team.h"
#include "bench/workload.h"

namespace ddict::bench {

/// Client processes, attached and connected.
class DictionaryClients {
  public:
    /// Both must outlive it. Pinned if the managers are, to the processors after theirs.
    DictionaryClients(MeasuredDictionary& dictionary, const Workload& workload, unsigned clients);

    /// Puts all pairs. Those that are there already have to be of the same clients.
    void fill(std::uint64_t value_bytes);
    void fill_broadcast(std::uint64_t value_bytes);
    void erase();
    Series series(const OperationKind& operation, std::uint64_t value_bytes, const Grouping& grouping);

  private:
    MeasuredDictionary& dictionary_;
    std::uint64_t key_bytes_;
    Team team_;
};

/// Two processes and UCX, over what choose_transport() has said.
class UcxAlone {
  public:
    UcxAlone(const RawOptions& options, bool pinned);
    /// Task::raw_...
    Series series(Task task, std::string_view name, std::uint64_t value_bytes);
    const std::string& transport() const { return transport_; }

  private:
    RawOptions options_;
    RawAddresses addresses_;
    Team team_;
    std::string transport_;
};

/// Pairs of processes and two cache lines between any two of them.
class BareFlags {
  public:
    /// Pinned: those that answer where managers are, the others where clients are.
    BareFlags(unsigned pairs, bool pinned);
    Series series();

  private:
    SharedArray<Flags> flags_;
    Team team_;
};

/// One process and its own memory.
class ProcessAlone {
  public:
    /// `workload` must outlive it.
    ProcessAlone(const Workload& workload, bool pinned);
    /// The map that series of Task::get and put use.
    void fill(std::uint64_t value_bytes);
    /// Task::get, put, copy
    Series series(Task task, std::string_view name, std::uint64_t value_bytes);

    /// The memory that its map or its copies may take; what needs more is not compared with it.
    static bool can_hold(const WorkloadOptions& workload, std::uint64_t value_bytes);

  private:
    std::uint64_t key_bytes_;
    Team team_;
};

/// A Redis and its clients. Never pinned: where the scheduler may choose, it puts both sides on one
/// processor, and synchronous commands are faster for it.
class RedisPeer {
  public:
    /// `workload` must outlive it.
    RedisPeer(const Workload& workload, unsigned clients);
    void fill(std::uint64_t value_bytes);
    /// Task::get, put, batch_get, batch_put; batch: the depth of the pipeline.
    Series series(Task task, std::string_view name, std::uint64_t value_bytes, unsigned batch);

  private:
    RedisServer server_;
    std::uint64_t key_bytes_;
    Team team_;
};

}  // namespace ddict::bench
