// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "manager/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>
#include <span>
#include <system_error>
#include <utility>

#include "manager/connection_guard.h"
#include "os/network_interfaces.h"
#include "os/pages.h"
#include "wire/manager_summary.h"

namespace ddict::manager {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds roll_call_timeout{20};
constexpr std::chrono::milliseconds stop_timeout{500};
constexpr std::chrono::seconds log_interval{10};
constexpr std::chrono::milliseconds network_look_interval{500};

std::uint64_t unpredictable_number() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
}

/// Those that the user names, besides this one and those that the node launcher will name.
Result<PermittedHosts> hosts_of_the_user() {
    const char* given = std::getenv("DDICT_ALLOW_HOSTS");
    return PermittedHosts::parse(given != nullptr ? given : "");
}

/// The managers of other nodes may be told each other's addresses before this one is: until then it cannot
/// know strangers. The node launcher says so where there are others, and in a job.
bool is_told_hosts_later() {
    return std::getenv("DDICT_HOSTS_FOLLOW") != nullptr;
}

Error without_descriptors() {
    return Error(Errc::system,
                 "a connection was refused: the manager's file descriptors (ulimit -n) are used up but for a "
                 "reserve");
}

/// What clients ask besides what their programs want.
bool asks_for_state(Operation operation) {
    return operation == Operation::attach || operation == Operation::ping ||
           operation == Operation::directory || operation == Operation::detach ||
           operation == Operation::stats;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const ServerOptions& options) {
    Result<TakenStore> taken = take_store(options);
    if (!taken) return taken.error();
    Result<PermittedHosts> hosts = hosts_of_the_user();
    if (!hosts) return hosts.error();
    PermittedHosts at_first = *hosts;
    at_first.all = at_first.all || is_told_hosts_later();
    ConnectionGuard::instance().permit(std::move(at_first));
    Result<std::unique_ptr<transport::Worker>> worker = transport::Worker::create(
        {.start_network =
             [shared = options.shared_addresses](os::Poller& poller, os::WaitPolicy& waiting) {
                 return ucx::Worker::create(
                     {.devices = {.leave_out = os::dead_end_interfaces(os::network_interfaces(), shared)}},
                     poller, waiting);
             },
         .listen_at = shm::socket_path(options.pool),
         .on_network = true,
         .secret = taken->store->pool().identity().secret});
    if (!worker) return worker.error();
    return std::unique_ptr<Server>(
        new Server(options, *std::move(hosts), *std::move(taken), *std::move(worker)));
}

Result<Server::TakenStore> Server::take_store(const ServerOptions& options) {
    Result<shm::Segment> pool = shm::Segment::open(options.pool, shm::Access::read_write);
    if (!pool) return pool.error();
    // Where there are none the node launcher has said so.
    if (options.huge_pages) [[maybe_unused]]
        const bool wanted = os::want_huge_pages(pool->data(), pool->size()).has_value();
    Result<shm::Segment> replies =
        shm::Segment::open(shm::reply_segment_name(options.pool), shm::Access::read_write);
    if (!replies) return replies.error();
    Result<store::ReplyMemory> memory = store::ReplyMemory::in(*std::move(replies));
    if (!memory) return memory.error();
    TakenStore taken;
    if (shm::Pool::was_attached(*pool)) {
        taken.was_kept = shm::Pool::was_kept(*pool);
        // A manager of an attempt to resume it that was given up may not have ended yet.
        if (const Result<void> owned = taken.was_kept ? pool->own() : Result<void>(); !owned)
            return owned.error();
        taken.recovered.emplace();
        Result<std::unique_ptr<store::Store>> store =
            store::Store::recover(*std::move(pool), *std::move(memory), *taken.recovered);
        if (!store) return store.error();
        taken.store = *std::move(store);
        if (taken.was_kept) taken.store->forget_sessions();
        return taken;
    }
    Result<std::unique_ptr<shm::Pool>> attached = shm::Pool::attach(*std::move(pool));
    if (!attached) return attached.error();
    taken.store = std::make_unique<store::Store>(*std::move(attached), *std::move(memory));
    return taken;
}

Server::Server(const ServerOptions& options, PermittedHosts hosts, TakenStore taken,
               std::unique_ptr<transport::Worker> worker)
    : options_(options),
      hosts_(std::move(hosts)),
      store_(std::move(taken.store)),
      recovered_(std::move(taken.recovered)),
      was_kept_(taken.was_kept),
      worker_(std::move(worker)),
      member_(*store_, *worker_,
              {.ucx_version = ucx::runtime_version(),
               .session_seed = unpredictable_number(),
               .pid = ::getpid(),
               .clock = steady_nanoseconds}) {}

int Server::run() {
    if (const Result<void> watched = worker_->watch_fd(options_.control_fd, [this] { on_control(); });
        !watched) {
        fail(watched.error());
    } else {
        announce();
        if (options_.fills_pool) fill_pool();
        if (options_.tells_sessions) tell_sessions();
    }
    ConnectionGuard& guard = ConnectionGuard::instance();
    if (const Result<void> watched =
            worker_->watch_fd(guard.event_fd(), [this] { on_refused_connections(); });
        !watched)
        fail(watched.error());
    Time next = Time::max();
    while (!stopping_) {
        worker_->progress(member_, next);
        next = member_.needs_tick() ? member_.tick(steady_clock::now()) : Time::max();
        if (const std::optional<Result<void>> roll_call = member_.take_roll_call())
            *roll_call ? on_ready() : fail(roll_call->error());
        if (member_.has_newer_entries()) tell_newer_entries();
        count_refused_within_node();
        count_rejected_frames();
        member_.shard().note_tunnels(worker_->tunnels(), worker_->refused_tunnels());
        if (member_.shard().gate().unreachable_clients() != unreachable_told_) tell_of_unreachable_clients();
        if (member_.shard().gate().unproven() != unproven_told_) log_unproven_hellos();
        if (member_.shard().deadly_requests() != deadly_told_) tell_of_deadly_request();
        note_fill();
        if (session_log_) next = std::min(next, session_log_->tick(steady_clock::now()));
        if (member_.shard().shutdown_requested() && !stopping_) {
            tell_summary();
            const std::byte keeps{member_.shard().keep_requested()};
            tell(Control::stopped, Bytes(&keeps, 1));
            stopping_ = true;
        }
        if (member_.shard().restart_requested() && !stopping_) return end_for_restart();
        if (!stopping_ && looks_for_network()) {
            if (has_found_network()) return end_for_restart("had begun without a network, and found one");
            next = std::min(next, next_look_for_network_);
        }
    }
    filler_.reset();
    if (session_log_) session_log_->tick(steady_clock::now() + SessionLog::interval);
    // Without its node launcher this manager ends alone: those of other nodes live.
    const bool with_dictionary = !orphaned_ && !failed_;
    store_->mark_gone(with_dictionary ? shm::PoolEnd::dictionary : shm::PoolEnd::manager);
    member_.shard().gate().say_goodbye(with_dictionary);
    worker_->stop(steady_clock::now() + stop_timeout);
    if (orphaned_) remove_segments();
    return failed_ ? 1 : 0;
}

/// As if it had been killed, but for the replies that are on their way.
int Server::end_for_restart(std::string_view why) {
    worker_->stop(steady_clock::now() + stop_timeout);
    tell_summary();
    tell(Control::restart, std::as_bytes(std::span(why)));
    return 0;
}

/// One that was killed while a cable was out has come back with the interfaces that were up: it serves its
/// own host, and nobody else reaches it, until another one begins with what is there then.
bool Server::looks_for_network() const {
    return recovered_ && !was_kept_ && has_others_elsewhere_ && worker_->began_without_network();
}

bool Server::has_found_network() {
    const Time now = steady_clock::now();
    if (now < next_look_for_network_) return false;
    next_look_for_network_ = now + network_look_interval;
    return transport::Worker::is_network_there();
}

/// From another thread, which may write to the socket as well: a packet is whole.
void Server::fill_pool() {
    const auto say = [fd = options_.control_fd](const PoolFiller::Filled& filled) {
        std::string packet(1, static_cast<char>(Control::filled));
        packet +=
            std::to_string(filled.bytes >> 20) + " MiB in " + std::to_string(filled.took.count()) + " ms";
        if (!filled.result) packet += std::string("; no more: ") + filled.result.error().detail.data();
        [[maybe_unused]] const ssize_t sent = ::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL);
    };
    try {
        filler_.emplace(store_->pool().memory(), options_.huge_pages, say);
    } catch (const std::system_error& none) {
        say({.result = Error(Errc::system,
                             std::string("no thread for it can be had (ulimit -u): ") + none.what())});
    }
}

/// What a request has taken and given back at once does not count.
void Server::note_fill() {
    const std::uint64_t used = store_->pool().used_bytes();
    if (used <= peak_bytes_) return;
    peak_bytes_ = used;
    const std::uint64_t all = store_->pool().pool_bytes();
    std::uint32_t reached = 0;
    for (const std::uint32_t level : fill_levels)
        if (used >= all / 100 * level) reached = level;
    if (reached <= fill_told_) return;
    fill_told_ = reached;
    std::vector<std::byte> packed;
    pack(PoolFill{reached, used, all}, packed);
    tell(Control::fill, packed);
}

/// The node launcher may be stopped: what it does not take in is left out.
void Server::tell_sessions() {
    session_log_.emplace([fd = options_.control_fd](const std::string& line) {
        const std::string packet = static_cast<char>(Control::session) + line;
        return ::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    });
    member_.shard().gate().set_listener([this](SessionEvent event, const Session& session, const Error* why) {
        try {
            session_log_->add(text_of_session(event, session, why), steady_clock::now());
        } catch (const std::bad_alloc&) {
            // Nothing is to fail over a line of a log.
        }
    });
}

std::string Server::text_of_session(SessionEvent event, const Session& session, const Error* why) {
    constexpr std::array<std::string_view, 5> names{"opened", "resumed", "closed", "broken", "forgotten"};
    std::string text(names.at(static_cast<std::size_t>(event)));
    text += ", process " + std::to_string(session.process.pid) + node_of(session.process);
    if (why != nullptr && why->detail[0] != '\0') text += std::string(", ") + why->detail.data();
    return text;
}

/// " on n1", if it is a node of the dictionary; managers are told which those are after they have begun.
std::string Server::node_of(const ProcessIdentity& process) {
    if (process.host_key == worker_->identity().host_key) return " on " + store_->pool().identity().node;
    if (nodes_.empty() && directory_) {
        for (std::uint32_t i = 0; i < directory_->manager_count(); ++i) {
            if (const Result<DirectoryEntry> entry = directory_->entry(ShardId{i}))
                nodes_.emplace(entry->process.host_key, entry->node);
        }
    }
    const auto known = nodes_.find(process.host_key);
    return known == nodes_.end() ? " on another host" : " on " + known->second;
}

void Server::tell_summary() {
    const ManagerStats stats = member_.shard().statistics();
    ManagerSummary summary{.peak_bytes = std::max(peak_bytes_, stats.used_bytes),
                           .pool_bytes = stats.pool_bytes,
                           .pairs = stats.keys,
                           .refused_puts = stats.refused_puts,
                           .local_reads = stats.local_reads};
    for (const OperationStats& kind : stats.operations)
        if (!asks_for_state(kind.operation)) summary.requests += kind.count;
    std::vector<std::byte> packed;
    pack(summary, packed);
    tell(Control::summary, packed);
}

/// Into the log, and not for every one of a crowd.
void Server::tell_of_unreachable_clients() {
    const auto now = steady_clock::now();
    if (unreachable_told_ != 0 && now - unreachable_told_at_ < log_interval) return;
    unreachable_told_at_ = now;
    unreachable_told_ = member_.shard().gate().unreachable_clients();
    std::fprintf(stderr, "ddict-manager %u on %s: %llu hellos of clients could not be answered: %s\n",
                 store_->pool().identity().manager, store_->pool().identity().node.c_str(),
                 static_cast<unsigned long long>(unreachable_told_),
                 member_.shard().gate().why_unreachable().message().c_str());
}

void Server::count_refused_within_node() {
    const std::uint64_t refused = worker_->counters_of_samehost().links_without_descriptor;
    if (refused == refused_within_node_) return;
    member_.shard().gate().count_unreachable(refused - std::exchange(refused_within_node_, refused),
                                             without_descriptors());
}

void Server::count_rejected_frames() {
    const std::uint64_t rejected = worker_->rejected_frames();
    if (rejected == rejected_frames_) return;
    member_.shard().count_rejected(rejected - std::exchange(rejected_frames_, rejected));
}

void Server::on_refused_connections() {
    const ConnectionGuard::Refused refused = ConnectionGuard::instance().take_refused();
    if (refused.crowded != 0)
        member_.shard().gate().count_unreachable(refused.crowded, without_descriptors());
    if (refused.stranger == 0) return;
    const auto now = steady_clock::now();
    const bool told = strangers_ != 0 && now - strangers_told_at_ < log_interval;
    strangers_ += refused.stranger;
    if (told) return;
    strangers_told_at_ = now;
    std::fprintf(stderr,
                 "ddict-manager %u on %s: %llu connections refused, the last from %s, which is not a host of "
                 "this dictionary: DDICT_ALLOW_HOSTS permits others\n",
                 store_->pool().identity().manager, store_->pool().identity().node.c_str(),
                 static_cast<unsigned long long>(strangers_), refused.stranger_from.c_str());
}

void Server::log_unproven_hellos() {
    const auto now = steady_clock::now();
    if (unproven_told_ != 0 && now - unproven_told_at_ < log_interval) return;
    unproven_told_at_ = now;
    unproven_told_ = member_.shard().gate().unproven();
    std::fprintf(
        stderr,
        "ddict-manager %u on %s: %llu hellos that do not prove to know this dictionary were ignored: "
        "programs with a handle of another one, or strangers\n",
        store_->pool().identity().manager, store_->pool().identity().node.c_str(),
        static_cast<unsigned long long>(unproven_told_));
}

/// Who has sent it is to be found.
void Server::tell_of_deadly_request() {
    deadly_told_ = member_.shard().deadly_requests();
    std::fprintf(stderr, "ddict-manager %u on %s: a request was refused: %s\n",
                 store_->pool().identity().manager, store_->pool().identity().node.c_str(),
                 member_.shard().last_deadly().message().c_str());
}

void Server::report_failure(int control_fd, const std::string& reason, bool is_hopeless) {
    std::string packet(1, static_cast<char>(is_hopeless ? Control::hopeless : Control::failed));
    packet += reason;
    // With nobody left to tell it to, the exit status has to speak for itself.
    [[maybe_unused]] const ssize_t sent = ::send(control_fd, packet.data(), packet.size(), MSG_NOSIGNAL);
}

void Server::tell(Control kind, Bytes payload) {
    std::vector<std::byte> packet{static_cast<std::byte>(kind)};
    packet.insert(packet.end(), payload.begin(), payload.end());
    ssize_t sent = 0;
    do {
        sent = ::send(options_.control_fd, packet.data(), packet.size(), MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) stopping_ = orphaned_ = true;
}

void Server::announce() {
    DirectoryEntry entry;
    entry.shard = ShardId{store_->pool().identity().manager};
    entry.node = store_->pool().identity().node;
    entry.process = worker_->identity();
    entry.pool_bytes = store_->pool().capacity_bytes();
    entry.address = worker_->address();
    std::vector<std::byte> packed;
    pack(entry, packed);
    Packer(packed).put(ucx::runtime_version());
    tell(Control::started, packed);
}

void Server::on_control() {
    std::array<std::byte, control_packet_bytes_max> packet;
    const ssize_t got = ::recv(options_.control_fd, packet.data(), packet.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        stopping_ = orphaned_ = true;
        return;
    }
    switch (static_cast<Control>(packet[0])) {
        case Control::permit:
            return on_permit(Bytes(packet).subspan(1, static_cast<std::size_t>(got) - 1));
        case Control::directory:
            return on_directory_ready();
        case Control::entry:
            return on_entry(Bytes(packet).subspan(1, static_cast<std::size_t>(got) - 1));
        case Control::stop:
            tell_summary();
            stopping_ = true;
            return;
        default:
            return;  // of a later version: nothing that this one needs
    }
}

void Server::on_permit(Bytes names) {
    const Result<PermittedHosts> hosts = PermittedHosts::parse(std::string(text_of(names)));
    if (!hosts) return fail(hosts.error());
    hosts_.all = hosts_.all || hosts->all;
    hosts_.networks.insert(hosts_.networks.end(), hosts->networks.begin(), hosts->networks.end());
}

/// For the node's directory segment, which only the node launcher writes.
void Server::tell_newer_entries() {
    for (const DirectoryEntry& entry : member_.take_newer_entries()) {
        std::vector<std::byte> packed;
        pack(entry, packed);
        tell(Control::entry, packed);
    }
}

void Server::on_entry(Bytes packed) {
    Unpacker in(packed);
    const DirectoryEntry entry = unpack_directory_entry(in);
    if (in.good() && in.at_end() && directory_) member_.announce(entry);
}

void Server::on_directory_ready() {
    ConnectionGuard::instance().permit(std::move(hosts_));
    Result<shm::DirectorySegment> directory =
        shm::DirectorySegment::open(store_->pool().identity().dictionary_id);
    if (!directory) {
        return fail(directory.error());
    }
    directory_.emplace(*std::move(directory));
    member_.set_directory(*directory_);
    const std::uint32_t own = store_->pool().identity().manager;
    if (directory_->is_of_node(own)) {
        local_reads_.emplace(*directory_, own);
        member_.shard().set_local_reads([this] { return local_reads_->advance(); });
    }
    for (std::uint32_t i = 0; i < directory_->manager_count(); ++i) {
        const Result<DirectoryEntry> entry = directory_->entry(ShardId{i});
        if (entry && entry->process.host_key != worker_->identity().host_key) has_others_elsewhere_ = true;
    }
    // The others have known each other for long, and have other things to do.
    if (recovered_ && !was_kept_) return on_ready();
    const Time now = steady_clock::now();
    member_.begin_roll_call(now, now + roll_call_timeout);
}

void Server::on_ready() {
    std::vector<std::byte> packed;
    if (recovered_) Packer(packed).put(recovered_->pairs).put(recovered_->missing);
    tell(Control::ready, packed);
}

void Server::fail(const Error& why) {
    report_failure(options_.control_fd, why.message());
    failed_ = stopping_ = true;
}

/// Nobody else is left to do it: the node launcher was killed. Its other managers do the same; the second
/// removal of the directory finds nothing.
void Server::remove_segments() {
    shm::Segment::remove(options_.pool);
    shm::Segment::remove(shm::reply_segment_name(options_.pool));
    shm::remove_socket(options_.pool);
    shm::Segment::remove(options_.directory);
}

}  // namespace ddict::manager
