// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A transport that moves nothing: it keeps what it was asked to do, and the test plays the other side.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rpc/transport.h"
#include "wire/messages.h"

namespace ddict {

class RecordingTransport final : public Transport {
  public:
    struct Sent {
        PeerId peer;
        std::vector<std::byte> header;
        Bytes payload;
        std::uint64_t tag;
        std::vector<Bytes> parts{};  // instead of the payload
    };
    struct Received {
        PeerId from;
        std::uint64_t token;
        MutableBytes into;
        std::uint64_t tag;
        MutableBytes rest{};
    };

    Result<PeerId> connect(Bytes, const ProcessIdentity& process) override {
        if (refusal) return *refusal;
        if (process.host_key == identity().host_key) on_same_host.insert(next_peer_);
        open.insert(next_peer_);
        return next_peer_++;
    }
    void close(PeerId peer) override { open.erase(peer); }
    void send(PeerId peer, Bytes header) override { send(peer, header, Bytes(), 0); }
    void send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) override {
        if ((!payload.empty() && has_no_memory) || cannot_send) throw std::bad_alloc();
        sent.push_back({peer, {header.begin(), header.end()}, payload, tag});
        if (when_sent) when_sent();
    }
    void send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) override {
        sent.push_back({peer, {header.begin(), header.end()}, {}, tag, {payload.begin(), payload.end()}});
    }
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) override {
        if (has_no_memory) throw std::bad_alloc();
        received.push_back({from, token, into, tag});
    }
    void receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                         std::uint64_t tag) override {
        received.push_back({from, token, into, tag, rest});
    }
    void discard_payload(std::uint64_t token) override { discarded.push_back(token); }
    std::string describe(PeerId) const override { return "record"; }
    bool is_same_host(PeerId peer) const override { return on_same_host.count(peer) != 0; }
    Bytes address_for(PeerId) override { return bytes_of("my address"); }
    ProcessIdentity identity() const override {
        return {.host_key = 1, .pid = 2, .pid_namespace = 0, .start_time = 3};
    }

    /// The header of a message that was sent; -1 is the last one.
    template <class Header>
    Header header(int index = -1) const {
        const std::size_t at =
            index < 0 ? sent.size() - static_cast<std::size_t>(-index) : static_cast<std::size_t>(index);
        Header header;
        std::memcpy(&header, sent.at(at).header.data(), std::min(sizeof header, sent.at(at).header.size()));
        return header;
    }

    std::optional<Error> refusal;     // of connections
    bool has_no_memory = false;       // for payloads
    bool cannot_send = false;         // for want of memory
    std::function<void()> when_sent;  // after each message
    std::vector<Sent> sent;
    std::vector<Received> received;
    std::vector<std::uint64_t> discarded;
    std::set<PeerId> open;
    std::set<PeerId> on_same_host;

  private:
    PeerId next_peer_ = 1;
};

template <class Header>
std::vector<std::byte> message_of(const Header& header, Bytes rest = {}, Bytes more = {}) {
    std::vector<std::byte> out(sizeof header + rest.size() + more.size());
    std::memcpy(out.data(), &header, sizeof header);
    std::copy(rest.begin(), rest.end(), out.begin() + sizeof header);
    std::copy(more.begin(), more.end(),
              out.begin() + static_cast<std::ptrdiff_t>(sizeof header + rest.size()));
    return out;
}

}  // namespace ddict
