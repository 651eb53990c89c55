// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The rendezvous port over this node launcher's standard streams, where there is no PMIx: see exchange.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/rendezvous.h"
#include "launcher/exchange.h"
#include "launcher/node/node_identity.h"

namespace ddict::launcher {

class StreamRendezvous final : public Rendezvous {
  public:
    struct Streams {
        /// Writes a line to the launcher, without waiting.
        std::function<void(const std::string& line)> say;
        /// Waits some milliseconds for the lifeline, and gives its lines of exchanges to hear().
        std::function<void()> listen;
    };
    /// `identity` must outlive it.
    StreamRendezvous(const NodeIdentity& identity, std::uint32_t count, Streams streams)
        : identity_(identity), count_(count), streams_(std::move(streams)) {}

    std::uint32_t index() const override { return number_of(identity_.id); }
    std::uint32_t count() const override { return count_; }
    /// too_large: more than limits::contribution_bytes_max. protocol: the launcher has sent what makes no
    /// sense.
    Result<std::vector<std::string>> exchange(std::string_view key, std::string_view mine,
                                              const std::function<bool()>& cancelled) override;
    Result<void> leave() override { return {}; }

    /// A line of the lifeline that begins with exchange_on_lifeline.
    void hear(std::string_view line);

  private:
    const NodeIdentity& identity_;
    const std::uint32_t count_;
    const Streams streams_;
    std::optional<ExchangeInbox> inbox_;  // while an exchange is under way
    std::optional<Error> trouble_;
};

}  // namespace ddict::launcher
