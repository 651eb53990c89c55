// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/attachment.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <random>
#include <vector>

#include "base/hash.h"
#include "cluster/placement.h"
#include "libclient/coarse_clock.h"
#include "libclient/load_ucx.h"
#include "libclient/page_sink.h"
#include "libclient/read_only.h"
#include "os/environment.h"
#include "os/host_name.h"
#include "os/network_interfaces.h"

namespace ddict::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::atomic<std::uint64_t> attachments_made{0};
std::atomic<bool> process_exits{false};

// To read the clock takes a twentieth of the time of a call. From here on a deadline may come some
// milliseconds early.
constexpr std::chrono::seconds coarse_clock_timeout_min{1};

// While the library is loaded: at its first use another thread could be in the middle of it at a fork.
[[maybe_unused]] const int forks_are_counted =
    pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1, std::memory_order_relaxed); });

/// What attachments have made for one thread: its sessions, and its counts of reads; at its end they end. An
/// attachment that is gone has taken its own with it.
class ThreadParts {
  public:
    struct Entry {
        std::uint64_t serial;
        std::weak_ptr<Attachment> owner;
        Session* session = nullptr;
        ReadCounters::Thread* reads = nullptr;
    };
    /// Null if there is nothing of it.
    Entry* find(std::uint64_t serial) {
        for (Entry& entry : entries_) {
            if (entry.serial == serial) return &entry;
        }
        return nullptr;
    }
    Entry& of(std::uint64_t serial, std::weak_ptr<Attachment> owner) {
        if (Entry* const known = find(serial)) return *known;
        std::erase_if(entries_, [](const Entry& entry) { return entry.owner.expired(); });
        return entries_.emplace_back(Entry{serial, std::move(owner)});
    }
    ~ThreadParts();

  private:
    std::vector<Entry> entries_;
};

thread_local ThreadParts thread_parts;
// The one that the thread has used last: to find it takes no call.
struct LastSession {
    std::uint64_t serial = 0;
    Session* session = nullptr;
};
constinit thread_local LastSession last_session;
// Still there when thread_parts is not: the destructor of a static object may use a dictionary.
thread_local bool thread_parts_ended = false;

ThreadParts::~ThreadParts() {
    thread_parts_ended = true;
    last_session = {};
    Attachment::forget_last_reads();
    for (const Entry& entry : entries_) {
        if (const auto owner = entry.owner.lock()) owner->end_thread(std::this_thread::get_id());
    }
}

Error attach_error(Errc code, std::string_view detail) {
    return Error(code, detail).set_operation(Operation::attach);
}

std::uint64_t unpredictable_number() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
}

std::string ucx_text(std::uint32_t version) {
    return "UCX " + std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
}

}  // namespace

Error forked() {
    return Error(Errc::not_attached,
                 "this process is a child of the one that attached (fork): the connections are its parent's");
}

/// Not a manager's trouble: no other will do better.
bool is_of_whole(const Error& error) {
    return error.code == Errc::not_attached || error.code == Errc::dictionary_gone;
}

Attachment::Attachment(const Handle& handle, milliseconds timeout)
    : handle_(handle),
      timeout_(timeout),
      serial_(++attachments_made),
      fork_generation_(fork_generation.load(std::memory_order_relaxed)) {
    for (const DirectoryEntry& seed : handle_.seeds)
        fetched_[seed.shard] = seed;
    lost_.ended_in_order = [this](ShardId shard) {
        return pools_.has_value() && pools_->ended_with_dictionary(shard);
    };
}

Attachment::~Attachment() {
    // In a child of fork() the sessions are the parent's connections: they must not be touched, not even
    // closed.
    if (is_of_parent()) {
        for (auto& [thread, session] : sessions_)
            static_cast<void>(session.release());
    } else if (reads_) {
        reads_->end_all();
    }
}

Result<std::shared_ptr<Attachment>> Attachment::open(const Handle& handle, const AttachOptions& options) {
    const milliseconds timeout = options.timeout.value_or(limits::operation_timeout_default);
    std::shared_ptr<Attachment> attachment(new Attachment(handle, timeout));
    const Result<bool> local_reads = os::flag_in_environment("DDICT_LOCAL_READS", true);
    if (!local_reads.has_value()) return Error(local_reads.error()).set_operation(Operation::attach);
    attachment->local_reads_allowed_ = options.local_reads && *local_reads;
    if (const Result<void> begun = Trace::begin(); !begun) return begun.error();
    if (const Result<void> found = attachment->find_managers(options.attach_timeout); !found)
        return found.error();
    return attachment;
}

Result<void> Attachment::find_managers(milliseconds timeout) {
    Result<shm::DirectorySegment> directory = shm::DirectorySegment::open(handle_.dictionary_id);
    if (directory) {
        if (const Result<void> same = compare(directory->identity(), directory->manager_count()); !same)
            return same;
        directory_.emplace(*std::move(directory));
    } else if (directory.error().code != Errc::dictionary_gone &&
               directory.error().code != Errc::access_denied) {
        return directory.error();
    }  // else there are no managers of this user on this node, and the seeds know
    pools_.emplace(directory_ ? &*directory_ : nullptr, handle_);
    reads_.emplace(directory_ ? &*directory_ : nullptr);
    node_ = os::host_name();
    worker_options_.start_network = [this](os::Poller& poller, os::WaitPolicy& waiting) {
        return start_network(poller, waiting);
    };
    worker_options_.tunnel_entrances = [this] { return tunnel_entrances(); };
    worker_options_.secret = handle_.secret;
    const Result<Session*> own = session();
    if (!own) return Error(own.error()).set_operation(Operation::attach);
    return say_hello_first(**own, steady_clock::now() + timeout);
}

Result<std::unique_ptr<ucx::Worker>> Attachment::start_network(os::Poller& poller,
                                                               os::WaitPolicy& waiting) const {
    const Result<const ucx::Module*> module = load_ucx();
    if (!module) return module.error();
    if ((*module)->runtime_version != handle_.ucx_version)
        return Error(Errc::incompatible, "the managers run " + ucx_text(handle_.ucx_version) +
                                             ", this process " + ucx_text((*module)->runtime_version));
    return make_ucx_worker(**module,
                           {.devices = {.leave_out = os::dead_end_interfaces(os::network_interfaces(),
                                                                             handle_.shared_addresses)},
                            .in_users_program = true},
                           poller, waiting);
}

/// Those that have ended, or are being started again, are among them: their old sockets refuse connections.
/// Where the directory has gone, they are those that the handle names.
std::vector<std::uint32_t> Attachment::managers_giving_tunnels() {
    if (!ucx_is_of_parent() || transport::Worker::speaks_over_network_only()) return {};
    std::vector<std::uint32_t> managers = local_managers();
    const Session* const own = known_session();
    for (const DirectoryEntry& seed : handle_.seeds) {
        const bool is_here = own != nullptr && seed.process.host_key == own->identity().host_key;
        if (is_here && !directory_) managers.push_back(number_of(seed.shard));
    }
    std::erase_if(managers, [this](std::uint32_t manager) { return socket_of(ShardId{manager}).empty(); });
    return managers;
}

bool Attachment::way_is_restarted() {
    if (has_node_launcher() != true) return false;
    const std::vector<std::uint32_t> managers = managers_giving_tunnels();
    return std::any_of(managers.begin(), managers.end(), [this](std::uint32_t manager) {
        const auto entry = look_up(ShardId{manager});
        return entry && entry->state == ServingState::restarting;
    });
}

/// At which a manager of this node can be connected to; empty if at none.
std::string Attachment::socket_of(ShardId shard) {
    const auto entry = look_up(shard);
    if (!entry) return {};
    const Result<transport::Address> address = transport::unpack(entry->address);
    return address ? address->path : std::string();
}

/// Errors: dictionary_gone. Those that cannot be reached any more have perhaps left word.
Result<std::vector<std::string>> Attachment::tunnel_entrances() {
    std::vector<std::uint32_t> managers = managers_giving_tunnels();
    if (!managers.empty()) {
        const auto first =
            static_cast<std::ptrdiff_t>(static_cast<std::size_t>(::getpid()) % managers.size());
        std::rotate(managers.begin(), managers.begin() + first, managers.end());  // others begin elsewhere
    }
    std::vector<std::string> sockets;
    for (const std::uint32_t manager : managers) {
        if (pools_->ended_with_dictionary(ShardId{manager})) {
            lost_.note_end(dictionary_ended());
            return dictionary_ended();
        }
        sockets.push_back(socket_of(ShardId{manager}));
    }
    return sockets;
}

/// A handle that is not this dictionary's is told from it here: managers do not answer it.
Result<void> Attachment::compare(const shm::DirectoryIdentity& identity, std::uint32_t managers) const {
    if (!equal_in_constant_time(identity.secret, handle_.secret))
        return attach_error(Errc::access_denied,
                            "the handle has another secret than the dictionary: it was changed, or made up");
    if (managers != handle_.managers)
        return attach_error(Errc::bad_handle, "the handle speaks of " + std::to_string(handle_.managers) +
                                                  " managers, the dictionary has " +
                                                  std::to_string(managers));
    return {};
}

Error Attachment::unusable() const {
    if (is_of_parent()) return forked();
    return Error(Errc::not_attached, "this dictionary was detached or destroyed here");
}

/// Null if the calling thread has none yet.
Session* Attachment::known_session() {
    return last_session.serial == serial_ ? last_session.session : look_up_session();
}

Session* Attachment::look_up_session() {
    if (!thread_parts_ended) {
        const ThreadParts::Entry* const known = thread_parts.find(serial_);
        Session* const session = known != nullptr ? known->session : nullptr;
        if (session != nullptr) last_session = {serial_, session};
        return session;
    }
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(std::this_thread::get_id());
    return found == sessions_.end() ? nullptr : found->second.get();
}

Result<Session*> Attachment::session() {
    if (!is_usable()) return unusable();
    if (Session* known = known_session()) return known;
    Result<std::unique_ptr<Session>> made = Session::open({.dictionary_id = handle_.dictionary_id,
                                                           .secret = handle_.secret,
                                                           .ucx_version = handle_.ucx_version,
                                                           .sequence_start = unpredictable_number()},
                                                          lost_, *this, worker_options_);
    if (!made) return made.error();
    Session* session = made->get();
    const std::lock_guard lock(mutex_);
    if (closed_) return unusable();
    // What is registered after a static object was made runs before its destructor: so for each attachment,
    // and not before a second thread calls.
    if (!sessions_.empty() && !exit_noted_) {
        std::atexit([] { process_exits.store(true); });
        exit_noted_ = true;
    }
    sessions_[std::this_thread::get_id()] = *std::move(made);
    if (!thread_parts_ended) thread_parts.of(serial_, weak_from_this()).session = session;
    return session;
}

/// The thread has read by another attachment last, or not at all. Without memory the read is not counted.
void Attachment::count_first_read(std::uint32_t place) noexcept {
    try {
        ThreadParts::Entry* const known =
            thread_parts_ended ? nullptr : &thread_parts.of(serial_, weak_from_this());
        ReadCounters::Thread* reads = known != nullptr ? known->reads : nullptr;
        if (reads == nullptr) {
            const std::lock_guard lock(mutex_);
            reads = &reads_->of_this_thread();
        }
        if (known != nullptr) known->reads = reads;
        last_reads_ = {serial_, reads};
        reads->add(place);
    } catch (const std::bad_alloc&) {
    }
}

void Attachment::end_thread(std::thread::id thread) {
    if (is_of_parent()) return;
    std::unique_ptr<Session> ended;
    const std::lock_guard lock(mutex_);
    if (const auto found = sessions_.find(thread); found != sessions_.end()) {
        ended = std::move(found->second);
        ended->counters().add_to(ended_);
        sessions_.erase(found);
    }
    reads_->end(thread);
}

void Attachment::close() {
    if (is_of_parent()) return;
    std::unordered_map<std::thread::id, std::unique_ptr<Session>> ended;
    const std::lock_guard background(background_);
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& [thread, session] : sessions_)
        session->counters().add_to(ended_);
    ended.swap(sessions_);
}

bool Attachment::stays_until_exit() {
    if (!process_exits.load() || is_of_parent()) return false;
    const std::lock_guard lock(mutex_);
    const bool alone = std::all_of(sessions_.begin(), sessions_.end(), [](const auto& session) {
        return session.first == std::this_thread::get_id();
    });
    if (alone) return false;
    static auto& kept = *new std::vector<std::shared_ptr<Attachment>>;
    kept.push_back(shared_from_this());
    return true;
}

Result<DirectoryEntry> Attachment::entry(Session& session, ShardId shard, Time deadline) {
    if (auto found = look_up(shard)) return *std::move(found);
    if (directory_) return directory_->entry(shard);  // says what is wrong with it
    if (const Result<void> fetched = fetch_directory_page(session, shard, deadline); !fetched)
        return fetched.error();
    if (auto found = look_up(shard)) return *std::move(found);
    return Error(Errc::protocol, "the directory that was sent has no such manager")
        .set_manager(number_of(shard));
}

std::optional<DirectoryEntry> Attachment::look_up(ShardId shard) {
    std::optional<DirectoryEntry> newest;
    if (directory_) {
        if (Result<DirectoryEntry> here = directory_->entry(shard)) newest = *std::move(here);
    }
    const std::lock_guard lock(entries_mutex_);
    const auto found = fetched_.find(shard);
    if (found != fetched_.end() && (!newest || is_newer(found->second, *newest))) newest = found->second;
    return newest;
}

void Attachment::learn(const DirectoryEntry& entry) {
    if (number_of(entry.shard) >= handle_.managers) return;
    const std::lock_guard lock(entries_mutex_);
    const auto [known, is_first] = fetched_.try_emplace(entry.shard, entry);
    if (!is_first && is_newer(entry, known->second)) known->second = entry;
}

/// With a directory each turn goes a quarter of the managers on: those of one node follow each other.
std::optional<DirectoryEntry> Attachment::someone_else(ShardId shard, unsigned turn) {
    if (handle_.managers < 2) return std::nullopt;
    const std::uint64_t others = handle_.managers - 1;
    if (directory_) {
        const std::uint64_t step = turn * others / 4 + turn;
        const auto number = (number_of(shard) + 1 + step % others) % handle_.managers;
        return look_up(ShardId{static_cast<std::uint32_t>(number)});
    }
    const std::lock_guard lock(entries_mutex_);
    for (std::size_t i = 0; i < 2 && !fetched_.empty(); ++i) {
        const auto one =
            std::next(fetched_.begin(), static_cast<std::ptrdiff_t>((turn + i) % fetched_.size()));
        if (one->first != shard) return one->second;
    }
    return std::nullopt;
}

void Attachment::name_node(Error& error) {
    if (error.manager == Error::no_manager || error.node[0] != '\0' || !is_usable()) return;
    if (const auto entry = look_up(ShardId{error.manager})) error.set_node(entry->node);
}

Result<void> Attachment::prepare(Session& session, Request& request, Time now, Time deadline) {
    if (request.checkpoint == no_checkpoint) request.checkpoint = checkpoint_id();
    const DirectoryEntry* known = session.known_manager(request.shard);
    const auto named = [&](Error error) {
        error.set_operation(operation_of(request.verb));
        if (!request.key.empty()) error.set_key(request.key);
        // One that could not tell the manager's address has its name already.
        if (error.manager == Error::no_manager) error.set_manager(number_of(request.shard));
        name_node(error);
        if (const Trace* const trace = Trace::current(); trace != nullptr)
            trace->write({.operation = error.operation,
                          .key = request.key,
                          .manager = error.manager,
                          .node = error.node.data(),
                          .checkpoint = request.checkpoint,
                          .started = now,
                          .error = &error});
        return error;
    };
    if (const Result<void> permitted = check_permitted(handle_, request); !permitted) [[unlikely]]
        return named(permitted.error());
    if (deadline <= now)
        return named(Error(Errc::timeout, "the deadline had passed before anything was sent"));
    if (known == nullptr) {
        const Result<DirectoryEntry> found = entry(session, request.shard, deadline);
        if (!found) return named(found.error());
        session.add_manager(*found);
        known = session.known_manager(request.shard);
    }
    // A size that makes no sense must not become a small one by adding to it.
    std::uint64_t bytes = request.value_bytes();
    if (bytes <= limits::value_bytes_max) bytes += request.key.size();
    if (bytes > known->pool_bytes) {
        Error error(Errc::too_large, "the pair is larger than a whole pool");
        return named(error.set_bytes(bytes, known->pool_bytes));
    }
    if (wire::rule_of(request.verb).waits) request.argument = wait_argument(deadline - now);
    return {};
}

Result<Reply> Attachment::call(Request& request, const detail::TimeoutBudget& budget) {
    Session* own = existing_session();
    if (own == nullptr) {
        const Result<Session*> made = session();
        if (!made) {
            Error error = made.error();
            if (!request.key.empty()) error.set_key(request.key);
            return error.set_operation(operation_of(request.verb));
        }
        own = *made;
    }
    const bool exactly = budget.timeout < coarse_clock_timeout_min || budget.until != Time::max() ||
                         own->counters().samples_next() || Trace::current() != nullptr;
    const Time now = exactly ? steady_clock::now() : coarse_now();
    const Time deadline = budget.deadline(now);
    const Result<void> ready = prepare(*own, request, now, deadline);
    return ready ? own->call(request, now, deadline) : Result<Reply>(ready.error());
}

Result<void> Attachment::ask_each(std::span<const std::uint32_t> managers,
                                  std::span<const std::uint64_t> arguments, Request request, Time deadline,
                                  Time::duration each_at_most, const OnReply& on_reply,
                                  const std::function<void(std::uint32_t, const Error&)>& on_error) {
    const Result<Session*> own = session();
    if (!own) return Error(own.error()).set_operation(operation_of(request.verb));
    Session& session = **own;
    std::map<std::uint32_t, PageSink> pages;
    session.call_all(
        static_cast<std::uint32_t>(managers.size()), deadline,
        [&](std::uint32_t index, Time& latest) -> Result<Request> {
            request.shard = ShardId{managers[index]};
            if (!arguments.empty()) request.argument = arguments[index];
            const Time now = steady_clock::now();
            if (latest - now > each_at_most) latest = now + each_at_most;
            if (const Result<void> ready = prepare(session, request, now, latest); !ready)
                return ready.error();
            request.sink = &pages[index];
            return request;
        },
        [&](std::uint32_t index, const Result<Reply>& reply) {
            if (reply) {
                on_reply(managers[index], *reply, pages[index].page());
            } else {
                on_error(managers[index], reply.error());
            }
            pages.erase(index);
        });
    return {};
}

Result<void> Attachment::call_each(std::span<const std::uint32_t> managers, const Request& request,
                                   const detail::TimeoutBudget& budget, const OnReply& on_reply,
                                   bool ended_is_fine, std::span<const std::uint64_t> arguments) {
    Result<void> outcome;
    bool in_doubt = false;
    const Result<void> asked = ask_each(
        managers, arguments, request, budget.deadline(steady_clock::now()), Time::duration::max(),
        [&](std::uint32_t manager, const Reply& reply, Bytes page) {
            in_doubt = in_doubt || wire::is_change(request.verb);
            on_reply(manager, reply, page);
        },
        [&](std::uint32_t, const Error& error) {
            in_doubt = in_doubt || error.in_doubt;
            const bool has_ended =
                error.manager_state == ManagerState::ended || error.code == Errc::dictionary_gone;
            if (outcome && !(ended_is_fine && has_ended)) outcome = error;
        });
    if (!asked) return asked;
    if (!outcome) outcome.error().in_doubt = in_doubt;
    return outcome;
}

MissingManager Attachment::missing(std::uint32_t manager, Error error) {
    error.set_manager(manager);
    name_node(error);
    return {.manager = manager, .node = error.node.data(), .error = error};
}

Result<std::vector<MissingManager>> Attachment::call_answering(std::span<const std::uint32_t> managers,
                                                               const Request& request,
                                                               const detail::TimeoutBudget& budget,
                                                               const OnReply& on_reply) {
    std::vector<MissingManager> all_missing;
    Result<void> whole;
    const Result<void> asked =
        ask_each(managers, {}, request, budget.deadline(steady_clock::now()), limits::partial_answer_timeout,
                 on_reply, [&](std::uint32_t manager, const Error& error) {
                     if (is_of_whole(error)) whole = error;
                     all_missing.push_back(missing(manager, error));
                 });
    if (!asked) return asked.error();
    if (!whole) return whole.error();
    std::sort(all_missing.begin(), all_missing.end(),
              [](const MissingManager& a, const MissingManager& b) { return a.manager < b.manager; });
    return all_missing;
}

const std::vector<std::uint32_t>& Attachment::local_managers() {
    if (local_found_.load(std::memory_order_acquire)) return local_managers_;
    const std::lock_guard lock(local_mutex_);
    if (local_found_.load(std::memory_order_relaxed)) return local_managers_;
    local_managers_.clear();  // of an attempt for which there was no memory
    for (std::uint32_t manager = 0; manager < handle_.managers; ++manager) {
        if (pools_->is_local(ShardId{manager})) local_managers_.push_back(manager);
    }
    local_found_.store(true, std::memory_order_release);
    return local_managers_;
}

std::uint32_t Attachment::main_manager() {
    const std::vector<std::uint32_t>& local = local_managers();
    // At random, but always the same in this process: clients of a large job spread over the managers.
    const std::uint64_t random = hash_of(std::as_bytes(std::span(&handle_.dictionary_id, 1))) ^
                                 (static_cast<std::uint64_t>(::getpid()) * 0x9e3779b97f4a7c15u);
    if (!local.empty()) return local[(random >> 32) % local.size()];
    return number_of(shard_of(random, handle_.managers));
}

void Attachment::sum_up(Counters::Sums& sums) {
    sums = ended_;
    for (const auto& [thread, session] : sessions_)
        session->counters().add_to(sums);
}

ClientProfile Attachment::profile() {
    if (is_of_parent()) return {};
    const std::lock_guard lock(mutex_);
    const auto sums = std::make_unique<Counters::Sums>();
    sum_up(*sums);
    ClientProfile profile = profile_of(*sums, before_);
    profile.threads = sessions_.size();
    profile.local_reads = reads_->sum() - local_reads_before_;
    return profile;
}

void Attachment::reset_profile() {
    if (is_of_parent()) return;
    const std::lock_guard lock(mutex_);
    sum_up(before_);
    local_reads_before_ = reads_->sum();
}

}  // namespace ddict::client
