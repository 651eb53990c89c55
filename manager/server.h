// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A manager process: its pool, its ways to others, its logic, and the control socket to the node launcher, in
// one event loop of one thread. docs/architecture.md tells how it comes up and ends.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "manager/connection_guard.h"
#include "manager/member.h"
#include "manager/pool_filler.h"
#include "manager/session_log.h"
#include "shm/directory_segment.h"
#include "shm/pool.h"
#include "shm/read_counts.h"
#include "store/store.h"
#include "transport/worker.h"
#include "wire/control.h"

namespace ddict::manager {

struct ServerOptions {
    std::string pool;  // name of the pool's segment: formatted by the node launcher, or of a manager that was
                       // killed; the segment with the replies goes with it
    std::string directory;                        // name of the node's directory segment
    int control_fd = -1;                          // see wire/control.h
    bool fills_pool = false;                      // in the background: pool_filler.h
    bool huge_pages = false;                      // for what of its pool is touched first
    bool tells_sessions = false;                  // those of its clients, for the log
    std::vector<std::string> shared_addresses{};  // that several of the dictionary's nodes have
};

class Server {
  public:
    /// Opens everything, and takes over what a manager has left that was killed. Errors are for
    /// report_failure().
    static Result<std::unique_ptr<Server>> open(const ServerOptions& options);

    /// Serves until the node launcher or a client ends it. Returns the exit status of the process.
    int run();

    /// Tells the node launcher why there is no server; and whether another one on this pool would find the
    /// same.
    static void report_failure(int control_fd, const std::string& reason, bool is_hopeless = false);

  private:
    struct TakenStore {
        std::unique_ptr<store::Store> store;
        std::optional<shm::RecoveryReport> recovered;  // none: the dictionary is new
        bool was_kept = false;                         // by one that has ended
    };
    static Result<TakenStore> take_store(const ServerOptions& options);

    Server(const ServerOptions& options, PermittedHosts hosts, TakenStore taken,
           std::unique_ptr<transport::Worker> worker);

    void tell(Control kind, Bytes payload = {});
    int end_for_restart(std::string_view why = {});
    bool looks_for_network() const;
    bool has_found_network();
    void announce();
    void on_control();
    void on_permit(Bytes names);
    void on_directory_ready();
    void on_ready();
    void on_entry(Bytes packed);
    void tell_newer_entries();
    void fail(const Error& why);
    void remove_segments();
    void tell_of_unreachable_clients();
    void on_refused_connections();
    void count_refused_within_node();
    void count_rejected_frames();
    void log_unproven_hellos();
    void tell_of_deadly_request();
    void note_fill();
    void fill_pool();
    void tell_summary();
    void tell_sessions();
    std::string text_of_session(SessionEvent event, const Session& session, const Error* why);
    std::string node_of(const ProcessIdentity& process);

    ServerOptions options_;
    PermittedHosts hosts_;  // until all are known
    std::unique_ptr<store::Store> store_;
    std::optional<shm::RecoveryReport> recovered_;
    const bool was_kept_;  // by a dictionary that has ended: the others are as new as this one
    std::unique_ptr<transport::Worker> worker_;
    std::optional<shm::DirectorySegment> directory_;
    std::optional<shm::ReadTotal> local_reads_;  // there with the directory
    Member member_;
    std::uint64_t refused_within_node_ = 0;  // for want of descriptors, as far as counted
    std::uint64_t rejected_frames_ = 0;      // as far as counted
    std::uint64_t unreachable_told_ = 0;
    std::chrono::steady_clock::time_point unreachable_told_at_;
    std::uint64_t strangers_ = 0;  // connections from hosts that are not permitted
    std::chrono::steady_clock::time_point strangers_told_at_;
    std::uint64_t unproven_told_ = 0;
    std::chrono::steady_clock::time_point unproven_told_at_;
    std::uint64_t deadly_told_ = 0;
    std::uint64_t peak_bytes_ = 0;       // of the pool, between two turns of the loop
    std::uint32_t fill_told_ = 0;        // per cent
    bool has_others_elsewhere_ = false;  // managers on other hosts
    std::chrono::steady_clock::time_point next_look_for_network_{};
    bool stopping_ = false;
    bool failed_ = false;
    bool orphaned_ = false;  // the node launcher is gone
    std::optional<PoolFiller> filler_;
    std::optional<SessionLog> session_log_;  // if sessions are to be told of
    std::unordered_map<std::uint64_t, std::string>
        nodes_{};  // by host key: of managers, once it is asked for
};

}  // namespace ddict::manager
