// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A manager process: its pool, its UCX worker, its shard, and the control socket to the node launcher, in one
// event loop of one thread. docs/architecture.md tells how it comes up and ends.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/control.h"
#include "core/requester.h"
#include "manager/roll_call.h"
#include "manager/shard.h"
#include "shm/directory_segment.h"
#include "shm/pool.h"
#include "ucx/worker.h"

namespace ddict::manager {

struct ServerOptions {
    std::string pool;       // name of the pool's segment, formatted by the node launcher
    std::string directory;  // name of the node's directory segment
    int control_fd = -1;    // see core/control.h
};

class Server final : private TransportEvents {
  public:
    /// Opens everything; errors go to the node launcher by run().
    static Result<std::unique_ptr<Server>> open(const ServerOptions& options);

    /// Serves until the node launcher or a client ends it. Returns the exit status of the process.
    int run();

    /// Tells the node launcher why there is no server.
    static void report_failure(int control_fd, const std::string& reason);

  private:
    Server(const ServerOptions& options, std::unique_ptr<shm::Pool> pool,
           std::unique_ptr<ucx::Worker> worker);

    void tell(Control kind, Bytes payload = {});
    void announce();
    void on_control();
    void on_directory_ready();
    void check_roll_call();
    void fail(const Error& why);
    void remove_segments();

    void on_message(Bytes head, const IncomingBody& body) override;
    void on_body_received(std::uint64_t tag, bool ok) override { shard_.on_body_received(tag, ok); }
    void on_body_sent(std::uint64_t tag, bool ok) override { shard_.on_body_sent(tag, ok); }
    void on_peer_lost(PeerId peer, const Error& why) override;

    ServerOptions options_;
    std::unique_ptr<shm::Pool> pool_;
    std::unique_ptr<ucx::Worker> worker_;
    Shard shard_;
    Requester neighbours_;  // this manager as a client of others
    std::optional<shm::DirectorySegment> directory_;
    std::optional<RollCall> roll_call_;
    bool stopping_ = false;
    bool failed_ = false;
    bool orphaned_ = false;  // the node launcher is gone
};

}  // namespace ddict::manager
