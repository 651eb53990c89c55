// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/attachment.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <vector>

#include "core/hash.h"
#include "libclient/page_sink.h"

namespace ddict::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// UCX does not survive fork(): the child's copies of connections are the parent's. A generation that the
// child counts up makes its handles refuse to work, for the price of a comparison.
std::atomic<std::uint64_t> fork_generation{0};
std::atomic<std::uint64_t> attachments_made{0};

void count_forks() {
    static const int registered =
        pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1, std::memory_order_relaxed); });
    static_cast<void>(registered);
}

/// The sessions of one thread; at its end they end. An attachment that is gone has taken its sessions with
/// it.
class ThreadSessions {
  public:
    Session* find(std::uint64_t serial) {
        if (last_serial_ == serial) return last_;
        for (const Entry& entry : entries_) {
            if (entry.serial == serial) {
                last_serial_ = serial;
                return last_ = entry.session;
            }
        }
        return nullptr;
    }
    void add(std::uint64_t serial, Session* session, std::weak_ptr<Attachment> owner) {
        std::erase_if(entries_, [](const Entry& entry) { return entry.owner.expired(); });
        entries_.push_back({serial, session, std::move(owner)});
    }
    ~ThreadSessions();

  private:
    struct Entry {
        std::uint64_t serial;
        Session* session;
        std::weak_ptr<Attachment> owner;
    };
    std::uint64_t last_serial_ = 0;
    Session* last_ = nullptr;
    std::vector<Entry> entries_;
};

thread_local ThreadSessions thread_sessions;
// Still there when thread_sessions is not: the destructor of a static object may use a dictionary.
thread_local bool thread_sessions_ended = false;

ThreadSessions::~ThreadSessions() {
    thread_sessions_ended = true;
    for (const Entry& entry : entries_) {
        if (const auto owner = entry.owner.lock()) owner->end_session(std::this_thread::get_id());
    }
}

Error attach_error(Errc code, std::string_view detail) {
    return Error(code, detail).set_operation(Operation::attach);
}

std::string ucx_text(std::uint32_t version) {
    return "UCX " + std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
}

}  // namespace

Attachment::Attachment(const Handle& handle, milliseconds timeout)
    : handle_(handle),
      timeout_(timeout),
      serial_(++attachments_made),
      fork_generation_(fork_generation.load(std::memory_order_relaxed)) {
    for (const DirectoryEntry& seed : handle_.seeds)
        fetched_[seed.manager] = seed;
}

Attachment::~Attachment() {
    // In a child of fork() the sessions are the parent's connections: they must not be touched, not even
    // closed.
    if (is_of_parent()) {
        for (auto& [thread, session] : sessions_)
            static_cast<void>(session.release());
    }
}

Result<std::shared_ptr<Attachment>> Attachment::open(const Handle& handle, const AttachOptions& options) {
    count_forks();
    if (handle.ucx_version != ucx::runtime_version()) {
        return attach_error(Errc::incompatible, "the managers run " + ucx_text(handle.ucx_version) +
                                                    ", this process " + ucx_text(ucx::runtime_version()));
    }
    const milliseconds timeout = options.timeout.value_or(limits::operation_timeout_default);
    std::shared_ptr<Attachment> attachment(new Attachment(handle, timeout));
    if (const Result<void> found = attachment->find_managers(options.attach_timeout); !found)
        return found.error();
    return attachment;
}

Result<void> Attachment::find_managers(milliseconds timeout) {
    Result<shm::DirectorySegment> directory = shm::DirectorySegment::open(handle_.dictionary_id);
    if (directory) {
        directory_.emplace(*std::move(directory));
    } else if (directory.error().code != Errc::dictionary_gone) {
        return directory.error();
    }  // else there are no managers on this node, and the seeds know
    const Result<Session*> own = session();
    if (!own) return own.error();
    return greet_first(**own, steady_clock::now() + timeout);
}

/// Speaks to one manager: any of this node's directory, or a seed. They are drawn by lot, so that the clients
/// of a large job do not all knock at the same door.
Result<void> Attachment::greet_first(Session& session, Time deadline) {
    std::minstd_rand random(static_cast<unsigned>(::getpid()));
    std::vector<std::uint32_t> candidates;
    if (directory_) {
        std::uniform_int_distribution<std::uint32_t> any(0, handle_.managers - 1);
        candidates.push_back(any(random));
    }
    const std::size_t first_seed = candidates.size();
    for (const DirectoryEntry& seed : handle_.seeds)
        candidates.push_back(seed.manager);
    std::shuffle(candidates.begin() + static_cast<std::ptrdiff_t>(first_seed), candidates.end(), random);

    Error failure(Errc::dictionary_gone);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        // One that hangs must not use up the time of the others.
        const Time now = steady_clock::now();
        const auto share = (deadline - now) / static_cast<std::ptrdiff_t>(candidates.size() - i);
        const std::uint32_t manager = candidates[i];
        const Result<DirectoryEntry> where = entry(session, manager, now + share);
        if (!where) {
            failure = where.error();
            continue;
        }
        session.add_manager(*where);
        Request ping;
        ping.manager = manager;
        const Result<Reply> reply = session.call(ping, now, now + share);
        if (reply) return {};
        failure = reply.error();
        if (failure.code == Errc::access_denied || failure.code == Errc::incompatible) break;
    }
    failure.set_operation(Operation::attach);
    if (failure.code == Errc::manager_lost || failure.code == Errc::dictionary_gone) {
        failure.code = Errc::dictionary_gone;
        failure.manager = Error::no_manager;
        failure.set_node({}).set_detail("none of the managers named in the handle lives any more");
    }
    return failure;
}

bool Attachment::is_of_parent() const {
    return fork_generation_ != fork_generation.load(std::memory_order_relaxed);
}

std::uint32_t Attachment::manager_of(Bytes key) const {
    return ddict::manager_of(hash_of(key), handle_.managers);
}

/// Null if the calling thread has none yet.
Session* Attachment::known_session() {
    if (!thread_sessions_ended) return thread_sessions.find(serial_);
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(std::this_thread::get_id());
    return found == sessions_.end() ? nullptr : found->second.get();
}

Result<Session*> Attachment::session() {
    if (is_of_parent()) {
        return Error(Errc::not_attached,
                     "this process is a child of the one that attached (fork): attach again here");
    }
    if (Session* known = known_session()) return known;
    Result<std::unique_ptr<Session>> made = Session::open({.dictionary_id = handle_.dictionary_id,
                                                           .secret = handle_.secret,
                                                           .ucx_version = ucx::runtime_version()});
    if (!made) return made.error();
    Session* session = made->get();
    const std::lock_guard lock(mutex_);
    if (closed_) return Error(Errc::not_attached, "this dictionary was detached");
    sessions_[std::this_thread::get_id()] = *std::move(made);
    if (!thread_sessions_ended) thread_sessions.add(serial_, session, weak_from_this());
    return session;
}

void Attachment::end_session(std::thread::id thread) {
    if (is_of_parent()) return;
    std::unique_ptr<Session> ended;
    const std::lock_guard lock(mutex_);
    if (const auto found = sessions_.find(thread); found != sessions_.end()) {
        ended = std::move(found->second);
        sessions_.erase(found);
    }
}

void Attachment::close() {
    if (is_of_parent()) return;
    std::unordered_map<std::thread::id, std::unique_ptr<Session>> ended;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ended.swap(sessions_);
}

Result<DirectoryEntry> Attachment::entry(Session& session, std::uint32_t manager, Time deadline) {
    if (directory_) return directory_->entry(manager);
    const auto known = [&]() -> std::optional<DirectoryEntry> {
        const std::lock_guard lock(mutex_);
        const auto found = fetched_.find(manager);
        return found == fetched_.end() ? std::nullopt : std::optional(found->second);
    };
    if (auto found = known()) return *std::move(found);
    if (const Result<void> fetched = fetch_directory_page(session, manager, deadline); !fetched)
        return fetched.error();
    if (auto found = known()) return *std::move(found);
    return Error(Errc::protocol, "the directory that was sent has no such manager").set_manager(manager);
}

Result<void> Attachment::fetch_directory_page(Session& session, std::uint32_t manager, Time deadline) {
    Result<Reply> reply =
        Error(Errc::manager_lost, "no manager that could tell the others' addresses is left");
    PageSink sink;
    for (const DirectoryEntry& seed : handle_.seeds) {
        session.add_manager(seed);
        Request request;
        request.verb = wire::Verb::directory;
        request.manager = seed.manager;
        request.argument = manager;
        request.sink = &sink;
        reply = session.call(request, steady_clock::now(), deadline);
        if (reply) break;
    }
    if (!reply) return reply.error();
    Unpacker in(sink.page());
    const std::lock_guard lock(mutex_);
    while (in.good() && !in.at_end()) {
        DirectoryEntry entry = unpack_directory_entry(in);
        if (in.good()) fetched_.emplace(entry.manager, std::move(entry));
    }
    return {};
}

Result<Reply> Attachment::call(Request request) {
    const auto named = [&](Error error) {
        if (error.operation == Operation::none) error.set_operation(operation_of(request.verb));
        if (!request.key.empty()) error.set_key(text_of(request.key));
        return error;
    };
    const Result<Session*> own = session();
    if (!own) return named(own.error());
    Session& session = **own;
    const Time now = steady_clock::now();
    const Time deadline = now + timeout_;
    const DirectoryEntry* known = session.known_manager(request.manager);
    if (known == nullptr) {
        const Result<DirectoryEntry> found = entry(session, request.manager, deadline);
        if (!found) return named(found.error());
        session.add_manager(*found);
        known = session.known_manager(request.manager);
    }
    if (request.value.size() + request.key.size() > known->pool_bytes) {
        Error error(Errc::too_large, "the pair is larger than a whole pool");
        error.set_manager(known->manager).set_node(known->node);
        return named(error.set_bytes(request.value.size() + request.key.size(), known->pool_bytes));
    }
    return session.call(request, now, deadline);
}

}  // namespace ddict::client
