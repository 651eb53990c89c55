// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the connections and the operations of one requester share: the transport, who the client is, the
// numbers of its requests, what the process knows of lost managers, and the time as the caller said it last.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "rpc/lost_managers.h"
#include "rpc/request.h"
#include "rpc/transport.h"
#include "rpc/whereabouts.h"
#include "wire/messages.h"

namespace ddict {

class RequestContext {
  public:
    /// All must outlive it; `lost` and `whereabouts` may be null.
    RequestContext(Transport& transport, const Credentials& credentials, LostManagers* lost,
                   Whereabouts* whereabouts);
    RequestContext(const RequestContext&) = delete;
    RequestContext& operator=(const RequestContext&) = delete;

    Transport& transport() const noexcept { return transport_; }
    const Credentials& credentials() const noexcept { return credentials_; }
    LostManagers* lost_managers() const noexcept { return lost_; }
    Whereabouts* whereabouts() const noexcept { return whereabouts_; }
    Time now() const noexcept { return now_; }
    void set_now(Time now) noexcept { now_ = now; }
    /// Whether silence makes no manager lost: what waits for one ends at its deadline.
    bool keeps_asking() const noexcept { return keeps_asking_; }
    void set_keeps_asking(bool keeps_asking) noexcept { keeps_asking_ = keeps_asking; }

    /// The number that was taken last.
    std::uint64_t sequence() const noexcept { return sequence_; }
    std::uint64_t next_sequence() noexcept { return ++sequence_; }

    /// Sends a message whose value, if any, is inside.
    void send(PeerId peer, const wire::RequestHeader& header, KeyBytes key = {}, Bytes value = {},
              const wire::StoredAs& as = {}) {
        transport_.send(peer, message_of(header, key, value, as));
    }
    /// The same with a payload, which must stay as it is until the transport says so with `tag`.
    template <class Payload>
    void send_with_payload(PeerId peer, const wire::RequestHeader& header, KeyBytes key, Payload payload,
                           std::uint64_t tag, const wire::StoredAs& as = {}) {
        transport_.send(peer, message_of(header, key, {}, as), payload, tag);
    }

    /// Drops a message that is no reply to anything this client can have asked.
    void reject(const IncomingPayload& payload) {
        ++rejected_messages_;
        discard(payload);
    }
    std::uint64_t rejected_messages() const noexcept { return rejected_messages_; }
    void discard(const IncomingPayload& payload) {
        if (payload.token != 0) transport_.discard_payload(payload.token);
    }

  private:
    /// There until the next one is made.
    Bytes message_of(const wire::RequestHeader& header, KeyBytes key, Bytes value, const wire::StoredAs& as) {
        const std::size_t placement_bytes = as.placement.is_by_hand() ? sizeof as.placement.value : 0;
        const std::size_t ttl_bytes = as.ttl != 0 ? sizeof as.ttl : 0;
        const std::size_t bytes = sizeof header + placement_bytes + ttl_bytes + key.size() + value.size();
        DDICT_ASSERT(bytes <= message_.size(), "a message is above the limit");
        std::byte* at = message_.data();
        std::memcpy(at, &header, sizeof header);
        at += sizeof header;
        if (placement_bytes != 0) [[unlikely]]
            std::memcpy(at, &as.placement.value, placement_bytes);
        at += placement_bytes;
        if (ttl_bytes != 0) [[unlikely]]
            std::memcpy(at, &as.ttl, ttl_bytes);
        at += ttl_bytes;
        if (!key.empty()) std::memcpy(at, key.data(), key.size());
        if (!value.empty()) std::memcpy(at + key.size(), value.data(), value.size());
        return Bytes(message_).first(bytes);
    }

    Transport& transport_;
    const Credentials credentials_;
    LostManagers* lost_;
    Whereabouts* whereabouts_;
    std::uint64_t sequence_;
    std::uint64_t rejected_messages_ = 0;
    std::vector<std::byte> message_;  // scratch: has the size of the longest
    Time now_{};
    bool keeps_asking_ = false;
};

}  // namespace ddict
