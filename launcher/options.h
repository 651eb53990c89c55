// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ddict-launch was asked to do: its command line, and the DDICT_* environment variables behind it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/result.h>

#include "base/limits.h"
#include "base/working_set_settings.h"
#include "cluster/persist_settings.h"
#include "launcher/binding.h"
#include "launcher/log.h"
#include "os/environment.h"
#include "slurm/allocation.h"

namespace ddict::launcher {

enum class Verb {
    run,
    start,
    stop,
    status,
    env,
    exec,
    restart,
    discard,
    serve,
    check,
    help,
    version,
    node,
    check_node,
    addresses,
    keep_log,
    on_hosts,
    lives,
    discard_here,
    sweep,
    keep_record
};

enum class BootstrapOption { automatic, pmix, streams };

/// What --load says for the newest whole save in the folder of --save.
inline constexpr std::string_view load_latest = "latest";

struct Options {
    Verb verb = Verb::run;
    std::optional<std::uint32_t> nodes;  // none: all of the job, or this machine
    std::vector<std::string> nodelist;   // the job's nodes to choose from; empty: all
    std::uint32_t managers_per_node = 1;
    std::uint64_t total_bytes = std::uint64_t{256} << 20;
    WorkingSetSettings working_set{};
    std::chrono::milliseconds timeout = limits::launch_timeout_default;
    std::string name = "default";
    bool name_given = false;                                 // by the option, not by the variable
    std::string state_dir;                                   // empty: the usual place
    std::string hosts;                                       // a file of them, instead of a job; empty: none
    std::string rsh = "ssh";                                 // with hosts: what starts a program there
    BootstrapOption bootstrap = BootstrapOption::automatic;  // in a job: how node launchers meet
    std::string manager_program;                             // empty: the one beside ddict-launch
    Bind bind = Bind::none;                                  // managers to processors
    bool prefault = false;                                   // pools in the background
    bool huge_pages = false;                                 // for pools
    bool restart = true;                                     // managers that have died
    bool resume = false;                                     // what was kept under this name
    bool allow_empty = false;                                // of that: managers of which nothing was kept
    bool keep = false;                                       // run, stop: leave the pools for --resume
    bool quiet = false;                                      // run: no summary at the end
    bool fail_on_loss = false;                             // run: an exit status of its own if keys were lost
    bool export_line = false;                              // start --export
    bool json = false;                                     // status --json
    std::string job;                                       // of which one it is; empty: not said
    std::uint32_t manager = 0;                             // restart --manager
    std::string load;                                      // run: a checkpoint, or load_latest; empty: none
    std::string save;                                      // run: where to save at the end; empty: nowhere
    std::optional<std::chrono::milliseconds> save_before;  // run: so long before the job's time limit
    std::vector<int> save_on;                              // run: at these signals
    std::optional<std::uint32_t> save_keep;                // run: how many saves stay; none: all
    bool compress = false;                                 // what is saved or persisted
    PersistSettings persist;
    LogSettings log;
    std::uint32_t persist_freq = 0;                  // every how many checkpoints one; 0: none
    std::optional<std::uint32_t> restore_from;       // run: a checkpoint there, to begin with
    std::vector<std::string> command;                // run, exec: what stands after --
    std::vector<std::string> hidden;                 // node, check_node, ...: their own arguments
    std::set<std::string, std::less<>> by_variable;  // options that a variable has set: "nodes"

    /// By what the user has given it, for messages: "--nodes" or "DDICT_NODES".
    std::string given_by(std::string_view option) const;
};

/// One option as people see it: --help and docs/environment.md both show this list.
struct OptionText {
    std::string_view option;    // "total-mem"
    std::string_view variable;  // "DDICT_TOTAL_MEM"
    std::string_view value;     // what is written behind it: "SIZE"; empty: nothing, and the variable is 1
    std::string_view preset;    // what it is if nobody says: "256M"
    std::string_view meaning;
};
std::span<const OptionText> option_texts();

/// args: without the program's name. The command line wins over the environment; an empty variable counts as
/// not set. invalid_argument, naming the option or the variable, for what cannot be understood. Variables are
/// not looked at for help and version.
Result<Options> parse_options(const std::vector<std::string>& args, const os::Environment& environment);

std::string help_text();

}  // namespace ddict::launcher
