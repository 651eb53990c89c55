// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "launcher/options.h"

namespace ddict::launcher {
namespace {

constexpr std::array<OptionText, 36> texts{{
    {"nodes", "DDICT_NODES", "N", "all of the job",
     "Nodes to place managers on; of --hosts the first N. Without a job and --hosts there is one: this "
     "machine; N then multiplies its managers."},
    {"nodelist", "DDICT_NODELIST", "NODES", "all of the job",
     "The nodes of the job, or of --hosts, that managers may be placed on, as Slurm writes them: n1,n[4-7]."},
    {"hosts", "DDICT_HOSTS", "FILE", "none",
     "Without Slurm: the hosts to place managers on, one a line, as in a hostfile of Open MPI or MPICH, "
     "PBS_NODEFILE and LSB_DJOB_HOSTFILE; slots are passed over. ddict is at the same place on all of them."},
    {"rsh", "DDICT_RSH", "COMMAND", "ssh",
     "With --hosts: what starts a program on another host, with the host and a command line behind it: "
     "'ssh -p 2222'. Words are what blanks separate: there are no quotes. It must not ask for a password."},
    {"managers-per-node", "DDICT_MANAGERS_PER_NODE", "M", "1",
     "Managers on each node. Each is one thread with a pool of its own."},
    {"total-mem", "DDICT_TOTAL_MEM", "SIZE", "256M",
     "Memory of the whole dictionary, divided evenly among the managers, at least 1M for each: "
     "2G, 512M, 1.5G, 268435456."},
    {"bind", "DDICT_BIND", "TO", "none",
     "Each manager runs only on the cores of one NUMA domain (numa; managers are dealt round the domains), "
     "or on a core that no other manager of the dictionary has (core); its memory comes from there. Of "
     "those that Slurm has left to the job."},
    {"prefault", "DDICT_PREFAULT", "", "no",
     "The start waits for the first 64M of each pool only. A thread of each manager takes the rest and maps "
     "it while the manager serves; a put that comes before takes what it needs. The variable is 1."},
    {"huge-pages", "DDICT_HUGE_PAGES", "", "no",
     "The memory of the pools is taken as huge pages, where /dev/shm gives them (mounted with huge=advise, "
     "or more); where not, that is said, and ordinary ones are taken. The variable is 1."},
    {"working-set", "DDICT_WORKING_SET", "N", "1",
     "How many checkpoints the managers keep in memory, at most 8: clients at older steps go on "
     "reading what was there at theirs."},
    {"wait-for-keys", "DDICT_WAIT_FOR_KEYS", "", "no",
     "With --working-set of 2 or more: a key that was put is of its checkpoint only, and a get at the next "
     "waits for it to be put there; and no checkpoint is retired before all its keys are there at the next. "
     "Those put with --persistent stay. The variable is 1."},
    {"wait-for-writers", "DDICT_WAIT_FOR_WRITERS", "", "no",
     "With --working-set of 2 or more: no checkpoint is retired before all clients that have written at it "
     "have come to a later one. The variable is 1."},
    {"timeout", "DDICT_TIMEOUT", "SECONDS", "60",
     "How long the dictionary may take to come up, and to end on stop."},
    {"name", "DDICT_NAME", "NAME", "default",
     "Tells several dictionaries apart. Letters, digits, '.', '_' and '-'; at most 40."},
    {"state-dir", "DDICT_STATE_DIR", "DIR", "~/.local/state/ddict",
     "Where is kept which dictionaries run, for status, env, exec and stop. Every node of the job must "
     "see it, and the host that you look from."},
    {"bootstrap", "DDICT_BOOTSTRAP", "HOW", "auto",
     "How the nodes of a job meet while they come up: pmix, which needs srun's PMIx plugin; streams, over "
     "srun's "
     "standard streams, which needs none; or auto: pmix where srun --mpi=list names it, else streams."},
    {"manager-program", "DDICT_MANAGER_PROGRAM", "FILE", "beside ddict-launch", "The ddict-manager to run."},
    {"no-restart", "DDICT_NO_RESTART", "", "no",
     "A manager that has died is not started again: its keys are lost. The variable is 1."},
    {"keep", "DDICT_KEEP", "", "no",
     "When the dictionary ends in good order its pools stay in the shared memory of its nodes, where "
     "--resume goes on with them: it is listed by status, and takes memory until it is resumed or "
     "discarded. The variable is 1. With a command, whatever its exit status; and with stop."},
    {"resume", "DDICT_RESUME", "", "no",
     "Goes on with the dictionary of this name that was kept on these nodes: all pairs, broadcasts and "
     "counters are there, on the same managers. Nodes, managers and memory must be those that it had. The "
     "variable is 1."},
    {"allow-empty", "DDICT_ALLOW_EMPTY", "", "no",
     "With --resume: managers of which nothing was kept begin empty, also if that is all of them. The "
     "variable is 1."},
    {"fail-on-loss", "DDICT_FAIL_ON_LOSS", "", "no",
     "The exit status is 3 if the command has ended with 0, but keys were lost meanwhile, with a manager "
     "or a node, or may be, since a node is not heard any more. The variable is 1. Only with a command."},
    {"quiet", "DDICT_QUIET", "", "no",
     "No line about the dictionary when the command has ended: how full it was, what it has done, what was "
     "lost. The variable is 1. Only with a command."},
    {"log", "DDICT_LOG", "FILE", "none",
     "A line for each thing that happens to the dictionary: start, losses, recoveries, refusals, pools that "
     "are nearly full, its end. Appended, with time, level, node and manager; at most 10 a second of one "
     "kind and level, but all errors."},
    {"log-level", "DDICT_LOG_LEVEL", "LEVEL", "info",
     "What goes there: error, warning, info or debug (sessions of clients, too)."},
    {"load", "DDICT_LOAD", "PATH", "nothing",
     "A checkpoint to load before the command runs: one that 'ddict save' or --save has written; or latest: "
     "the newest whole one of this name in the folder of --save. If there is none yet, for certain, it says "
     "so, and begins empty. Only with a command."},
    {"save", "DDICT_SAVE", "DIR", "nowhere",
     "Where to save all pairs when the command has ended, whatever its exit status. One ddict-launch at a "
     "time has a folder under one name. Only with a command."},
    {"save-before", "DDICT_SAVE_BEFORE", "SECONDS", "never",
     "Saves so long before the time limit of the Slurm job, too, while the command goes on."},
    {"save-on", "DDICT_SAVE_ON", "SIGNALS", "none",
     "Saves whenever one of these signals comes, too: USR2, or several, USR2,TERM. The command gets it as "
     "well."},
    {"save-keep", "DDICT_SAVE_KEEP", "N", "all",
     "How many saves of this name stay in the folder of --save: the older ones are removed when a new one is "
     "complete."},
    {"compress", "DDICT_COMPRESS", "", "no",
     "What --save and --persist-freq write is compressed (zstd) where that makes it smaller by an eighth or "
     "more. The variable is 1; with it, whatever programs save themselves is compressed too."},
    {"persist-path", "DDICT_PERSIST_PATH", "DIR", "nowhere",
     "Where the programs of the dictionary persist its checkpoints, and restore them from. One ddict-launch "
     "at a time has a folder under one name."},
    {"persist-count", "DDICT_PERSIST_COUNT", "N", "all",
     "How many checkpoints stay in the folder of --persist-path: the older ones are removed when a new one "
     "is complete."},
    {"persist-freq", "DDICT_PERSIST_FREQ", "N", "never",
     "Persists every N-th checkpoint by itself, once newer ones have retired it: those whose id N divides. "
     "The command starts when that is ready, and from then on nobody waits for it; ddict persist --status "
     "says how it goes."},
    {"restore-from", "DDICT_RESTORE_FROM", "ID", "nothing",
     "The checkpoint in the folder of --persist-path to begin with. Only with a command."},
    {"read-only", "DDICT_READ_ONLY", "", "no",
     "Pairs are only changed by restoring another checkpoint. Any number of such dictionaries may have one "
     "--persist-path, to which nothing is written. The variable is 1. With a command, it needs "
     "--restore-from."},
}};

}  // namespace

std::span<const OptionText> option_texts() {
    return texts;
}

}  // namespace ddict::launcher
