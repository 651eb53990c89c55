// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The commands of ddict: what they are called, what they take, and what they do. Each returns the exit
// status; they throw UsageError, OutputError and Exception.
#pragma once

#include <ddict/dictionary.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/arguments.h"

namespace ddict::tools {

std::vector<Command> key_commands();       ///< on single keys: put, get, pop, incr, wait
std::vector<Command> many_key_commands();  ///< on any number of keys: has, info, del
std::vector<Command> pair_commands();      ///< on all pairs: keys, items, size, clear, freeze, unfreeze
std::vector<Command> usage_commands();     ///< on what takes the memory: du
std::vector<Command> state_commands();     ///< on the managers: stats, metrics, top, health, restart, destroy
std::vector<Command> checkpoint_commands();  ///< on what is saved: save, load, persist, restore, advance,
                                             ///< persisted-ids, checkpoint
std::vector<Command> queue_commands();       ///< on bounded queues: queue
std::vector<Command> shell_commands();       ///< for shells: shell, completion, complete

/// What get does with more than one key.
int get_many(const Arguments& arguments);
/// Removes the pairs whose keys are texts that begin with it, and prints how many.
int remove_prefix(const Arguments& arguments, const std::string& prefix);

/// All of them.
std::span<const Command> all_commands();
std::span<const Option> options_of_all_commands();
/// --escaped (see Arguments::text) of a command that takes KEY.
Option escaped_option();
/// The same of one that takes KEY and VALUE, and of one that takes PREFIX.
Option escaped_pair_option();
Option escaped_prefix_option();

/// What completes a KEY, or a PREFIX.
constexpr Completes keys_here() {
    return {.kind = Completes::Kind::key};
}

/// Of --handle or --handle-file; nothing if neither was given. Throws UsageError.
std::optional<std::string> given_handle(const Arguments& arguments);
/// Attaching may take as long as all of the command.
Dictionary attach(const Arguments& arguments);
/// The same for what takes 5 s at the most without --timeout.
Dictionary attach_for_question(const Arguments& arguments);
/// How long the command may take from now on, of what --timeout, DDICT_OPERATION_TIMEOUT, or 30 s allow since
/// it was started; a little at least.
std::chrono::milliseconds timeout_of(const Arguments& arguments);
/// The same for what only asks managers how they are: without --timeout, 5 s at the most.
std::chrono::milliseconds timeout_of_question(const Arguments& arguments);

}  // namespace ddict::tools
