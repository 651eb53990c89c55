// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// In place of UCX: workers of one process that send each other messages, which may overtake each other.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "transport/worker.h"

namespace ddict::transport::testing {

class FakeNetwork;

class FakeUcx final : public ucx::Worker {
  public:
    FakeUcx(FakeNetwork& network, std::string name) : network_(network), name_(std::move(name)) {}
    ~FakeUcx() override;

    unsigned poll(TransportEvents& events) override;
    bool is_quiet() const noexcept override { return incoming_.empty() && lost_.empty(); }
    os::WaitPolicy::Arming prepare_to_sleep() override { return os::WaitPolicy::Arming::busy; }
    void end_sleep() override {}
    bool needs_attention() const noexcept override { return true; }
    void stop(std::chrono::steady_clock::time_point) override {}
    const ucx::WorkerCounters& counters() const noexcept override { return counters_; }
    Result<PeerId> connect(Bytes address) override;
    void close(PeerId peer) override { peers_.erase(peer); }
    void send(PeerId peer, Bytes header) override;
    void send(PeerId, Bytes, Bytes, std::uint64_t) override {}
    void send(PeerId, Bytes, Parts, std::uint64_t) override {}
    void receive_payload(PeerId, std::uint64_t, MutableBytes, std::uint64_t) override {}
    void receive_payload(PeerId, std::uint64_t, MutableBytes, MutableBytes, std::uint64_t) override {}
    void discard_payload(std::uint64_t) override {}
    std::string describe(PeerId) const override { return "fake"; }
    std::string ways_back() const override { return {}; }
    Bytes address() const override { return bytes_of(name_); }

    /// A message from anybody.
    void deliver(Bytes message) { incoming_.emplace_back(message.begin(), message.end()); }
    std::size_t peers() const { return peers_.size(); }
    void lose_all() {
        for (const auto& [peer, name] : peers_)
            lost_.push_back(peer);
    }

  private:
    friend class FakeNetwork;
    FakeNetwork& network_;
    std::string name_;
    std::deque<std::vector<std::byte>> incoming_;
    std::map<PeerId, std::string> peers_;
    std::vector<PeerId> lost_;
    ucx::WorkerCounters counters_;
};

class FakeNetwork {
  public:
    /// With a seed other than 0 messages overtake each other.
    explicit FakeNetwork(std::uint64_t seed = 0) : overtakes_(seed != 0), random_(seed) {}

    StartNetwork joined_as(const std::string& name) {
        return [this, name](os::Poller&, os::WaitPolicy&) -> Result<std::unique_ptr<ucx::Worker>> {
            auto made = std::make_unique<FakeUcx>(*this, name);
            workers_[name] = made.get();
            return std::unique_ptr<ucx::Worker>(std::move(made));
        };
    }
    FakeUcx* find(const std::string& name) {
        const auto found = workers_.find(name);
        return found != workers_.end() ? found->second : nullptr;
    }
    void remove(const FakeUcx& one) {
        std::erase_if(workers_, [&](const auto& worker) { return worker.second == &one; });
        for (const auto& [name, worker] : workers_)
            for (const auto& [peer, other] : worker->peers_)
                if (other == one.name_) worker->lost_.push_back(peer);
    }
    std::size_t choose(std::size_t count) {
        return overtakes_ ? random_() % std::min<std::size_t>(count, 8) : 0;
    }
    PeerId next_peer() { return ++peers_; }
    std::uint64_t sent() const { return sent_; }
    const std::vector<std::byte>& last_message() const { return last_; }

  private:
    friend class FakeUcx;
    bool overtakes_;
    std::mt19937_64 random_;
    std::map<std::string, FakeUcx*> workers_;
    PeerId peers_ = 0;
    std::uint64_t sent_ = 0;
    std::vector<std::byte> last_;
};

inline FakeUcx::~FakeUcx() {
    network_.remove(*this);
}

inline Result<PeerId> FakeUcx::connect(Bytes address) {
    const std::string name(text_of(address));
    if (network_.find(name) == nullptr) return Error(Errc::bad_handle, "nobody has this address");
    const PeerId peer = network_.next_peer();
    peers_[peer] = name;
    return peer;
}

inline void FakeUcx::send(PeerId peer, Bytes header) {
    const auto found = peers_.find(peer);
    FakeUcx* const to = found != peers_.end() ? network_.find(found->second) : nullptr;
    if (to == nullptr) return;
    ++network_.sent_;
    network_.last_.assign(header.begin(), header.end());
    to->deliver(header);
}

inline unsigned FakeUcx::poll(TransportEvents& events) {
    unsigned delivered = 0;
    for (std::size_t count = incoming_.size(); count > 0; --count, ++delivered) {
        const std::size_t which = network_.choose(count);
        const std::vector<std::byte> message = std::move(incoming_[which]);
        incoming_.erase(incoming_.begin() + static_cast<std::ptrdiff_t>(which));
        events.on_message(message, {});
    }
    for (const PeerId peer : std::exchange(lost_, {})) {
        if (peers_.erase(peer) == 0) continue;
        events.on_peer_lost(peer, Error(Errc::manager_lost, "the network says so"));
        ++delivered;
    }
    return delivered;
}

}  // namespace ddict::transport::testing
