// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What has happened, and the logic has not been told yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rpc/transport.h"

namespace ddict::samehost {

/// Invariant: there is memory for all events that were promised, so that none is ever lost for want of it.
class Events {
  public:
    /// One event will come. std::bad_alloc if memory is missing.
    void promise() {
        const std::size_t needed = events_.size() + promised_ + 1;
        if (events_.capacity() < needed) events_.reserve(2 * needed + 8);
        ++promised_;
    }
    /// One that was promised will not come.
    void forget() noexcept { --promised_; }

    // Each was promised.
    void payload_sent(std::uint64_t tag, bool ok) noexcept { add({Kind::payload_sent, ok, tag, {}}); }
    void payload_received(std::uint64_t tag, bool ok) noexcept { add({Kind::payload_received, ok, tag, {}}); }
    void peer_lost(PeerId peer, const Error& why) noexcept { add({Kind::peer_lost, false, peer, why}); }

    bool empty() const noexcept { return events_.empty(); }
    /// Delivers what was there at the call, in order; how much that was. What the logic's answers cause comes
    /// the next time, but for payloads: of these nothing comes after the loss of a peer that was there
    /// before.
    unsigned deliver(TransportEvents& listener) {
        const std::size_t count = events_.size();
        for (std::size_t i = 0; i < count; ++i) {
            if (events_[i].kind == Kind::peer_lost) {
                for (std::size_t later = count, end = events_.size(); later < end; ++later)
                    deliver_payload(later, listener);
                const Error why = events_[i].why;  // (events_ may grow)
                events_[i].kind = Kind::delivered;
                listener.on_peer_lost(events_[i].id, why);
            } else {
                deliver_payload(i, listener);
            }
        }
        events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(count));
        std::erase_if(events_, [](const Event& event) { return event.kind == Kind::delivered; });
        return static_cast<unsigned>(count);
    }

  private:
    enum class Kind : std::uint8_t { payload_sent, payload_received, peer_lost, delivered };
    struct Event {
        Kind kind;
        bool ok;
        std::uint64_t id;  // a tag, or a peer
        Error why;
    };
    void add(const Event& event) noexcept {
        --promised_;
        events_.push_back(event);
    }
    void deliver_payload(std::size_t at, TransportEvents& listener) {
        const Kind kind = events_[at].kind;
        if (kind != Kind::payload_sent && kind != Kind::payload_received) return;
        events_[at].kind = Kind::delivered;
        if (kind == Kind::payload_sent) {
            listener.on_payload_sent(events_[at].id, events_[at].ok);
        } else {
            listener.on_payload_received(events_[at].id, events_[at].ok);
        }
    }

    std::vector<Event> events_;
    std::size_t promised_ = 0;
};

}  // namespace ddict::samehost
