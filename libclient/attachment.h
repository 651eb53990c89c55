// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A process's attachment to one dictionary: its handle, where the managers are, and a session for each
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include <ddict/checkpoint_store.h>
#include <ddict/dictionary.h>

#include "cluster/directory.h"
#include "cluster/handle.h"
#include "libclient/launch_service.h"
#include "libclient/local_pools.h"
#include "libclient/read_counters.h"
#include "libclient/session.h"
#include "rpc/lost_managers.h"
#include "rpc/whereabouts.h"
#include "shm/directory_segment.h"

namespace ddict::client {

// UCX does not survive fork(): the child's copies of connections are the parent's. A generation that the
// child counts up makes its handles refuse to work, for the price of a comparison.
inline std::atomic<std::uint64_t> fork_generation{0};
/// not_attached, of what the parent has made.
Error forked();
/// Whether an error is not about one manager, so that no other will do better.
bool is_of_whole(const Error& error);

class Attachment final : public std::enable_shared_from_this<Attachment>, private Whereabouts {
  public:
    /// Finds the directory and speaks to one manager, so that what follows starts from a dictionary that
    /// lives.
    static Result<std::shared_ptr<Attachment>> open(const Handle& handle, const AttachOptions& options);
    ~Attachment();

    const Handle& handle() const { return handle_; }
    std::chrono::milliseconds timeout() const { return timeout_; }
    std::uint32_t manager_count() const { return handle_.managers; }
    /// Of calls through views that are of no certain one.
    std::atomic<std::uint32_t>& checkpoint_id() { return checkpoint_id_; }

    /// Whether the dictionary may be used: not after close(), nor in a child of fork().
    bool is_usable() const { return !is_of_parent() && !closed_.load(std::memory_order_acquire); }
    Result<void> check_usable() const {
        if (is_usable()) return {};
        return unusable();
    }
    /// Whether reads may go to pools() just now.
    bool reads_here() const { return local_reads_allowed_ && is_usable(); }
    /// The pools of this node's managers.
    LocalPools& pools() { return *pools_; }
    /// The calling thread has read a key of this manager from them.
    void count_local_read(ShardId shard) {
        const std::uint32_t place = pools_->place_of(shard);
        last_reads_.serial == serial_ ? last_reads_.reads->add(place) : count_first_read(place);
    }
    /// The host name of this node.
    const std::string& node() const { return node_; }
    /// The calling thread's session, made at its first call. Errors: not_attached, system.
    Result<Session*> session();
    /// The same, but null if the thread has none, or may not have one.
    Session* existing_session() { return is_usable() ? known_session() : nullptr; }
    /// Where a manager is; from the node's segment, or from another manager.
    Result<DirectoryEntry> entry(Session& session, ShardId shard, Time deadline);
    /// Names the node of the error's manager, if it has one and the node is known here. No message.
    void name_node(Error& error);
    /// Sees to it that the session knows the manager, and sets the request's checkpoint, if it has none, and
    /// its argument where that says how long to wait. Errors name key, manager and node.
    Result<void> prepare(Session& session, Request& request, Time now, Time deadline);
    /// One request; makes the manager known first, and prepares the request.
    Result<Reply> call(Request& request, const detail::TimeoutBudget& budget);
    using OnReply = std::function<void(std::uint32_t, const Reply&, Bytes)>;
    /// The same request to each of the managers, many at once; `on_reply(manager, reply, page)` for each that
    /// answers. The first error, if any; with `ended_is_fine` managers that have ended are none. A change
    /// that some have made, or may have, leaves the error in doubt. `arguments`, if there are any, are those
    /// of the managers' requests.
    Result<void> call_each(std::span<const std::uint32_t> managers, const Request& request,
                           const detail::TimeoutBudget& budget, const OnReply& on_reply,
                           bool ended_is_fine = false, std::span<const std::uint64_t> arguments = {});
    /// The same of those that answer, each within limits::partial_answer_timeout; the others, by manager id.
    /// Errors: those of the whole.
    Result<std::vector<MissingManager>> call_answering(std::span<const std::uint32_t> managers,
                                                       const Request& request,
                                                       const detail::TimeoutBudget& budget,
                                                       const OnReply& on_reply);
    /// Completes the error of a manager that does not answer.
    MissingManager missing(std::uint32_t manager, Error error);

    /// The ids of the managers on this node, in order.
    const std::vector<std::uint32_t>& local_managers();
    /// Those of this node that give tunnels to managers of others, if UCX must not be touched in this
    /// process; none if it may.
    std::vector<std::uint32_t> managers_giving_tunnels();
    /// The manager for what any manager can do: one of this node, if there is one; always the same.
    std::uint32_t main_manager();

    ClientProfile profile();
    void reset_profile();
    /// Threads of the library's own share it in their calls; close() waits for that.
    std::shared_mutex& background() { return background_; }
    /// Ends the thread's session, and its counts of reads, when the thread ends.
    void end_thread(std::thread::id thread);
    /// The calling thread ends.
    static void forget_last_reads() { last_reads_ = {0, nullptr}; }
    /// Ends all sessions.
    void close();
    /// The process is at its end, in exit(), and other threads may be in the middle of calls: then this stays
    /// as it is until the process is gone, and must not be closed. For the destructor of a static Dictionary.
    bool stays_until_exit();

    /// Of a dictionary that has ended: whether its pools on this node are kept; nothing as long as that is
    /// not decided. A node without managers has none to keep.
    std::optional<bool> are_pools_kept() const {
        if (!directory_) return true;
        const bool has_owner = directory_->has_owner();  // before the other question
        if (directory_->is_kept()) return true;
        return has_owner ? std::nullopt : std::optional(false);
    }

    /// Where this process saves to and loads from; null: the file system.
    std::shared_ptr<CheckpointStore> checkpoint_store() {
        const std::lock_guard lock(mutex_);
        return checkpoint_store_;
    }
    void set_checkpoint_store(std::shared_ptr<CheckpointStore> store) {
        const std::lock_guard lock(mutex_);
        checkpoint_store_ = std::move(store);
    }
    void own(std::unique_ptr<LaunchService> service) { service_ = std::move(service); }
    LaunchService* service() const { return service_.get(); }

  private:
    Attachment(const Handle& handle, std::chrono::milliseconds timeout);
    /// In a child of fork(): nothing of this may be touched, not even the lock, which another thread of the
    /// parent may have held.
    bool is_of_parent() const { return fork_generation_ != fork_generation.load(std::memory_order_relaxed); }
    Error unusable() const;
    void sum_up(Counters::Sums& sums);
    [[gnu::noinline, gnu::cold]] void count_first_read(std::uint32_t place) noexcept;
    Session* known_session();
    Session* look_up_session();
    Result<void> find_managers(std::chrono::milliseconds timeout);
    /// For messages that leave this host; any thread. Errors: system, incompatible.
    Result<std::unique_ptr<ucx::Worker>> start_network(os::Poller& poller, os::WaitPolicy& waiting) const;
    Result<std::vector<std::string>> tunnel_entrances();
    std::string socket_of(ShardId shard);
    Result<void> compare(const shm::DirectoryIdentity& identity, std::uint32_t managers) const;
    Result<void> say_hello_first(Session& session, Time deadline);
    Result<void> say_hello_to_one(Session& session, Time deadline);
    std::vector<std::uint32_t> candidates_for_hello() const;
    Result<void> ask_each(std::span<const std::uint32_t> managers, std::span<const std::uint64_t> arguments,
                          Request request, Time deadline, Time::duration each_at_most,
                          const OnReply& on_reply,
                          const std::function<void(std::uint32_t, const Error&)>& on_error);
    std::optional<DirectoryEntry> look_up(ShardId shard) override;
    void learn(const DirectoryEntry& entry) override;
    std::optional<DirectoryEntry> someone_else(ShardId shard, unsigned turn) override;
    std::optional<bool> has_node_launcher() override {
        return directory_ ? std::optional(directory_->has_owner()) : std::nullopt;
    }
    bool way_is_restarted() override;
    Result<void> fetch_directory_page(Session& session, ShardId shard, Time deadline);
    Result<void> fetch_from_seeds(Session& session, ShardId shard, Time deadline);
    /// Asks seeds. If none can be reached, and the dictionary's record can be read here, asks again, where
    /// they are by that; for a moment it is waited for.
    Result<void> with_moved_seeds(Time deadline, const std::function<Result<void>()>& ask);
    /// False if no record says so.
    bool await_moved_seeds(Time until);
    bool read_where_seeds_are(Time until);

    std::shared_mutex background_;  // before mutex_
    Handle handle_;
    transport::WorkerOptions worker_options_;
    std::chrono::milliseconds timeout_;
    std::uint64_t serial_;           // tells this attachment from earlier ones at the same address
    std::uint64_t fork_generation_;  // of the process that attached
    std::optional<shm::DirectorySegment> directory_;  // if this node has managers
    std::optional<LocalPools> pools_;                 // always, once it is open
    std::string node_;
    bool local_reads_allowed_ = true;
    std::unique_ptr<LaunchService> service_;  // if this process started the dictionary
    std::atomic<std::uint32_t> checkpoint_id_{0};
    std::atomic<bool> closed_ = false;
    // No std::call_once: it would have the library's thread-local variables of libstdc++ be where those of
    // the program are, which is impossible in a program that has loaded libstdc++ late, as Python does.
    std::mutex local_mutex_;
    std::atomic<bool> local_found_ = false;
    bool exit_noted_ = false;  // guarded by mutex_
    std::vector<std::uint32_t> local_managers_;
    // Of the attachment that the thread has read by last: to find it takes no call.
    struct LastReads {
        std::uint64_t serial;
        ReadCounters::Thread* reads;
    };
    static inline constinit thread_local LastReads last_reads_{0, nullptr};

    LostManagers lost_;  // of all sessions

    std::atomic<Time> seeds_awaited_again_{};
    std::mutex entries_mutex_;  // guards the next
    std::unordered_map<ShardId, DirectoryEntry>
        fetched_;  // entries that came with the handle, or from managers

    std::mutex mutex_;  // guards what follows
    std::shared_ptr<CheckpointStore> checkpoint_store_;
    Counters::Sums ended_{};                // of sessions that have ended
    Counters::Sums before_{};               // at the last reset
    std::optional<ReadCounters> reads_;     // always, once it is open
    std::uint64_t local_reads_before_ = 0;  // at the last reset
    std::unordered_map<std::thread::id, std::unique_ptr<Session>> sessions_;
};

}  // namespace ddict::client
