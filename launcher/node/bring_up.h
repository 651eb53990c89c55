// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How the dictionary comes up on one node, from the plan to the handle.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "cluster/rendezvous.h"
#include "launcher/node/node.h"
#include "launcher/node_directory.h"

namespace ddict::launcher {

class BringUp {
  public:
    /// `node` must outlive it.
    explicit BringUp(Node& node) : node_(node) {}

    /// Afterwards the managers serve, on all nodes; or what has been made is for the caller to end.
    Result<void> run();
    /// An error of run() for the user, whole: an Error cuts long texts.
    std::string why(const Error& error) const;

  private:
    Result<void> meet_others();
    std::unique_ptr<Rendezvous> over_streams();
    Result<void> agree_to_resume();
    Result<void> check_memory() const;
    Result<void> make_segments();
    Result<void> start_managers();
    Result<void> meet();
    Result<NodeDirectory> agree_on_directory();
    Result<NodeDirectory> exchange_directory(std::string_view key);
    Result<void> avoid(const std::vector<std::string>& shared_addresses);
    Result<void> introduce(const NodeDirectory& all);
    Result<void> announce(const NodeDirectory& all);
    Result<std::vector<std::string>> exchange(std::string_view key, std::string_view mine);
    Result<void> wait_for_managers(ManagerProcess::State state);
    Result<void> replace_hopeless();
    void report_resumed();
    /// Why it must not go on, if it must not.
    Result<void> trouble() const;

    Node& node_;
    std::unique_ptr<Rendezvous> rendezvous_;
    std::vector<std::string> shared_addresses_;
    bool introduced_ = false;  // the managers know each other's addresses
};

}  // namespace ddict::launcher
