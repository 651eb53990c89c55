// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The exchanges of node launchers (cluster/rendezvous.h) by way of the launcher, where there is no PMIx: each
// contribution goes up in events, which are short lines, and when all have come they go down the lifeline, a
// line each. Both sides take nothing for granted of what comes. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "launcher/events.h"

namespace ddict::launcher {

/// The lines that carry any bytes, at least one: each is the event with the next part of them.
std::vector<std::string> format_parts(Event event, std::string_view bytes);
/// The lines that carry a contribution of any length: at least one. `from` says whose it is.
std::vector<std::string> format_contribution(const Event& from, std::string_view key, std::string_view mine);

/// The launcher's side.
///
/// Invariants: 1. of an exchange nothing is kept once all have contributed to it, but its key; 2. what is
/// kept is at most limits::exchange_bytes_max of each of limits::exchanges_max exchanges.
class ExchangeBoard {
  public:
    explicit ExchangeBoard(std::uint32_t nodes) : nodes_(nodes) {}

    /// Takes an Event::Kind::part. Returns the lines for all node launchers once it is complete, otherwise
    /// none. Errors: protocol, a part that does not follow the one before, of a node that is none, or of one
    /// that has contributed already; too_large. The board is of no use then.
    Result<std::string> add(const Event& part);
    /// For the user: the first exchange that is not complete, and a node launcher that it waits for;
    /// `name_of` gives the name of its node. Empty if there is none.
    std::string waiting_for(const std::function<std::string(std::uint32_t)>& name_of) const;

  private:
    struct Contribution {
        std::string bytes;
        std::uint32_t parts = 0;  // that have come
        bool is_whole = false;
    };
    struct Exchange {
        std::map<std::uint32_t, Contribution> by_node;
        std::size_t bytes = 0;
        std::uint32_t whole = 0;
    };

    const std::uint32_t nodes_;
    std::map<std::string, Exchange, std::less<>> under_way_;
    std::set<std::string, std::less<>> done_;
};

/// A node launcher's side: what all have contributed to one exchange.
class ExchangeInbox {
  public:
    ExchangeInbox(std::string_view key, std::uint32_t nodes) : key_(key), nodes_(nodes) {}

    /// A line of the lifeline that begins with exchange_on_lifeline. Errors: protocol, a line of another
    /// exchange, or one that does not follow the one before; too_large.
    Result<void> take(std::string_view line);
    bool is_complete() const { return blobs_.size() == nodes_; }
    std::vector<std::string> take_all() { return std::move(blobs_); }

  private:
    const std::string key_;
    const std::uint32_t nodes_;
    std::vector<std::string> blobs_;
    std::size_t bytes_ = 0;
};

}  // namespace ddict::launcher
