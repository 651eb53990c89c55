// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The batch that a View collects between start_batch_put() and end_batch_put().
#pragma once

#include <atomic>

#include <ddict/batch.h>

#include "libclient/batch_run.h"

namespace ddict::client {

class OpenBatch final : public BatchItems {
  public:
    OpenBatch(std::shared_ptr<Attachment> attachment, const detail::Patience& patience)
        : run_(std::move(attachment), wire::Verb::batch_put, patience, *this) {}

    /// Any thread may ask: copies of the view may be anywhere.
    bool ended() const { return ended_.load(std::memory_order_relaxed); }
    bool belongs_to_caller() const { return run_.belongs_to_caller(); }
    void put(std::uint32_t manager, KeyBytes key, Bytes value, std::uint16_t value_type,
             const KeyPlacement& placement) {
        run_.add(0, manager, key, value, value_type, placement);
        run_.wait_for_large();
    }
    void broadcast_put(std::uint32_t root, KeyBytes key, Bytes value, std::uint16_t value_type) {
        run_.add_broadcast(0, root, key, value, value_type);
        run_.wait_for_large();
    }
    BatchReport end() {
        ended_.store(true, std::memory_order_relaxed);
        run_.finish();
        return std::move(report_);
    }

    void done(std::size_t index, KeyBytes key, const ItemStatus& status, const Error* error) override;

  private:
    static constexpr std::size_t failures_max = 1000;

    std::atomic<bool> ended_{false};
    BatchReport report_;
    BatchRun run_;
};

}  // namespace ddict::client
