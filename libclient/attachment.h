// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A process's attachment to one dictionary: its handle, where the managers are, and a session for each
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include <ddict/dictionary.h>

#include "core/directory.h"
#include "libclient/launch_service.h"
#include "libclient/session.h"
#include "shm/directory_segment.h"

namespace ddict::client {

class Attachment : public std::enable_shared_from_this<Attachment> {
  public:
    /// Finds the directory and speaks to one manager, so that what follows starts from a dictionary that
    /// lives.
    static Result<std::shared_ptr<Attachment>> open(const Handle& handle, const AttachOptions& options);
    ~Attachment();

    const Handle& handle() const { return handle_; }
    std::chrono::milliseconds timeout() const { return timeout_; }
    std::uint32_t manager_count() const { return handle_.managers; }
    std::uint32_t manager_of(Bytes key) const;

    /// The calling thread's session, made at its first call. Errors: not_attached, system.
    Result<Session*> session();
    /// Where a manager is; from the node's segment, or from another manager, once.
    Result<DirectoryEntry> entry(Session& session, std::uint32_t manager, Time deadline);
    /// One request; makes the manager known first.
    Result<Reply> call(Request request);
    /// Ends the calling thread's session, when the thread ends.
    void end_session(std::thread::id thread);
    /// Ends all sessions.
    void close();

    void own(std::unique_ptr<LaunchService> service) { service_ = std::move(service); }
    LaunchService* service() const { return service_.get(); }

  private:
    Attachment(const Handle& handle, std::chrono::milliseconds timeout);
    /// In a child of fork(): nothing of this may be touched, not even the lock, which another thread of the
    /// parent may have held.
    bool is_of_parent() const;
    Session* known_session();
    Result<void> find_managers(std::chrono::milliseconds timeout);
    Result<void> greet_first(Session& session, Time deadline);
    Result<void> fetch_directory_page(Session& session, std::uint32_t manager, Time deadline);

    Handle handle_;
    std::chrono::milliseconds timeout_;
    std::uint64_t serial_;           // tells this attachment from earlier ones at the same address
    std::uint64_t fork_generation_;  // of the process that attached
    std::optional<shm::DirectorySegment> directory_;  // if this node has managers
    std::unique_ptr<LaunchService> service_;          // if this process started the dictionary

    std::mutex mutex_;  // guards what follows
    bool closed_ = false;
    std::unordered_map<std::thread::id, std::unique_ptr<Session>> sessions_;
    std::unordered_map<std::uint32_t, DirectoryEntry> fetched_;  // entries that came from managers
};

}  // namespace ddict::client
