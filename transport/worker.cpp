// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "transport/worker.h"

#include <algorithm>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "os/error.h"
#include "os/network_interfaces.h"
#include "os/process_watch.h"
#include "samehost/host_identity.h"

namespace ddict::transport {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Looks at the clock, and then at the descriptors, while messages keep coming or are waited for.
constexpr unsigned polls_between_clock = 32;
constexpr microseconds look_interval{1000};
// Where a connection may ring that is not polled: its message waits for so long at the most.
constexpr microseconds look_interval_with_doorbells{20};
constexpr microseconds look_interval_with_callers{100};
// Free for the connections of clients, at the least, when a process begins to listen.
constexpr unsigned descriptors_for_clients = 8;

/// Others could keep whoever connects waiting (in a file system of somebody's own), or be anybody's.
bool is_socket_of_manager(std::string_view path) noexcept {
    constexpr std::string_view folder = "/dev/shm/ddict-";
    return path.starts_with(folder) && path.ends_with("-socket") &&
           path.find('/', folder.size()) == path.npos;
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(const WorkerOptions& options) {
    const auto identity = samehost::own_identity();
    if (!identity) return identity.error();
    auto poller = os::Poller::create();
    if (!poller) return poller.error();
    std::unique_ptr<Worker> worker(
        new Worker(options, std::make_unique<os::Poller>(*std::move(poller)), *identity));
    if (const Result<void> started = worker->start_samehost(); !started) return started.error();
    if (options.on_network) {
        if (const Result<void> started = worker->start_ucx(); !started) return started.error();
        if (options.secret)
            worker->tunnels_ = std::make_unique<Tunnels>(*worker->samehost_, *worker->ucx_, *options.secret);
    }
    // Others are to connect: it is not to come up and refuse them all.
    if (!options.listen_at.empty()) {
        if (const Result<void> enough = os::need_descriptors(
                samehost::Transport::descriptors_reserved + descriptors_for_clients, "serving clients");
            !enough)
            return enough.error();
    }
    return worker;
}

Worker::Worker(const WorkerOptions& options, std::unique_ptr<os::Poller> poller,
               const ProcessIdentity& identity)
    : options_(options),
      identity_(identity),
      poller_(std::move(poller)),
      // Who is connected to answers: whom it wakes up will not answer it.
      waiting_(options.spin, options.listen_at.empty() ? options.spin_for_woken : microseconds(0)),
      last_look_(Clock::now()) {}

Worker::~Worker() = default;

Result<void> Worker::start_samehost() {
    auto samehost = samehost::Transport::create(*poller_, waiting_, options_.claim_timeout);
    if (!samehost) return samehost.error();
    samehost_ = *std::move(samehost);
    if (samehost::is_switched_off()) options_.listen_at.clear();
    return options_.listen_at.empty() ? Result<void>() : samehost_->listen(options_.listen_at);
}

Worker::Interfaces Worker::Interfaces::that_are_up() {
    Interfaces up;
    for (const os::NetworkInterface& interface : os::network_interfaces()) {
        up.push_back({interface.name, !interface.loopback && !interface.inner_bridge});
        Interface& added = up.back();
        for (const std::string& address : interface.addresses)
            added.name += ' ' + address;
    }
    return up;
}

bool Worker::Interfaces::lead_out() const noexcept {
    return std::any_of(begin(), end(), [](const Interface& interface) { return interface.leads_out; });
}

Result<void> Worker::start_ucx() {
    if (!options_.start_network)
        return Error(Errc::system, "this process has no way to the network: it speaks within its host only");
    try {
        interfaces_ = Interfaces::that_are_up();
        auto ucx = options_.start_network(*poller_, waiting_);
        if (!ucx) return ucx.error();
        ucx_ = *std::move(ucx);
        // One whose cable was pulled or put back meanwhile: who knows whether UCX has seen it.
        const Interfaces still = Interfaces::that_are_up();
        std::erase_if(interfaces_, [&](const Interface& interface) {
            return std::find(still.begin(), still.end(), interface) == still.end();
        });
        return {};
    } catch (const std::bad_alloc&) {
        return Error(Errc::system, "no memory is left to start UCX");
    }
}

// ---- the loop ----

unsigned Worker::poll(TransportEvents& events) {
    unsigned delivered = samehost_->poll(events);
    if (ucx_ != nullptr) delivered += tunnels_ != nullptr ? tunnels_->poll(events) : ucx_->poll(events);
    if (++polls_since_look_ >= polls_between_clock) {
        polls_since_look_ = 0;
        const auto now = Clock::now();
        const nanoseconds interval = samehost_->has_unpolled_links() ? look_interval_with_doorbells
                                     : samehost_->is_listening()     ? look_interval_with_callers
                                                                     : look_interval;
        if (now - last_look_ >= interval) look_around(now);
    }
    return delivered;
}

unsigned Worker::progress(TransportEvents& events, Clock::time_point deadline) {
    user_fds_ready_ = 0;
    waiting_.begin();
    for (;;) {
        const unsigned delivered = poll(events);
        if (delivered != 0 || user_fds_ready_ != 0) {
            waiting_.end(waiting_.has_slept() ? Clock::now() : Clock::time_point{});
            return delivered;
        }
        if (!waiting_.wants_time()) continue;
        const auto now = Clock::now();
        if (now >= deadline) return 0;
        const bool is_quiet = (ucx_ == nullptr || ucx_->is_quiet()) && !samehost_->is_copying();
        switch (waiting_.next(now, is_quiet)) {
            case os::WaitPolicy::Step::poll:
                break;
            case os::WaitPolicy::Step::yield:
                waiting_.yielded(now, os::yield_processor());
                break;
            case os::WaitPolicy::Step::sleep:
                sleep(now, deadline);
                break;
        }
    }
}

bool Worker::turn(TransportEvents& events, unsigned& delivered) {
    look_around(Clock::now());
    delivered = poll(events);
    if (delivered != 0 || samehost_->is_copying() || !samehost_->prepare_to_sleep()) return false;
    if (ucx_ == nullptr) return true;
    const bool is_armed = ucx_->is_quiet() && !ucx_->needs_attention() &&
                          ucx_->prepare_to_sleep() == os::WaitPolicy::Arming::armed;
    ucx_->end_sleep();
    return is_armed;
}

void Worker::sleep(Clock::time_point now, Clock::time_point deadline) {
    using Arming = os::WaitPolicy::Arming;
    if (!samehost_->prepare_to_sleep()) return;
    const auto timeout = waiting_.sleep_time(ucx_ != nullptr ? ucx_->prepare_to_sleep() : Arming::armed);
    if (timeout) {
        const bool soon = ucx_ != nullptr && ucx_->needs_attention();
        poller_->wait(std::min<nanoseconds>({soon ? milliseconds(1) : *timeout, *timeout, deadline - now}));
        last_look_ = Clock::now();
        samehost_->tick(last_look_);
    }
    if (ucx_ != nullptr) ucx_->end_sleep();
}

void Worker::look_around(Clock::time_point now) {
    last_look_ = now;
    poller_->wait(nanoseconds(0));
    samehost_->tick(now);
}

Result<void> Worker::watch_fd(int fd, std::function<void()> ready) {
    return poller_->watch(fd, [this, ready = std::move(ready)] {
        ++user_fds_ready_;
        ready();
    });
}

void Worker::stop(Clock::time_point deadline) {
    if (tunnels_ != nullptr) samehost_->pass_on_all();
    while (!samehost_->drain() && Clock::now() < deadline)
        poller_->wait(milliseconds(1));
    if (ucx_ != nullptr) ucx_->stop(deadline);
}

// ---- connections ----

std::vector<std::byte> Worker::address() const {
    return pack({.name = samehost_->name(),
                 .path = options_.listen_at,
                 .ucx = ucx_ != nullptr ? ucx_->address() : Bytes()});
}

/// Always the same for one way: by it the other side knows this one again.
Bytes Worker::address_for(PeerId peer) {
    const bool by_network = !samehost::Transport::is_own(peer) && ucx_ != nullptr;
    address_ = pack({.name = samehost_->name(), .path = {}, .ucx = by_network ? ucx_->address() : Bytes()});
    return address_;
}

Result<PeerId> Worker::connect(Bytes packed, const ProcessIdentity& process) {
    const Result<Address> address = unpack(packed);
    if (!address) return address.error();
    if (const PeerId peer = samehost_->claim(address->name); peer != no_peer) return peer;
    if (process.host_key == identity_.host_key) {
        if (!address->path.empty() && !is_socket_of_manager(address->path))
            return Error(Errc::bad_handle, "the address of the peer names no socket of a manager");
        if (!address->path.empty()) {
            const Result<PeerId> peer = samehost_->connect(address->path);
            // One that is busy would be so over the network as well.
            const bool try_network =
                !peer && (peer.error().code == Errc::not_found || peer.error().code == Errc::access_denied);
            if (!try_network) return peer;
            why_not_within_host_ = peer.error().detail.data();
            if (const Result<void> lives = check_process(process); !lives) return lives.error();
            if (address->ucx.empty()) return peer;
        }
    }
    return connect_over_ucx(*address);
}

/// The kernel knows it of processes that this one can see.
Result<void> Worker::check_process(const ProcessIdentity& process) const {
    const bool can_be_seen = process.pid_namespace != 0 && process.pid_namespace == identity_.pid_namespace;
    if (!can_be_seen) return {};
    const Result<os::ProcessWatch> watch = os::ProcessWatch::open(process);
    if (watch || watch.error().code != Errc::manager_lost) return {};
    return watch.error();
}

Result<PeerId> Worker::connect_over_ucx(const Address& address) {
    if (address.ucx.empty())
        return Error(Errc::manager_lost,
                     "its connection has gone, and it cannot be reached over the network");
    leave_network_if_it_has_changed();
    if (ucx_ == nullptr) {
        if (options_.tunnel_entrances) {
            const Result<std::vector<std::string>> entrances = options_.tunnel_entrances();
            if (!entrances) return entrances.error();
            if (!entrances->empty()) return connect_through_tunnel(*entrances, address.ucx);
        }
        if (const Result<void> started = start_ucx(); !started) return started.error();
    }
    Result<PeerId> peer = ucx_->connect(address.ucx);
    has_connected_ = has_connected_ || peer.has_value();
    return peer;
}

/// UCX knows the interfaces that were up when it was started. Who has reached nobody yet, and whom nobody
/// else knows by its address, starts it again when there are others: a cable was out.
void Worker::leave_network_if_it_has_changed() {
    if (ucx_ == nullptr || has_connected_ || options_.on_network) return;
    if (Interfaces::that_are_up() != interfaces_) ucx_.reset();
}

/// Each time through another one: the one before may have been the reason why there is another time.
Result<PeerId> Worker::connect_through_tunnel(const std::vector<std::string>& entrances, Bytes ucx) {
    const std::vector<std::byte> request =
        pack_tunnel_request(options_.secret.value_or(Secret{}), samehost_->name(), ucx);
    std::string why;
    for (std::size_t i = 0; i < entrances.size(); ++i) {
        const Result<PeerId> peer =
            samehost_->connect_through(entrances[next_entrance_++ % entrances.size()], request);
        // What is missing here is no fault of theirs.
        if (peer || peer.error().code == Errc::system) return peer;
        why = peer.error().detail.data();
    }
    return Error(
               Errc::manager_lost,
               "this process is a child of fork() and reaches it through the managers of its own node only, "
               "of which none can be reached: " +
                   why)
        .set_state(ManagerState::unreachable);
}

void Worker::close(PeerId peer) {
    if (samehost::Transport::is_own(peer)) return samehost_->close(peer);
    if (ucx_ != nullptr) ucx_->close(peer);
}

void Worker::send(PeerId peer, Bytes header) {
    if (samehost::Transport::is_own(peer)) return samehost_->send(peer, header);
    if (ucx_ != nullptr) ucx_->send(peer, header);
}

void Worker::send(PeerId peer, Bytes header, Bytes payload, std::uint64_t tag) {
    if (samehost::Transport::is_own(peer) || ucx_ == nullptr)
        return samehost_->send(peer, header, payload, tag);
    ucx_->send(peer, header, payload, tag);
}

void Worker::send(PeerId peer, Bytes header, Parts payload, std::uint64_t tag) {
    if (samehost::Transport::is_own(peer) || ucx_ == nullptr)
        return samehost_->send(peer, header, payload, tag);
    ucx_->send(peer, header, payload, tag);
}

void Worker::receive_payload(PeerId from, std::uint64_t token, MutableBytes into, MutableBytes rest,
                             std::uint64_t tag) {
    if (samehost::Transport::is_own(token) || ucx_ == nullptr)
        return samehost_->receive_payload(from, token, into, rest, tag);
    ucx_->receive_payload(from, token, into, rest, tag);
}

void Worker::receive_payload(PeerId from, std::uint64_t token, MutableBytes into, std::uint64_t tag) {
    if (samehost::Transport::is_own(token) || ucx_ == nullptr)
        return samehost_->receive_payload(from, token, into, tag);
    ucx_->receive_payload(from, token, into, tag);
}

void Worker::discard_payload(std::uint64_t token) {
    if (samehost::Transport::is_own(token)) return samehost_->discard_payload(token);
    if (ucx_ != nullptr) ucx_->discard_payload(token);
}

std::string Worker::describe(PeerId peer) const {
    if (samehost::Transport::is_own(peer)) return samehost_->describe(peer);
    return ucx_ != nullptr ? ucx_->describe(peer) : "closed";
}

std::string Worker::ways_back(PeerId peer) const {
    return samehost::Transport::is_own(peer) || ucx_ == nullptr ? std::string() : ucx_->ways_back();
}

}  // namespace ddict::transport
