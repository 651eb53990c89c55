// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_network.h"

#include <algorithm>

#include "base/limits.h"

namespace ddict::sim {
namespace {

constexpr std::uint64_t address_magic = 0x6d69732d74636964;  // "dict-sim"
constexpr std::size_t address_bytes = 64;
constexpr std::size_t body_head_bytes_max = 64 + limits::key_bytes_max;

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
    network_->drop_bodies_of(*this, peer);
}

void Process::send(PeerId peer, Bytes head) {
    if (head.empty() || head.size() > limits::head_bytes_max) {
        network_->breach(*this, "a head of " + std::to_string(head.size()) + " bytes");
    }
    network_->send(*this, peer, head, nullptr);
}

void Process::send(PeerId peer, Bytes head, Bytes body, std::uint64_t tag) {
    if (head.empty() || head.size() > body_head_bytes_max) {
        network_->breach(*this,
                         "a head of " + std::to_string(head.size()) + " bytes on a message with a body");
    }
    if (body.empty()) network_->breach(*this, "an empty body");
    network_->send(*this, peer, head, &network_->new_body(this, peer, body, tag));
}

void Process::receive_body(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) {
    if (token == 0 || token > network_->bodies_.size())
        return network_->breach(*this, "receive_body() of a token that never was");
    Network::Body& body = network_->bodies_[token - 1];
    if (body.receiver != this || !body.announced || body.claimed)
        return network_->breach(*this, "receive_body() of a token that is not to be had, or not any more");
    if (into.size() != body.data.size())
        return network_->breach(*this, "receive_body() into " + std::to_string(into.size()) + " bytes of " +
                                           std::to_string(body.data.size()));
    const auto connection = connections_.find(from);
    if (connection == connections_.end())
        network_->breach(*this, "receive_body() from a peer that never was");
    body.claimed = body.receiving = true;
    body.from = from;
    body.into = into;
    body.receiver_tag = tag;
    if (connection == connections_.end() || !connection->second.open || !network_->readable(body)) {
        return network_->after(network_->delay(), [n = network_, &body] { n->abort(body); });
    }
    Process& sender = body.sender != nullptr ? *body.sender : *this;
    network_->across(sender, *this, network_->delay(), [n = network_, &body] { n->copy(body, false); });
}

void Process::send(PeerId peer, Bytes head, Parts parts, std::uint64_t tag) {
    std::vector<std::byte> whole;
    for (const Bytes part : parts) {
        if (part.empty()) network_->breach(*this, "an empty part of a body");
        whole.insert(whole.end(), part.begin(), part.end());
    }
    if (parts.size() > limits::value_parts_max) network_->breach(*this, "a body of too many parts");
    Network::Body& body = network_->new_body(this, peer, {}, tag);
    body.owned = std::move(whole);
    body.data = body.owned;
    network_->send(*this, peer, head, &body);
}

void Process::receive_body(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                           std::uint64_t tag) {
    if (token == 0 || token > network_->bodies_.size())
        return network_->breach(*this, "receive_body() of a token that never was");
    if (into.empty() || rest.empty()) network_->breach(*this, "receive_body() into an empty piece");
    Network::Body& body = network_->bodies_[token - 1];
    body.whole.resize(into.size() + rest.size());
    body.first = into;
    body.rest = rest;
    receive_body(from, token, body.whole, tag);
}

void Process::discard_body(std::uint64_t token) {
    if (token == 0 || token > network_->bodies_.size())
        return network_->breach(*this, "discard_body() of a token that never was");
    Network::Body& body = network_->bodies_[token - 1];
    if (body.receiver != this || !body.announced || body.claimed)
        return network_->breach(*this, "discard_body() of a token that is not to be had, or not any more");
    body.claimed = true;
    network_->tell_sender_later(body, network_->random_.chance(50));
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
    for (Body& body : bodies_) {
        // A transfer out of the dead memory breaks off; whoever sent to the dead hears of it with the loss.
        if (body.sender == &process && body.receiving && !body.complete)
            across(process, *body.receiver, delay(), [this, &body] { abort(body); });
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

void Network::inject(Process& to, std::vector<std::byte> head, std::vector<std::byte> payload) {
    if (payload.empty()) {
        return after(delay(), [this, &to, head = std::move(head)] { announce(to, head, nullptr); });
    }
    Body& body = new_body(nullptr, no_peer, {}, 0);
    body.owned = std::move(payload);
    body.data = body.owned;
    body.receiver = &to;
    after(delay(), [this, &to, head = std::move(head), &body] { announce(to, head, &body); });
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
    for (const Body& body : bodies_) {
        const std::string name = "body " + std::to_string(body.id);
        if (body.announced && !body.claimed && body.receiver->alive_)
            out += name + " was neither received nor discarded\n";
        if (body.receiving && !body.receiver_told && body.receiver->alive_)
            out += name + ": its receiver was never told\n";
        if (body.sender != nullptr && !body.sender_told && body.sender->alive_)
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

Network::Body& Network::new_body(Process* sender, PeerId peer, Bytes data, std::uint64_t tag) {
    Body& body = bodies_.emplace_back();
    body.id = bodies_.size();
    body.sender = sender;
    body.sender_peer = peer;
    body.sender_tag = tag;
    body.data = data;
    return body;
}

bool Network::readable(const Body& body) const {
    return body.sender == nullptr || (body.sender->alive_ && !body.sender_told);
}

void Network::send(Process& from, PeerId peer, Bytes head, Body* body) {
    const auto found = from.connections_.find(peer);
    if (found == from.connections_.end()) return breach(from, "send() to a peer that never was");
    if (!found->second.open) {  // ignored; but the owner of a body has to hear of it
        if (body != nullptr) after(delay(), [this, body] { tell_sender(*body, false); });
        return;
    }
    if (found->second.severed) return;  // whoever waits for it hears when the connection is lost or closed
    Process& to = *found->second.remote;
    std::vector<std::byte> copied(head.begin(), head.end());
    if (body != nullptr) {
        body->receiver = &to;
        if (body->data.size() <= options_.eager_body_bytes_max && random_.chance(50))
            return send_eagerly(from, to, peer, std::move(copied), *body);
    }
    const auto path = std::pair(from.index_, peer);
    const std::uint64_t number = ++last_sent_[path];
    across(from, to, delay(), [this, &from, &to, peer, copied = std::move(copied), body, path, number] {
        if (number < last_arrived_[path]) ++counters_.overtakings;
        last_arrived_[path] = std::max(last_arrived_[path], number);
        if (is_severed(from, peer) && random_.chance(50)) return;
        arrive(from, to, copied, body, nullptr);
    });
}

/// The body is read some time after the call of send(), and arrives together with its message.
void Network::send_eagerly(Process& from, Process& to, PeerId peer, std::vector<std::byte> head, Body& body) {
    after(delay(), [this, &from, &to, peer, head = std::move(head), &body] {
        if (!readable(body) || is_severed(from, peer)) return;
        std::vector<std::byte> eager(body.data.begin(), body.data.end());
        after(delay(), [this, &body] { tell_sender(body, true); });
        across(from, to, delay(), [this, &from, &to, peer, head, &body, eager = std::move(eager)] {
            if (is_severed(from, peer) && random_.chance(50)) return;
            arrive(from, to, head, &body, &eager);
        });
    });
}

void Network::arrive(Process& from, Process& to, const std::vector<std::byte>& head, Body* body,
                     const std::vector<std::byte>* eager) {
    if (!to.alive_) return;  // whoever waits for it hears with the loss of the peer
    if (!from.alive_ && random_.chance(50)) return;
    if (eager == nullptr) return announce(to, head, body);
    ++counters_.messages;
    ++counters_.eager_bodies;
    std::vector<std::byte> shown_head(head);
    std::vector<std::byte> shown_body(*eager);
    const IncomingBody incoming{.in_memory = shown_body, .token = 0, .bytes = shown_body.size()};
    deliver(to, [&](TransportEvents& events) { events.on_message(shown_head, incoming); });
}

/// Hands a message over. Its memory is fresh and goes away after the event, so that asan sees who keeps it.
void Network::announce(Process& to, const std::vector<std::byte>& head, Body* body) {
    if (!to.alive_) return;
    ++counters_.messages;
    IncomingBody incoming;
    if (body != nullptr) {
        ++counters_.bodies;
        body->announced = true;
        incoming.token = body->id;
        incoming.bytes = body->data.size();
    }
    std::vector<std::byte> shown(head);
    deliver(to, [&](TransportEvents& events) { events.on_message(shown, incoming); });
    std::fill(shown.begin(), shown.end(), std::byte{0xee});
}

/// Half of the body at a time, each half read and written at its own moment.
void Network::copy(Body& body, bool second_half) {
    if (body.aborted || !body.receiver->alive_) return;
    if (!readable(body)) return abort(body);
    if (body.sender != nullptr && is_severed(*body.sender, body.sender_peer)) return abort(body);
    const std::size_t middle = body.data.size() / 2;
    const std::size_t begin = second_half ? middle : 0;
    const std::size_t end = second_half ? body.data.size() : middle;
    std::copy_n(body.data.begin() + static_cast<std::ptrdiff_t>(begin), end - begin,
                body.into.begin() + static_cast<std::ptrdiff_t>(begin));
    if (!second_half) {
        Process& sender = body.sender != nullptr ? *body.sender : *body.receiver;
        return across(sender, *body.receiver, delay(), [this, &body] { copy(body, true); });
    }
    body.complete = true;
    after(delay(), [this, &body] { tell_receiver(body, true); });
    tell_sender_later(body, true);
}

/// The transfer breaks off, somewhere in the middle.
void Network::abort(Body& body) {
    if (body.aborted || body.complete) return;
    body.aborted = true;
    ++counters_.failed_bodies;
    if (body.receiving && !body.receiver_told && body.receiver->alive_) {
        std::fill_n(body.into.begin(), random_.below(body.into.size() + 1), std::byte{0xbd});
        after(delay(), [this, &body] { tell_receiver(body, false); });
    }
    tell_sender_later(body, false);
}

void Network::tell_sender_later(Body& body, bool ok) {
    if (body.sender == nullptr) return;
    across(*body.sender, *body.receiver, delay(), [this, &body, ok] { tell_sender(body, ok); });
}

void Network::tell_sender(Body& body, bool ok) {
    if (body.sender == nullptr || body.sender_told || !body.sender->alive_) return;
    body.sender_told = true;
    deliver(*body.sender, [&](TransportEvents& events) { events.on_body_sent(body.sender_tag, ok); });
}

void Network::tell_receiver(Body& body, bool ok) {
    if (!body.receiving || body.receiver_told || !body.receiver->alive_) return;
    body.receiver_told = true;
    if (ok && !body.whole.empty()) {
        const auto middle = body.whole.begin() + static_cast<std::ptrdiff_t>(body.first.size());
        std::copy(body.whole.begin(), middle, body.first.begin());
        std::copy(middle, body.whole.end(), body.rest.begin());
    }
    deliver(*body.receiver, [&](TransportEvents& events) { events.on_body_received(body.receiver_tag, ok); });
}

/// The connection was closed from here: what was on its way is dropped, unless it was there already.
void Network::drop_bodies_of(Process& process, PeerId peer) {
    for (Body& body : bodies_) {
        if (body.receiving && body.receiver == &process && body.from == peer && !body.receiver_told &&
            !body.complete) {
            after(delay(), [this, &body] { abort(body); });
        }
        if (body.sender == &process && body.sender_peer == peer && !body.sender_told) {
            after(delay(), [this, &body] { tell_sender(body, body.complete); });  // ends the transfer
        }
    }
}

void Network::lose(Process& process, PeerId peer) {
    Process::Connection& connection = process.connections_.at(peer);
    if (!process.alive_ || !connection.open) return;
    connection.open = false;
    for (std::size_t i = 0; i < bodies_.size(); ++i) {  // the logic may send more meanwhile
        Body& body = bodies_[i];
        if (body.sender == &process && body.sender_peer == peer) tell_sender(body, body.complete);
        if (body.receiving && body.receiver == &process && body.from == peer && !body.receiver_told) {
            if (!body.complete && !body.aborted) {
                body.aborted = true;
                std::fill_n(body.into.begin(), random_.below(body.into.size() + 1), std::byte{0xbd});
            }
            tell_receiver(body, body.complete);
        }
    }
    const Error why(Errc::manager_lost, "the simulated process is gone");
    deliver(process, [&](TransportEvents& events) { events.on_peer_lost(peer, why); });
}

}  // namespace ddict::sim
