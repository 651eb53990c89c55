// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/contestants.h"

#include <memory>
#include <optional>

#include "bench/dictionary_client.h"
#include "bench/in_process.h"
#include "bench/redis_client.h"

namespace ddict::bench {
namespace {

Series series_of(Team& team, Phase phase, std::string_view name, std::uint64_t key_bytes) {
    Series made{.team = &team, .phase = phase};
    made.record.op = name;
    made.record.bytes = phase.value_bytes;
    made.record.key_bytes = key_bytes;
    made.record.clients = team.size();
    return made;
}

std::optional<unsigned> first_slot(bool pinned, unsigned slot) {
    return pinned ? std::optional(slot) : std::nullopt;
}

}  // namespace

DictionaryClients::DictionaryClients(MeasuredDictionary& dictionary, const Workload& workload,
                                     unsigned clients)
    : dictionary_(dictionary),
      key_bytes_(workload.key_bytes()),
      team_(
          "client", clients,
          [&](unsigned member) {
              return std::make_unique<DictionaryClient>(dictionary.handle(), workload,
                                                        ClientPlace{.member = member, .members = clients});
          },
          first_slot(dictionary.pinned(), dictionary.manager_count())) {
    team_.run({.task = Task::touch});
}

void DictionaryClients::fill(std::uint64_t value_bytes) {
    team_.run({.task = Task::fill, .value_bytes = value_bytes});
}

void DictionaryClients::fill_broadcast(std::uint64_t value_bytes) {
    team_.run({.task = Task::fill_broadcast, .value_bytes = value_bytes});
}

void DictionaryClients::erase() {
    team_.run({.task = Task::erase});
}

Series DictionaryClients::series(const OperationKind& operation, std::uint64_t value_bytes,
                                 const Grouping& grouping) {
    const bool batch = operation.task == Task::batch_get || operation.task == Task::batch_put;
    Series made = series_of(team_,
                            {.task = operation.task,
                             .value_bytes = value_bytes,
                             .by_message = operation.by_message,
                             .group = !operation.grouped ? 1
                                      : batch            ? grouping.batch
                                                         : grouping.in_flight,
                             .put_percent = grouping.put_percent},
                            operation.name, key_bytes_);
    made.record.managers = dictionary_.manager_count();
    made.record.transport = dictionary_.transport();
    made.record.group = made.phase.group;
    return made;
}

UcxAlone::UcxAlone(const RawOptions& options, bool pinned)
    : options_(options),
      addresses_(2),
      team_(
          "raw UCX", 2,
          [this](unsigned member) { return std::make_unique<RawPeer>(options_, addresses_, member); },
          first_slot(pinned, 0)) {
    team_.run({.task = Task::raw_address});
    transport_ = team_.run({.task = Task::raw_connect}).texts.front();
}

Series UcxAlone::series(Task task, std::string_view name, std::uint64_t value_bytes) {
    Series made = series_of(team_, {.task = task, .value_bytes = value_bytes}, name,
                            task == Task::raw_round_trip ? 0 : options_.key_bytes);
    made.record.clients = 1;
    made.record.transport = transport_;
    return made;
}

BareFlags::BareFlags(unsigned pairs, bool pinned)
    : flags_(std::size_t{pairs} * pairs),
      team_(
          "flags", 2 * pairs,
          [this, pairs](unsigned member) { return std::make_unique<FlagPeer>(flags_, member, 2 * pairs); },
          first_slot(pinned, 0)) {}

Series BareFlags::series() {
    Series made = series_of(team_, {.task = Task::flags}, "flags", 0);
    made.record.clients = team_.size() / 2;
    made.record.transport = "memory";
    return made;
}

ProcessAlone::ProcessAlone(const Workload& workload, bool pinned)
    : key_bytes_(workload.key_bytes()),
      team_(
          "baseline", 1, [&workload](unsigned) { return std::make_unique<InProcess>(workload); },
          first_slot(pinned, 1)) {}

void ProcessAlone::fill(std::uint64_t value_bytes) {
    team_.run({.task = Task::fill, .value_bytes = value_bytes});
}

Series ProcessAlone::series(Task task, std::string_view name, std::uint64_t value_bytes) {
    Series made = series_of(team_, {.task = task, .value_bytes = value_bytes}, name, key_bytes_);
    made.record.transport = "memory";
    return made;
}

bool ProcessAlone::can_hold(const WorkloadOptions& workload, std::uint64_t value_bytes) {
    constexpr std::uint64_t memory_max = std::uint64_t{4} << 30;
    constexpr std::uint64_t overhead_per_pair = 128;
    return workload.pairs <= memory_max / (value_bytes + workload.key_bytes + overhead_per_pair);
}

RedisPeer::RedisPeer(const Workload& workload, unsigned clients)
    : key_bytes_(workload.key_bytes()), team_("Redis client", clients, [&, clients](unsigned member) {
          return make_redis_client(server_.socket(), workload, member, clients);
      }) {}

void RedisPeer::fill(std::uint64_t value_bytes) {
    team_.run({.task = Task::fill, .value_bytes = value_bytes});
}

Series RedisPeer::series(Task task, std::string_view name, std::uint64_t value_bytes, unsigned batch) {
    Series made =
        series_of(team_, {.task = task, .value_bytes = value_bytes, .group = batch}, name, key_bytes_);
    made.record.group = batch;
    made.record.transport = "Redis " + server_.version() + " unix socket";
    return made;
}

}  // namespace ddict::bench
