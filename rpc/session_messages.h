// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The messages of a connection that belong to its session and to no operation: hello, ping, goodbye; and
// which answers to them may come.
#pragma once

#include <cstdint>

#include "rpc/request_context.h"

namespace ddict {

class SessionMessages {
  public:
    /// With the manager of this shard. `context` must outlive it.
    SessionMessages(RequestContext& context, ShardId shard) : context_(context), shard_(shard) {}

    /// Says who this client is; `session` is the one to go on with, or 0.
    void send_hello(PeerId peer, std::uint64_t session);
    void send_ping(PeerId peer, std::uint64_t session);
    void send_goodbye(PeerId peer, std::uint64_t session);
    /// Asks where a shard is served. Returns the number of the message.
    std::uint64_t send_directory(PeerId peer, std::uint64_t session, ShardId shard);
    /// The same of a session whose number has not arrived, or which cannot be ended through its own
    /// connection: says who this client is.
    void send_goodbye_of_unknown(PeerId peer);

    /// Whether it answers the hello or ping that was sent last.
    bool answers_latest(std::uint64_t request) const noexcept { return latest_ == request; }
    /// Whether it answers any since the last answer.
    bool answers_any(std::uint64_t request) const noexcept;
    void answered() noexcept { first_unanswered_ = 0; }
    /// No answer to the latest is wanted any more.
    void forget_latest() noexcept { latest_ = 0; }
    void forget_all() noexcept { latest_ = first_unanswered_ = 0; }

    /// The manager that a reply to such a message is from.
    static ShardId shard_of(std::uint64_t request) noexcept {
        return ShardId{static_cast<std::uint32_t>(request) & ((1U << wire::manager_bits) - 1)};
    }

  private:
    void send_introduction(PeerId peer, wire::RequestHeader header);
    /// The highest number that any of these can have by now.
    std::uint64_t highest_request() const noexcept;
    std::uint64_t next_request() noexcept;
    void ask() noexcept;

    RequestContext& context_;
    const ShardId shard_;
    std::uint64_t latest_ = 0;            // number of the hello or ping under way
    std::uint64_t first_unanswered_ = 0;  // of the first one since the last answer
};

}  // namespace ddict
