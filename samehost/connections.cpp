// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How the connections of a transport come and go.
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>
#include <utility>

#include "base/limits.h"
#include "os/error.h"
#include "samehost/transport.h"

namespace ddict::samehost {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t links_max = limits::sessions_max;
// Whoever connects says at once who it is; these have not.
constexpr std::uint32_t strangers_max = 1024;
constexpr milliseconds introduction_timeout{2'000};
// How long messages of a closed connection may wait for space in the ring.
constexpr milliseconds linger_timeout{1'000};
// How exactly time limits are kept.
constexpr milliseconds tick_interval{10};
// After which a process without free descriptors accepts again.
constexpr milliseconds pause_without_descriptors{100};
constexpr unsigned accepted_at_once_max = 64;
// An honest ring holds no more records than this many turns take.
constexpr int last_turns_max = 16;

int descriptors_max() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return INT_MAX;
    return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
}

/// Without a word.
Error why_tunnel_closed() {
    return Error(Errc::manager_lost,
                 "the manager of this node that passed the messages on has closed the connection, or ended")
        .set_state(ManagerState::unreachable);
}

}  // namespace

Result<std::unique_ptr<Transport>> Transport::create(os::Poller& poller, os::WaitPolicy& waiting,
                                                     milliseconds claim_timeout) {
    const Result<LinkName> name = make_link_name();
    if (!name) return name.error();
    std::uint64_t nonce = 0;
    if (::getrandom(&nonce, sizeof nonce, 0) != static_cast<ssize_t>(sizeof nonce))
        return os::error_of(errno, "asking the kernel for random bytes");
    return std::unique_ptr<Transport>(new Transport(poller, waiting, claim_timeout, *name, nonce));
}

Transport::Transport(os::Poller& poller, os::WaitPolicy& waiting, milliseconds claim_timeout,
                     const LinkName& name, std::uint64_t nonce)
    : poller_(poller),
      wait_policy_(waiting),
      claim_timeout_(claim_timeout),
      name_(name),
      nonce_(nonce),
      strangers_(strangers_max),
      links_(links_max),
      payloads_(
          events_, waiting, [this](Link& link) { note_waiting(link); },
          [this](Link& link) { out_of_memory(link); }),
      copy_(limits::header_bytes_max) {}

Transport::~Transport() {
    links_.for_each([&](std::uint64_t, const std::unique_ptr<Link>& link) {
        link->withdraw();
        poller_.unwatch(link->socket());
    });
    strangers_.for_each(
        [&](std::uint64_t, const Stranger& stranger) { poller_.unwatch(stranger.socket.fd()); });
    if (!listener_socket_.is_open()) return;
    poller_.unwatch(listener_socket_.fd());
    ::unlink(path_.c_str());
}

// ---- connecting ----

Result<PeerId> Transport::connect(const std::string& path) {
    try {
        return connect_now(path);
    } catch (const std::bad_alloc&) {
        return Error(Errc::system, "this process has no memory for another connection");
    }
}

Result<Transport::Met> Transport::meet_at(const std::string& path) const {
    Result<Channel::Made> made = Channel::make();
    if (!made) return made.error();
    Result<os::UnsharedDescriptor> socket = meet(path, name_, made->memory);
    if (!socket) return socket.error();
    const Result<pid_t> peer = peer_of(socket->fd());
    if (!peer) return peer.error();
    return Met{*std::move(socket), std::move(made->channel), *peer};
}

Result<PeerId> Transport::connect_now(const std::string& path) {
    Result<Met> met = meet_at(path);
    if (!met) return met.error();
    const Result<Link*> link =
        add_link(std::move(met->socket), std::move(met->channel), Side::connecting, met->peer);
    if (!link) return link.error();
    (*link)->state = LinkState::open;
    return (*link)->id;
}

Result<Link*> Transport::add_link(os::UnsharedDescriptor socket, Channel channel, Side side, pid_t peer) {
    std::uint64_t token = 0;
    try {
        // So that what must not fail later needs no memory.
        for (std::vector<Link*>* const list : {&polled_, &waiting_, &lost_, &closed_}) {
            if (list->capacity() <= links_.size()) list->reserve(2 * links_.size() + 8);
        }
        auto made = std::make_unique<Link>(std::move(socket), std::move(channel), side, peer, nonce_);
        Link* const link = made.get();
        token = links_.add(std::move(made));
        if (token == 0) return Error(Errc::busy, "this process has as many connections as it may have");
        link->id = token | id_bit;
        events_.promise();
        link->is_loss_promised = true;
        const Result<void> watched = poller_.watch(link->socket(), [this, link] { on_socket(*link); });
        if (watched) return link;
        remove_link(token);
        return watched.error();
    } catch (const std::bad_alloc&) {
        if (token != 0) remove_link(token);
        return Error(Errc::system, "this process has no memory for another connection");
    }
}

/// What knows of it forgets it.
void Transport::remove_link(std::uint64_t token) {
    const std::unique_ptr<Link> link = *links_.take(token);
    if (link->is_loss_promised) events_.forget();
    payloads_.drop(*link);
    poller_.unwatch(link->socket());
    deadlines_.erase(link->id);
    const auto unclaimed = unclaimed_.find(link->name);
    if (unclaimed != unclaimed_.end() && unclaimed->second == link->id) unclaimed_.erase(unclaimed);
}

/// Whoever repeats its first message through another connection has two of one name: the one whose message
/// this answers is meant.
PeerId Transport::claim(const LinkName& name) {
    const auto found = unclaimed_.find(name);
    Link* link = found != unclaimed_.end() ? links_.find(found->second & ~id_bit)->get() : nullptr;
    if (reading_ != nullptr && reading_->name == name && reading_->side() == Side::accepting) link = reading_;
    if (link == nullptr || link->state != LinkState::unclaimed) return no_peer;
    stop_waiting_for_claim(*link);
    return link->id;
}

void Transport::stop_waiting_for_claim(Link& link) {
    const auto unclaimed = unclaimed_.find(link.name);
    if (unclaimed != unclaimed_.end() && unclaimed->second == link.id) unclaimed_.erase(unclaimed);
    deadlines_.erase(link.id);
    link.state = LinkState::open;
}

Link* Transport::find(PeerId peer) noexcept {
    const std::unique_ptr<Link>* const link = links_.find(peer & ~id_bit);
    return link != nullptr && (*link)->state == LinkState::open ? link->get() : nullptr;
}

std::string Transport::describe(PeerId peer) const {
    Link* const link = const_cast<Transport*>(this)->find(peer);
    if (link == nullptr) return "closed";
    if (link->use == LinkUse::through_tunnel) return "through a manager of the client's node";
    return link->peer_memory().may_be_read() ? "same host" : "same host, large values in pieces";
}

// ---- accepting ----

/// The last ones are for the connections that stand.
bool Transport::leaves_descriptors(int fd) noexcept {
    return fd < descriptors_max() - static_cast<int>(descriptors_reserved);
}

Result<void> Transport::listen(const std::string& path) {
    Result<os::FileDescriptor> socket = listen_at(path);
    if (!socket) return socket.error();
    listener_socket_ = *std::move(socket);
    path_ = path;
    is_accepting_ = true;
    return poller_.watch(listener_socket_.fd(), [this] { on_connection(); });
}

void Transport::on_connection() {
    for (unsigned i = 0; i < accepted_at_once_max; ++i) {
        os::FileDescriptor socket(
            ::accept4(listener_socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket.is_open()) {
            if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED) return;
            // The socket stays readable: without a pause this would be asked for ever.
            is_accepting_ = false;
            accepts_again_ = Clock::now() + pause_without_descriptors;
            poller_.mute(listener_socket_.fd(), true);
            return;
        }
        if (!leaves_descriptors(socket.fd())) {
            ++counters_.links_refused;
            ++counters_.links_without_descriptor;
            continue;
        }
        const Result<pid_t> peer = peer_of(socket.fd());
        if (!peer) {
            ++counters_.links_refused;
            continue;
        }
        // It has come with the connection, as a rule.
        Result<std::optional<Introduction>> introduction = read_introduction(socket.fd());
        if (!introduction.has_value()) {
            ++counters_.links_refused;
        } else if (introduction->has_value()) {
            accept_link(std::move(socket), *peer, *std::move(*introduction));
        } else {
            await_introduction(std::move(socket), *peer);
        }
    }
}

void Transport::await_introduction(os::FileDescriptor socket, pid_t peer) {
    std::uint64_t stranger = 0;
    try {
        const int fd = socket.fd();
        stranger = strangers_.add({std::move(socket), peer, Clock::now() + introduction_timeout});
        if (stranger != 0 && poller_.watch(fd, [this, stranger] { on_introduction(stranger); })) return;
    } catch (const std::bad_alloc&) {
    }
    refuse(stranger);
}

void Transport::on_introduction(std::uint64_t token) {
    Stranger* const stranger = strangers_.find(token);
    if (stranger == nullptr) return;
    Result<std::optional<Introduction>> introduction = read_introduction(stranger->socket.fd());
    if (!introduction.has_value()) return refuse(token);
    if (!introduction->has_value()) return;
    poller_.unwatch(stranger->socket.fd());
    Stranger known = *strangers_.take(token);
    accept_link(std::move(known.socket), known.peer, *std::move(*introduction));
}

void Transport::accept_link(os::FileDescriptor socket, pid_t peer, Introduction introduction) {
    Result<Channel> channel = Channel::map(introduction.memory);
    if (channel) {
        const Result<Link*> link =
            add_link(os::UnsharedDescriptor(std::move(socket)), *std::move(channel), Side::accepting, peer);
        if (link && make_claimable(**link, introduction.name)) return start_polling(**link);
    }
    ++counters_.links_refused;
}

/// False if memory is missing; the link is removed then.
bool Transport::make_claimable(Link& link, const LinkName& name) {
    try {
        deadlines_[link.id] = Clock::now() + claim_timeout_;
        unclaimed_[name] = link.id;
        link.name = name;
        return true;
    } catch (const std::bad_alloc&) {
        remove_link(link.id & ~id_bit);
        return false;
    }
}

void Transport::refuse(std::uint64_t token) {
    if (const auto stranger = strangers_.take(token)) poller_.unwatch(stranger->socket.fd());
    ++counters_.links_refused;
}

// ---- ending ----

void Transport::on_socket(Link& link) {
    if (link.hear()) {
        ++counters_.doorbells;
        if (link.state <= LinkState::open) start_polling(link);
        return;
    }
    poller_.unwatch(link.socket());
    mark_lost(link);
}

void Transport::end_payloads(Link& link) {
    link.withdraw();
    payloads_.drop(link);
    link.drop_waiting_payloads([this](std::uint64_t tag) { events_.payload_sent(tag, false); });
}

/// What the other end has written before it went is still there.
void Transport::lose(Link& link, TransportEvents& listener) {
    const bool may_be_read = !link.trouble.has_value();
    for (int turn = 0; may_be_read && turn < last_turns_max && link.state <= LinkState::open; ++turn) {
        const bool is_passed_on = link.use == LinkUse::passed_on;
        if ((is_passed_on ? pass_on_records(link, true) : take_records(link, listener)) == 0) break;
    }
    if (link.state == LinkState::closed) return;
    if (link.use == LinkUse::passed_on) {
        if (link.state == LinkState::open) tunnels_->on_link_lost(link.id);
        return mark_closed(link);
    }
    if (link.state == LinkState::open) {
        ++counters_.peers_lost;
        end_payloads(link);
        link.is_loss_promised = false;
        // Who accepts does not wait to find out.
        const milliseconds time = link.side() == Side::connecting ? end_told_within : milliseconds(0);
        events_.peer_lost(link.id, link.trouble                          ? *link.trouble
                                   : link.use == LinkUse::through_tunnel ? why_tunnel_closed()
                                                                         : why_closed(link.peer(), time));
    }
    mark_closed(link);
}

void Transport::close(PeerId peer) {
    Link* const link = find(peer);
    if (link == nullptr) return;
    end_payloads(*link);
    if (link->has_waiting() && !link->is_lost && linger(*link)) return;
    mark_closed(*link);
}

/// Messages of a connection that is closed may still go out. False if memory is missing.
bool Transport::linger(Link& link) {
    try {
        deadlines_[link.id] = Clock::now() + linger_timeout;
    } catch (const std::bad_alloc&) {
        return false;
    }
    link.state = LinkState::closing;
    return true;
}

void Transport::destroy_closed() {
    const auto is_closed = [](const Link* link) { return link->state == LinkState::closed; };
    std::erase_if(polled_, is_closed);
    std::erase_if(waiting_, is_closed);
    std::erase_if(lost_, is_closed);
    for (Link* const link : closed_)
        remove_link(link->id & ~id_bit);
    closed_.clear();
}

void Transport::tick(Clock::time_point now) {
    if (now < next_tick_) return;
    next_tick_ = now + tick_interval;
    if (listener_socket_.is_open() && !is_accepting_ && now >= accepts_again_) {
        is_accepting_ = true;
        poller_.mute(listener_socket_.fd(), false);
    }
    strangers_.for_each([&](std::uint64_t token, const Stranger& stranger) {
        if (now >= stranger.deadline) refuse(token);
    });
    for (const auto& [peer, deadline] : deadlines_) {
        if (now < deadline) continue;
        Link& link = **links_.find(peer & ~id_bit);
        if (link.state == LinkState::unclaimed) ++counters_.links_refused;
        mark_closed(link);
    }
}

bool Transport::drain() {
    if (is_accepting_) poller_.mute(listener_socket_.fd(), true);
    is_accepting_ = false;
    accepts_again_ = Clock::time_point::max();
    flush();
    return std::all_of(waiting_.begin(), waiting_.end(), [](const Link* link) { return link->is_lost; });
}

}  // namespace ddict::samehost
