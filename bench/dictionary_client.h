// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The process that uses the dictionary: one synchronous operation after the other, each on a pair chosen at
// random among all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ddict/dictionary.h>

#include "bench/team.h"
#include "bench/workload.h"

namespace ddict::bench {

struct ClientPlace {
    unsigned member = 0;
    unsigned members = 1;
};

class DictionaryClient final : public Role {
  public:
    /// `workload` must outlive it. Attaches at the first phase.
    DictionaryClient(std::string handle, const Workload& workload, ClientPlace place);

    void prepare(const Phase& phase) override;
    std::string run(const Phase& phase, Histogram& latencies) override;

  private:
    /// Takes what get brings, into the same memory again and again.
    class Buffer final : public ValueSink {
      public:
        Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override;
        std::span<const std::byte> value() const { return {memory_.data(), bytes_}; }

      private:
        std::vector<std::byte> memory_;
        std::size_t bytes_ = 0;
    };

    void touch_managers();
    void get(std::uint64_t pair, std::uint64_t value_bytes);
    void put(std::uint64_t pair);
    template <class Operation>
    void on_random_pairs(std::uint64_t operations, Random& random, Histogram& latencies, Operation operation);
    template <class Operation>
    void on_own_pairs(Histogram& latencies, Operation operation);
    void work(const Phase& phase, std::uint64_t operations, std::uint64_t seed, Histogram& latencies);

    const Workload& workload_;
    ClientPlace place_;
    std::optional<Dictionary> dictionary_;
    std::string handle_;
    Buffer buffer_;
    std::vector<std::byte> value_;
};

}  // namespace ddict::bench
