// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A program as the consumer of a queue: ddict queue take NAME -- COMMAND.
#pragma once

#include <ddict/queue.h>

#include <cstdint>
#include <span>
#include <string>

namespace ddict::tools {

struct ItemCommand {
    std::span<const std::string> words;  ///< the program, and its arguments
    QueueEnd end = QueueEnd::closed;
    bool takes_all = false;      ///< one item after the other
    bool is_bounded = false;     ///< with takes_all: each has to come within the queue's deadline
    std::uint32_t attempts = 0;  ///< after so many an item whose command fails is finished; 0: never
};

struct ItemCommandEnd {
    int status = 0;    ///< of this process
    int ended_by = 0;  ///< the signal by which it has to end, when the queue is released; 0: none
};

/// Takes an item and runs the command on it: finished if it succeeds, put back otherwise. Signals that would
/// end this process go to the command while it runs. Throws Exception and std::exception.
ItemCommandEnd run_on_items(const Queue& queue, const ItemCommand& command);

}  // namespace ddict::tools
