// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The puts that a View collects: between start_batch_put() and end_batch_put(), or in a Batch.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include <ddict/batch.h>

#include "libclient/batch_run.h"

namespace ddict::client {

class OpenBatch final : public BatchItems {
  public:
    /// When puts are sent: as messages fill, or not before the end.
    enum class Sends { as_it_fills, at_its_end };

    OpenBatch(detail::Shared<Attachment> attachment, const detail::TimeoutBudget& budget, const CallsAt& at,
              Sends sends)
        : sends_(sends), run_(std::move(attachment), wire::Verb::batch_put, budget, at, *this) {}

    /// Any thread may ask: copies of the view may be anywhere.
    bool ended() const { return ended_.load(std::memory_order_relaxed); }
    bool belongs_to_caller() const { return run_.belongs_to_caller(); }
    /// The pair's bytes are the caller's again when it returns.
    void put(ShardId shard, const PutItem& pair, const KeyPlacement& placement) {
        add({shard, pair, placement, false});
    }
    void broadcast_put(ShardId root, const PutItem& pair) { add({root, pair, {}, true}); }
    BatchReport end();

    void done(std::size_t index, KeyBytes key, const ItemStatus& status, const Error* error) override;

  private:
    static constexpr std::size_t failures_max = 1000;
    struct Put {
        ShardId shard{};
        PutItem pair;
        KeyPlacement placement;
        bool on_all;
    };
    void add(const Put& put);
    void send(const Put& put);

    std::atomic<bool> ended_{false};
    const Sends sends_;
    std::vector<Put> kept_;  // whose bytes are those of copies_
    detail::Arena copies_;
    BatchReport report_;
    BatchRun run_;
};

}  // namespace ddict::client
