// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The process that uses the dictionary: one operation after the other, each on a pair chosen at random among
// all; or so many in a batch, or under way at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ddict/dictionary.h>

#include "bench/team.h"
#include "bench/value_buffer.h"
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
    std::string run(const Phase& phase, Tally& tally) override;

  private:
    const Dictionary& dictionary(const Phase& phase) const {
        return phase.by_message ? *by_message_ : *dictionary_;
    }
    void make_buffers(const Phase& phase);
    void work(const Phase& phase, std::uint64_t operations, std::uint64_t seed, Tally& tally);
    void work_shared_out(const Phase& phase, Tally& tally);

    void get(const Dictionary& from, std::uint64_t pair, const Phase& phase);
    void put(std::uint64_t pair);
    void batch_get(const Dictionary& from, const Phase& phase, Random& random);
    void batch_put(const Phase& phase, Random& random);
    void bget(std::uint64_t pair, const Phase& phase);
    void bput(std::uint64_t pair);
    void async_get(const Phase& phase, std::uint64_t operations, Random& random, Tally& tally);
    void async_put(const Phase& phase, std::uint64_t operations, Random& random, Tally& tally);

    const Workload& workload_;
    ClientPlace place_;
    std::string handle_;
    std::optional<Dictionary> dictionary_;
    std::optional<Dictionary> by_message_;  // the same one, attached without reading this node's memory
    ValueBuffer buffer_;
    BatchBuffer batch_buffer_;
    std::vector<std::byte> value_;
    std::vector<std::vector<std::byte>> values_;  // of a batch, or under way
    std::vector<std::uint64_t> pairs_;
    std::vector<KeyBytes> keys_;
    std::vector<PutItem> items_;
};

}  // namespace ddict::bench
