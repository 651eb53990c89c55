// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What has happened, and the logic has not been told yet.
#pragma once

#include <cstdint>
#include <vector>

#include "rpc/transport.h"

namespace ddict::samehost {

class Events {
  public:
    void payload_sent(std::uint64_t tag, bool ok) { filling_.push_back({Kind::payload_sent, ok, tag, {}}); }
    void payload_received(std::uint64_t tag, bool ok) {
        filling_.push_back({Kind::payload_received, ok, tag, {}});
    }
    void peer_lost(PeerId peer, const Error& why) { filling_.push_back({Kind::peer_lost, false, peer, why}); }

    /// So that the next one needs no memory.
    void reserve_one() {
        if (filling_.size() == filling_.capacity()) filling_.reserve(2 * filling_.size() + 8);
    }
    bool empty() const noexcept { return filling_.empty(); }
    /// Tells what was there at the call, in order; how much that was. What the logic's answers cause comes
    /// the next time.
    unsigned deliver(TransportEvents& listener) {
        delivering_.swap(filling_);
        for (const Event& event : delivering_) {
            switch (event.kind) {
                case Kind::payload_sent:
                    listener.on_body_sent(event.id, event.ok);
                    break;
                case Kind::payload_received:
                    listener.on_body_received(event.id, event.ok);
                    break;
                case Kind::peer_lost:
                    listener.on_peer_lost(event.id, event.why);
                    break;
            }
        }
        const auto delivered = static_cast<unsigned>(delivering_.size());
        delivering_.clear();
        return delivered;
    }

  private:
    enum class Kind : std::uint8_t { payload_sent, payload_received, peer_lost };
    struct Event {
        Kind kind;
        bool ok;
        std::uint64_t id;  // a tag, or a peer
        Error why;
    };
    std::vector<Event> filling_;
    std::vector<Event> delivering_;
};

}  // namespace ddict::samehost
