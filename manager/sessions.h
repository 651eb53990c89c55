// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <random>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "base/process_identity.h"
#include "rpc/transport.h"
#include "store/reply_cache.h"

namespace ddict::manager {

struct Session {
    std::uint64_t id = 0;                      // slot in the lowest bits, a random number above; 0: free
    PeerId peer = no_peer;                     // none: the connection broke, and the client may come back
    std::uint64_t client = 0;                  // who it is: a hash of process and address
    std::uint64_t hello_number = 0;            // the number of its hello
    std::uint32_t breaks = 0;                  // of its connection
    bool lacks_reply = false;                  // which cannot be sent over that connection
    ProcessIdentity process{};                 // of the last hello; pid 0: none since a manager was killed
    store::SessionReplies* replies = nullptr;  // of the reply cache; there while the session is open

    void set_hello_number(std::uint64_t number) noexcept {
        hello_number = number;
        store::ReplyCache::name(*replies, id, client, number);
    }
};

/// Who has said hello, and not gone yet. At most limits::sessions_max, and as many as there is memory for.
class Sessions {
  public:
    /// `seed`: of the random part of session ids. `replies` must outlive it; the sessions of those that
    /// it has are open, and their clients have no connection yet.
    Sessions(std::uint64_t seed, store::ReplyCache& replies);

    /// Null if there is none. On the way of every request.
    Session* find(std::uint64_t id) noexcept {
        const std::uint64_t slot = slot_of(id);
        return id != 0 && slot < sessions_.size() && sessions_[slot].id == id ? &sessions_[slot] : nullptr;
    }
    Session* of_peer(PeerId peer) { return of(by_peer_, peer); }
    Session* of_client(std::uint64_t client) { return of(by_client_, client); }

    /// Those with a connection.
    std::size_t connected() const noexcept { return by_peer_.size(); }
    std::size_t size() const noexcept { return by_client_.size(); }
    bool full() { return !replies_.has_capacity(); }

    /// Requires that it is not full, and that neither peer nor client has one; the peer may be no_peer.
    /// Returns the id.
    std::uint64_t open(PeerId peer, std::uint64_t client, std::uint64_t hello_number);
    /// Its cached replies go with it.
    void close(std::uint64_t id);
    /// Its client has another connection now, or no_peer.
    void set_peer(Session& session, PeerId peer);

    template <class F>
    void for_each(F f) {
        for (Session& session : sessions_) {
            if (session.id != 0) f(session);
        }
    }

  private:
    // The rest is random: who has no session and guesses a million times a second takes months for one.
    static constexpr unsigned slot_bits = 20;
    static_assert(limits::sessions_max <= std::uint32_t{1} << slot_bits);
    static constexpr std::uint64_t slot_of(std::uint64_t id) noexcept {
        return id & ((std::uint64_t{1} << slot_bits) - 1);
    }
    void adopt(store::SessionReplies& replies);
    Session& slot_for(const store::SessionReplies& replies);
    using Map = std::unordered_map<std::uint64_t, std::uint64_t>;
    Session* of(const Map& map, std::uint64_t key) {
        const auto found = map.find(key);
        return found == map.end() ? nullptr : find(found->second);
    }

    std::mt19937_64 random_;
    store::ReplyCache& replies_;
    std::vector<Session> sessions_;  // by the numbers of their replies
    Map by_peer_;
    Map by_client_;
};

}  // namespace ddict::manager
