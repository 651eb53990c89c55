// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_network.h"

#include <algorithm>

#include "base/limits.h"

namespace ddict::sim {
namespace {

constexpr std::uint64_t address_magic = 0x6d69732d74636964;  // "dict-sim"
constexpr std::size_t address_bytes = 64;
constexpr std::size_t header_with_payload_bytes_max = 64 + limits::key_bytes_max;

}  // namespace

void Process::listen(TransportEvents& events, std::function<void()> after_event) {
    events_ = &events;
    after_event_ = std::move(after_event);
}

std::size_t Process::connections() const {
    return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                  [](const auto& entry) { return entry.second.open; }));
}

Result<PeerId> Process::connect(Bytes address, const ProcessIdentity& process) {
    Unpacker in(address);
    const auto magic = in.take<std::uint64_t>();
    const auto index = in.take<std::uint64_t>();
    if (!in.good() || address.size() != address_bytes || magic != address_magic ||
        index >= network_->processes_.size()) {
        return Error(Errc::bad_handle, "the simulated network has no such address");
    }
    Process& remote = network_->processes_[index];
    const bool same_host = process.host_key == identity_.host_key;
    if (same_host && (!remote.alive_ || remote.host_ != host_ || remote.identity_.pid != process.pid)) {
        return Error(Errc::manager_lost, "its process is gone");
    }
    if (!same_host && !remote.has_way_)
        return Error(Errc::manager_lost, "no network leads there").set_state(ManagerState::unreachable);
    const PeerId peer = next_peer_++;
    connections_[peer] = {.remote = &remote, .open = true};
    if (!remote.alive_) network_->watch_for_death(*this, peer, remote);
    return peer;
}

void Process::close(PeerId peer) {
    const auto found = connections_.find(peer);
    if (found == connections_.end()) return network_->breach(*this, "close() of a peer that never was");
    if (!found->second.open) return;
    found->second.open = false;
    network_->drop_payloads_of(*this, peer);
}

void Process::send(PeerId peer, Bytes header) {
    if (header.empty() || header.size() > limits::header_bytes_max) {
        network_->breach(*this, "a header of " + std::to_string(header.size()) + " bytes");
    }
    network_->send(*this, peer, header, nullptr);
}

void Process::send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) {
    if (header.empty() || header.size() > header_with_payload_bytes_max) {
        network_->breach(
            *this, "a header of " + std::to_string(header.size()) + " bytes on a message with a payload");
    }
    if (payload.empty()) network_->breach(*this, "an empty payload");
    network_->send(*this, peer, header, &network_->new_payload(this, peer, payload, tag));
}

void Process::receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) {
    if (token == 0 || token > network_->payloads_.size())
        return network_->breach(*this, "receive_payload() of a token that never was");
    Network::Payload& payload = network_->payloads_[token - 1];
    if (payload.receiver != this || !payload.announced || payload.claimed)
        return network_->breach(*this, "receive_payload() of a token that is not to be had, or not any more");
    if (into.size() != payload.data.size())
        return network_->breach(*this, "receive_payload() into " + std::to_string(into.size()) +
                                           " bytes of " + std::to_string(payload.data.size()));
    const auto connection = connections_.find(from);
    if (connection == connections_.end())
        network_->breach(*this, "receive_payload() from a peer that never was");
    payload.claimed = payload.receiving = true;
    payload.from = from;
    payload.into = into;
    payload.receiver_tag = tag;
    if (connection == connections_.end() || !connection->second.open || !network_->readable(payload)) {
        return network_->after(network_->delay(), [n = network_, &payload] { n->abort(payload); });
    }
    Process& sender = payload.sender != nullptr ? *payload.sender : *this;
    network_->across(sender, *this, network_->delay(), [n = network_, &payload] { n->copy(payload, false); });
}

void Process::send(PeerId peer, Bytes header, Parts parts, std::uint64_t tag) {
    std::vector<std::byte> whole;
    for (const Bytes part : parts) {
        if (part.empty()) network_->breach(*this, "an empty part of a payload");
        whole.insert(whole.end(), part.begin(), part.end());
    }
    if (parts.size() > limits::value_parts_max) network_->breach(*this, "a payload of too many parts");
    Network::Payload& payload = network_->new_payload(this, peer, {}, tag);
    payload.owned = std::move(whole);
    payload.data = payload.owned;
    network_->send(*this, peer, header, &payload);
}

void Process::receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                              std::uint64_t tag) {
    if (token == 0 || token > network_->payloads_.size())
        return network_->breach(*this, "receive_payload() of a token that never was");
    if (into.empty() || rest.empty()) network_->breach(*this, "receive_payload() into an empty piece");
    Network::Payload& payload = network_->payloads_[token - 1];
    payload.whole.resize(into.size() + rest.size());
    payload.first = into;
    payload.rest = rest;
    receive_payload(from, token, payload.whole, tag);
}

void Process::discard_payload(std::uint64_t token) {
    if (token == 0 || token > network_->payloads_.size())
        return network_->breach(*this, "discard_payload() of a token that never was");
    Network::Payload& payload = network_->payloads_[token - 1];
    if (payload.receiver != this || !payload.announced || payload.claimed)
        return network_->breach(*this, "discard_payload() of a token that is not to be had, or not any more");
    payload.claimed = true;
    network_->tell_sender_later(payload, network_->random_.chance(50));
}

bool Process::is_same_host(PeerId peer) const {
    const auto found = connections_.find(peer);
    return found != connections_.end() && found->second.remote->identity_.host_key == identity_.host_key;
}

std::string Process::describe(PeerId peer) const {
    const auto found = connections_.find(peer);
    if (found == connections_.end()) return {};
    return found->second.remote->host_ == host_ ? "simulated memory" : "simulated network";
}

Network::Network(std::uint64_t seed, const NetworkOptions& options) : random_(seed), options_(options) {}

Process& Network::start(std::uint32_t host) {
    Process& process = processes_.emplace_back();
    process.network_ = this;
    process.index_ = processes_.size() - 1;
    process.host_ = host;
    process.identity_ = {.host_key = 1000 + std::uint64_t{host},
                         .pid = static_cast<std::int32_t>(100 + process.index_),
                         .pid_namespace = 0,
                         .start_time = 7};
    process.next_peer_ = 1 + random_.below(1000);
    Packer(process.address_).put(address_magic).put(std::uint64_t{process.index_});
    process.address_.resize(address_bytes, std::byte{0xa5});
    return process;
}

void Network::kill(Process& process) {
    if (!process.alive_) return;
    process.alive_ = false;
    for (Process& other : processes_) {
        if (!other.alive_) continue;
        for (const auto& [peer, connection] : other.connections_) {
            if (connection.remote == &process && connection.open) watch_for_death(other, peer, process);
        }
    }
    for (Payload& payload : payloads_) {
        // A transfer out of the dead memory breaks off; whoever sent to the dead hears of it with the loss.
        if (payload.sender == &process && payload.receiving && !payload.complete)
            across(process, *payload.receiver, delay(), [this, &payload] { abort(payload); });
    }
}

void Network::watch_for_death(Process& process, PeerId peer, const Process& remote) {
    const Duration most =
        remote.host_ == process.host_ ? options_.detection_max_same_host : options_.detection_max_other_host;
    const Duration wait(random_.below(static_cast<std::uint64_t>(most.count())));
    across(process, const_cast<Process&>(remote), wait, [this, &process, peer] { lose(process, peer); });
}

void Network::cut(std::uint32_t host, std::uint32_t other) {
    cuts_.insert(std::minmax(host, other));
}

void Network::join(std::uint32_t host, std::uint32_t other) {
    cuts_.erase(std::minmax(host, other));
    std::vector<Held> waiting = std::exchange(held_, {});
    for (Held& held : waiting)
        across(*held.a, *held.b, delay(), std::move(held.action));
}

void Network::sever(Process& a, Process& b, bool a_is_told, bool b_is_told) {
    sever_one_way(a, b, a_is_told);
    sever_one_way(b, a, b_is_told);
}

void Network::sever_one_way(Process& from, const Process& to, bool is_told) {
    const auto most = static_cast<std::uint64_t>(options_.detection_max_other_host.count());
    for (auto& [peer, connection] : from.connections_) {
        if (connection.remote != &to || !connection.open || connection.severed) continue;
        connection.severed = true;
        ++counters_.severed;
        if (!is_told) continue;
        after(Duration(random_.below(random_.chance(50) ? most / 100 : most)),
              [this, &from, lost = peer] { lose(from, lost); });
    }
}

bool Network::is_severed(const Process& from, PeerId peer) const {
    const auto found = from.connections_.find(peer);
    return found != from.connections_.end() && found->second.severed;
}

void Network::at(Time when, Process& process, std::function<void()> action) {
    at(when, [&process, action = std::move(action)] {
        if (!process.alive_) return;
        action();
        if (process.alive_ && process.after_event_) process.after_event_();
    });
}

void Network::at(Time when, std::function<void()> action) {
    queue_.emplace(std::pair(std::max(when, now_), ++order_), std::move(action));
}

void Network::inject(Process& to, std::vector<std::byte> header, std::vector<std::byte> payload) {
    if (payload.empty()) {
        return after(delay(), [this, &to, header = std::move(header)] { announce(to, header, nullptr); });
    }
    Payload& injected = new_payload(nullptr, no_peer, {}, 0);
    injected.owned = std::move(payload);
    injected.data = injected.owned;
    injected.receiver = &to;
    after(delay(), [this, &to, header = std::move(header), &injected] { announce(to, header, &injected); });
}

bool Network::step() {
    if (queue_.empty()) return false;
    auto next = queue_.extract(queue_.begin());
    now_ = next.key().first;
    ++counters_.events;
    next.mapped()();
    return true;
}

bool Network::run(std::uint64_t steps_max) {
    return run_until([] { return false; }, steps_max) || queue_.empty();
}

bool Network::run_until(const std::function<bool()>& done, std::uint64_t steps_max) {
    for (; steps_max > 0; --steps_max) {
        if (done()) return true;
        if (!step()) return done();
    }
    return false;
}

std::string Network::unsettled() const {
    std::string out;
    for (const Payload& payload : payloads_) {
        const std::string name = "payload " + std::to_string(payload.id);
        if (payload.announced && !payload.claimed && payload.receiver->alive_)
            out += name + " was neither received nor discarded\n";
        if (payload.receiving && !payload.receiver_told && payload.receiver->alive_)
            out += name + ": its receiver was never told\n";
        if (payload.sender != nullptr && !payload.sender_told && payload.sender->alive_)
            out += name + ": its sender was never told\n";
    }
    return out;
}

/// Most messages are quick, a few are very slow, so that orders are well shuffled.
Duration Network::delay() {
    const auto most = static_cast<std::uint64_t>(options_.delay_max.count());
    return options_.delay_min + Duration(1 + random_.below(random_.chance(10) ? 10 * most : most));
}

void Network::after(Duration wait, Action action) {
    at(now_ + wait, std::move(action));
}

bool Network::is_cut(const Process& a, const Process& b) const {
    return cuts_.contains(std::minmax(a.host_, b.host_));
}

void Network::across(Process& a, Process& b, Duration wait, Action action) {
    after(wait, [this, &a, &b, action = std::move(action)]() mutable {
        if (is_cut(a, b)) {
            held_.push_back({&a, &b, std::move(action)});
        } else {
            action();
        }
    });
}

void Network::deliver(Process& to, const std::function<void(TransportEvents&)>& event) {
    if (!to.alive_ || to.events_ == nullptr) return;
    event(*to.events_);
    if (to.alive_ && to.after_event_) to.after_event_();
}

void Network::breach(const Process& process, const std::string& what) {
    breaches_.push_back("process " + std::to_string(process.index_) + ": " + what);
}

Network::Payload& Network::new_payload(Process* sender, PeerId peer, Bytes data, std::uint64_t tag) {
    Payload& payload = payloads_.emplace_back();
    payload.id = payloads_.size();
    payload.sender = sender;
    payload.sender_peer = peer;
    payload.sender_tag = tag;
    payload.data = data;
    return payload;
}

bool Network::readable(const Payload& payload) const {
    return payload.sender == nullptr || (payload.sender->alive_ && !payload.sender_told);
}

void Network::send(Process& from, PeerId peer, Bytes header, Payload* payload) {
    const auto found = from.connections_.find(peer);
    if (found == from.connections_.end()) return breach(from, "send() to a peer that never was");
    if (!found->second.open) {  // ignored; but the owner of a payload has to hear of it
        if (payload != nullptr) after(delay(), [this, payload] { tell_sender(*payload, false); });
        return;
    }
    if (found->second.severed) return;  // whoever waits for it hears when the connection is lost or closed
    Process& to = *found->second.remote;
    std::vector<std::byte> copied(header.begin(), header.end());
    if (payload != nullptr) {
        payload->receiver = &to;
        if (payload->data.size() <= options_.eager_payload_bytes_max && random_.chance(50))
            return send_eagerly(from, to, peer, std::move(copied), *payload);
    }
    const auto path = std::pair(from.index_, peer);
    const std::uint64_t number = ++last_sent_[path];
    across(from, to, delay(), [this, &from, &to, peer, copied = std::move(copied), payload, path, number] {
        if (number < last_arrived_[path]) ++counters_.overtakings;
        last_arrived_[path] = std::max(last_arrived_[path], number);
        if (is_severed(from, peer) && random_.chance(50)) return;
        arrive(from, to, copied, payload, nullptr);
    });
}

/// The payload is read some time after the call of send(), and arrives together with its message.
void Network::send_eagerly(Process& from, Process& to, PeerId peer, std::vector<std::byte> header,
                           Payload& payload) {
    after(delay(), [this, &from, &to, peer, header = std::move(header), &payload] {
        if (!readable(payload) || is_severed(from, peer)) return;
        std::vector<std::byte> eager(payload.data.begin(), payload.data.end());
        after(delay(), [this, &payload] { tell_sender(payload, true); });
        across(from, to, delay(), [this, &from, &to, peer, header, &payload, eager = std::move(eager)] {
            if (is_severed(from, peer) && random_.chance(50)) return;
            arrive(from, to, header, &payload, &eager);
        });
    });
}

void Network::arrive(Process& from, Process& to, const std::vector<std::byte>& header, Payload* payload,
                     const std::vector<std::byte>* eager) {
    if (!to.alive_) return;  // whoever waits for it hears with the loss of the peer
    if (!from.alive_ && random_.chance(50)) return;
    if (eager == nullptr) return announce(to, header, payload);
    ++counters_.messages;
    ++counters_.eager_payloads;
    std::vector<std::byte> shown_header(header);
    std::vector<std::byte> shown_payload(*eager);
    const IncomingPayload incoming{.in_memory = shown_payload, .token = 0, .bytes = shown_payload.size()};
    deliver(to, [&](TransportEvents& events) { events.on_message(shown_header, incoming); });
}

/// Hands a message over. Its memory is fresh and goes away after the event, so that asan sees who keeps it.
void Network::announce(Process& to, const std::vector<std::byte>& header, Payload* payload) {
    if (!to.alive_) return;
    ++counters_.messages;
    IncomingPayload incoming;
    if (payload != nullptr) {
        ++counters_.payloads;
        payload->announced = true;
        incoming.token = payload->id;
        incoming.bytes = payload->data.size();
    }
    std::vector<std::byte> shown(header);
    deliver(to, [&](TransportEvents& events) { events.on_message(shown, incoming); });
    std::fill(shown.begin(), shown.end(), std::byte{0xee});
}

/// Half of the payload at a time, each half read and written at its own moment.
void Network::copy(Payload& payload, bool second_half) {
    if (payload.aborted || !payload.receiver->alive_) return;
    if (!readable(payload)) return abort(payload);
    if (payload.sender != nullptr && is_severed(*payload.sender, payload.sender_peer)) return abort(payload);
    const std::size_t middle = payload.data.size() / 2;
    const std::size_t begin = second_half ? middle : 0;
    const std::size_t end = second_half ? payload.data.size() : middle;
    std::copy_n(payload.data.begin() + static_cast<std::ptrdiff_t>(begin), end - begin,
                payload.into.begin() + static_cast<std::ptrdiff_t>(begin));
    if (!second_half) {
        Process& sender = payload.sender != nullptr ? *payload.sender : *payload.receiver;
        return across(sender, *payload.receiver, delay(), [this, &payload] { copy(payload, true); });
    }
    payload.complete = true;
    after(delay(), [this, &payload] { tell_receiver(payload, true); });
    tell_sender_later(payload, true);
}

/// The transfer breaks off, somewhere in the middle.
void Network::abort(Payload& payload) {
    if (payload.aborted || payload.complete) return;
    payload.aborted = true;
    ++counters_.failed_payloads;
    if (payload.receiving && !payload.receiver_told && payload.receiver->alive_) {
        std::fill_n(payload.into.begin(), random_.below(payload.into.size() + 1), std::byte{0xbd});
        after(delay(), [this, &payload] { tell_receiver(payload, false); });
    }
    tell_sender_later(payload, false);
}

void Network::tell_sender_later(Payload& payload, bool ok) {
    if (payload.sender == nullptr) return;
    across(*payload.sender, *payload.receiver, delay(), [this, &payload, ok] { tell_sender(payload, ok); });
}

void Network::tell_sender(Payload& payload, bool ok) {
    if (payload.sender == nullptr || payload.sender_told || !payload.sender->alive_) return;
    payload.sender_told = true;
    deliver(*payload.sender,
            [&](TransportEvents& events) { events.on_payload_sent(payload.sender_tag, ok); });
}

void Network::tell_receiver(Payload& payload, bool ok) {
    if (!payload.receiving || payload.receiver_told || !payload.receiver->alive_) return;
    payload.receiver_told = true;
    if (ok && !payload.whole.empty()) {
        const auto middle = payload.whole.begin() + static_cast<std::ptrdiff_t>(payload.first.size());
        std::copy(payload.whole.begin(), middle, payload.first.begin());
        std::copy(middle, payload.whole.end(), payload.rest.begin());
    }
    deliver(*payload.receiver,
            [&](TransportEvents& events) { events.on_payload_received(payload.receiver_tag, ok); });
}

/// The connection was closed from here: what was on its way is dropped, unless it was there already.
void Network::drop_payloads_of(Process& process, PeerId peer) {
    for (Payload& payload : payloads_) {
        if (payload.receiving && payload.receiver == &process && payload.from == peer &&
            !payload.receiver_told && !payload.complete) {
            after(delay(), [this, &payload] { abort(payload); });
        }
        if (payload.sender == &process && payload.sender_peer == peer && !payload.sender_told) {
            after(delay(),
                  [this, &payload] { tell_sender(payload, payload.complete); });  // ends the transfer
        }
    }
}

void Network::lose(Process& process, PeerId peer) {
    Process::Connection& connection = process.connections_.at(peer);
    if (!process.alive_ || !connection.open) return;
    connection.open = false;
    for (std::size_t i = 0; i < payloads_.size(); ++i) {  // the logic may send more meanwhile
        Payload& payload = payloads_[i];
        if (payload.sender == &process && payload.sender_peer == peer) tell_sender(payload, payload.complete);
        if (payload.receiving && payload.receiver == &process && payload.from == peer &&
            !payload.receiver_told) {
            if (!payload.complete && !payload.aborted) {
                payload.aborted = true;
                std::fill_n(payload.into.begin(), random_.below(payload.into.size() + 1), std::byte{0xbd});
            }
            tell_receiver(payload, payload.complete);
        }
    }
    const Error why(Errc::manager_lost, "the simulated process is gone");
    deliver(process, [&](TransportEvents& events) { events.on_peer_lost(peer, why); });
}

}  // namespace ddict::sim
