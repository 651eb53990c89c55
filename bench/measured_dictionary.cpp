// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/measured_dictionary.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "bench/dictionary_owner.h"
#include "bench/machine.h"

namespace ddict::bench {
namespace {

/// Twice what the pairs need, and some for each manager: the pool's own size is not what is measured here.
std::uint64_t memory_for(const Options& options, std::uint32_t managers) {
    constexpr std::uint64_t overhead_per_pair = 256;
    constexpr std::uint64_t overhead_per_manager = std::uint64_t{16} << 20;
    const std::uint64_t value = *std::max_element(options.value_bytes.begin(), options.value_bytes.end());
    const std::uint64_t pair = value + options.workload.key_bytes + overhead_per_pair;
    const bool broadcasts = std::any_of(
        options.operations_measured.begin(), options.operations_measured.end(),
        [](const OperationKind* one) { return one->task == Task::bget || one->task == Task::bput; });
    const std::uint64_t copies = broadcasts ? managers * Workload::broadcast_pairs_max : 0;
    return managers * overhead_per_manager + 2 * (options.workload.pairs + copies) * pair;
}

}  // namespace

MeasuredDictionary::MeasuredDictionary(const Options& options, std::uint32_t managers,
                                       std::uint64_t total_bytes)
    : owner_("owner", 1, [&](unsigned) {
          return std::make_unique<DictionaryOwner>(OwnerOptions{
              .attach = options.attach,
              .managers = managers,
              .total_bytes = total_bytes != 0 ? total_bytes : memory_for(options, managers),
              .working_set = options.working_set,
          });
      }) {
    const PhaseResult opened = owner_.run({.task = Task::open});
    time_to_open_ = opened.elapsed;
    handle_ = opened.texts.front();
    managers_ = managers_now();
    if (managers_.empty()) throw std::runtime_error("the dictionary has no managers");
    if (!options.pin) return;
    pinned_ = true;
    for (const ManagerStats& one : managers_)
        pin(one.pid, one.manager);
}

std::vector<ManagerStats> MeasuredDictionary::managers_now() {
    return parse_description(owner_.run({.task = Task::describe}).texts.front());
}

std::string MeasuredDictionary::transport() const {
    std::string all;
    std::set<std::string> seen;
    for (const ManagerStats& one : managers_) {
        if (seen.insert(one.transport).second) all += (all.empty() ? "" : " + ") + one.transport;
    }
    return all;
}

void MeasuredDictionary::destroy() {
    time_to_destroy_ = owner_.run({.task = Task::destroy}).elapsed;
}

Nanoseconds MeasuredDictionary::time_of_request() {
    // As the owner saw it: without the time it took to wake it.
    return Nanoseconds(static_cast<std::int64_t>(owner_.run({.task = Task::request}).latencies.quantile(1)));
}

}  // namespace ddict::bench
