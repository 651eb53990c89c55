// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The dictionary of a job, as a program sees it.
//
//     #include <ddict/dictionary.h>
//
//     auto dict = ddict::Dictionary::attach();     // the one that ddict-launch has put into the environment
//     dict.put("Hello", "Dragon");
//     auto value = dict.get("Hello");              // std::string
//
// This header has how to get a dictionary and how to end it; what can be done with it is in <ddict/view.h>.
//
// Errors. Every call exists twice: `put` throws ddict::Exception, `try_put` returns a ddict::Result. Both
// carry the same ddict::Error, which names the key, the manager, its node, and what to do. Every call ends by
// the dictionary's timeout (AttachOptions::timeout) or the view's (View::within), or earlier when the manager
// it waits for is known to be gone.
//
// Threads. One Dictionary may be used by many threads at once; each thread gets connections of its own when
// it first sends something (some milliseconds). Construction, move, detach, destroy and destruction are for
// one thread, when no other is inside a call. The end of the process is an exception: while exit() runs, or
// after the return of main, threads may go on calling a static Dictionary; it leaves its connections to the
// end of the process, which managers notice.
//
// Processes. A child of fork() cannot use its parent's dictionary: its calls fail with Errc::not_attached.
// It attaches anew. If its parent had spoken to managers of other nodes at the fork, which UCX does not
// survive, it reaches these through the managers of its own node, a hop more; on a node without managers such
// calls fail with Errc::system. A child that talks much should exec, or be forked before its parent attaches.
//
// Cost. A call on one key is one message to its manager and one back; get, contains, multi_get and bget of
// keys whose manager is on this node read its memory instead, without a message. Connections are made at the
// first use of a manager. Values of up to 4 KiB travel with the message; larger ones are moved between the
// caller's memory and the manager's pool without a copy in between where the network can.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <ddict/array.h>
#include <ddict/checkpoint.h>
#include <ddict/error.h>
#include <ddict/record.h>
#include <ddict/result.h>
#include <ddict/standard.h>
#include <ddict/view.h>

namespace ddict {

struct AttachOptions {
    /// How long a call may take, where no view says otherwise. Default: 30 s, or DDICT_OPERATION_TIMEOUT
    /// (seconds) in the environment. All time-outs must be above 0, else attaching and creating are
    /// invalid_argument; a year is as good as for ever.
    std::optional<std::chrono::milliseconds> timeout{};
    /// How long to attach may take.
    std::chrono::milliseconds attach_timeout{10'000};
    /// Whether get, contains, multi_get and bget may read the memory of this node's managers. If not, they
    /// send messages as everything else does; DDICT_LOCAL_READS=0 in the environment says the same.
    bool local_reads = true;
};

/// What is left at 0 or empty is taken from the environment (DDICT_NODES, DDICT_NODELIST,
/// DDICT_MANAGERS_PER_NODE, DDICT_TOTAL_MEM, DDICT_NAME), if it is set.
struct CreateOptions {
    /// In a Slurm job: how many of its nodes to use; 0 means all. Elsewhere all managers are on this machine.
    std::uint32_t nodes = 0;
    /// In a Slurm job: which of its nodes to choose from, as Slurm writes them ("n1,n[4-7]"). Empty: all.
    std::string nodelist{};
    std::uint32_t managers_per_node = 0;  ///< 0: 1
    /// For the whole dictionary, in bytes; it is divided evenly among the managers. 0: 256 MiB.
    std::uint64_t total_mem = 0;
    /// Tells several dictionaries of one job apart, for people. May be empty.
    std::string name{};
    /// How long the managers may take to come up.
    std::chrono::milliseconds launch_timeout{60'000};
    /// Whether managers are started again that have died; they keep their pairs. If not, the keys of one that
    /// has died are lost. DDICT_NO_RESTART=1 in the environment says no too.
    bool restart = true;
    AttachOptions attach{};
    /// A checkpoint to begin with, as of Dictionary::load(). If it cannot be loaded, there is no dictionary.
    std::string load{};
};

/// A process's hold on one dictionary: the View of all of it, which can end it too. A process may have
/// several at once, of the same dictionary or of different ones. To be moved, not copied; copies of the View
/// (slices) are views that stop working when this is detached.
class Dictionary : public View {
  public:
    /// Attaches to the dictionary whose handle is in the environment: DDICT_HANDLE, or
    /// SLURM_DDICT_HANDLE where that is not set or empty.
    /// Errors: not_attached (there is none), bad_handle, incompatible, access_denied, dictionary_gone (it has
    /// ended); manager_lost or timeout if no manager can be reached, which does not say that it has ended.
    static Dictionary attach(const AttachOptions& options = {});
    static Result<Dictionary> try_attach(const AttachOptions& options = {});

    /// Attaches to the dictionary of a handle (handle(), ddict-launch start).
    static Dictionary attach(std::string_view handle, const AttachOptions& options = {});
    static Result<Dictionary> try_attach(std::string_view handle, const AttachOptions& options = {});

    /// Starts a new dictionary: places managers on the nodes of this Slurm job, or on this machine, waits
    /// until they are ready, and attaches. It lives until somebody calls destroy(), or until this process
    /// ends, however it ends. Needs the program ddict-launch: beside this program, beside the library, or in
    /// PATH (or DDICT_LAUNCH). Errors: no_space, invalid_argument (more nodes than the job has), timeout,
    /// system; each with the reason.
    static Dictionary create(const CreateOptions& options = {});
    static Result<Dictionary> try_create(const CreateOptions& options = {});

    Dictionary(Dictionary&& other) noexcept = default;
    /// Detaches from what it had.
    Dictionary& operator=(Dictionary&& other) noexcept;
    Dictionary(const Dictionary&) = delete;
    Dictionary& operator=(const Dictionary&) = delete;
    /// Detaches.
    ~Dictionary();

    /// The handle: any process that has it and can reach the managers can attach, whatever its user. Treat it
    /// like a password. Empty if not attached.
    std::string handle() const;
    /// The same, as the reference calls it.
    std::string serialize() const { return handle(); }
    /// The name that the dictionary was given (CreateOptions::name, ddict-launch --name, DDICT_NAME);
    /// "default" if it was given none.
    std::string name() const;
    /// Saves all pairs to a new folder in `dir`, which is made if its parent is there: DIR/NAME/GENERATION.
    /// It is there when this returns, on the medium, and not before; after an error, or when this process is
    /// killed, there is nothing. Others may go on: each pair is as it was at one moment of the save, a key
    /// that is there all the while is saved, one that comes or goes may be. Several keys are of one moment
    /// only if nobody writes meanwhile (freeze()). Managers of this node are read from their memory, without
    /// a message; those of other nodes send their pairs here. The file system must be able to hold the files.
    /// Errors: system (what the file system says), manager_lost, timeout; those of a call to each manager.
    /// Memory: 8 MiB for each manager that is saved at once, and the largest value of other nodes.
    CheckpointInfo save(std::string_view dir, const SaveOptions& options = {}) const;
    Result<CheckpointInfo> try_save(std::string_view dir, const SaveOptions& options = {}) const;
    /// Stores all pairs of a checkpoint: the newest at `path` (Checkpoints). What is in the dictionary stays,
    /// but for the keys that are in both. The number of managers may be another: keys come to where they
    /// belong, placed by hand or not, and broadcasts to all. Before anything is changed, all is read and
    /// measured. Errors: no_space if it does not fit, for the first manager (need_bytes, have_bytes);
    /// not_found, protocol, incompatible, invalid_argument (Checkpoints::find; or keys that were on different
    /// managers would meet on one); others, in doubt, after which a part of it may be stored.
    CheckpointInfo load(std::string_view path, const LoadOptions& options = {}) const;
    Result<CheckpointInfo> try_load(std::string_view path, const LoadOptions& options = {}) const;
    /// For a job that goes on where one before it has stopped: load() of the newest checkpoint that a
    /// dictionary of this name() has saved to `dir` and that is whole. A damaged one is passed over
    /// (LoadOptions::on_damaged), nothing of it is stored. Errors: not_found if nothing has been saved there
    /// yet, for certain: `dir`/NAME is empty, or is not there although `dir`, or the folder above it, is;
    /// system if that cannot be found out, as when a file system is away; protocol if all are damaged, of the
    /// newest; otherwise those of load().
    CheckpointInfo load_latest(std::string_view dir, const LoadOptions& options = {}) const;
    Result<CheckpointInfo> try_load_latest(std::string_view dir, const LoadOptions& options = {}) const;

    /// Gives up all connections. Other clients, and the dictionary, are not affected. Calls after it, also
    /// through views that were made from this: not_attached. Operations that are still under way end with
    /// the same.
    void detach();
    /// Has another process take the place of a manager, and all its pairs over, within milliseconds: as after
    /// its death, on purpose. What is asked of it meanwhile is answered, and every wait goes on. Returns when
    /// the new process answers. Errors: invalid_argument (no such manager, or without
    /// CreateOptions::restart); manager_lost, timeout. A third time within ten seconds ends it for good.
    void restart(std::uint32_t manager);
    Result<void> try_restart(std::uint32_t manager);

    /// Ends the dictionary for everybody: managers stop, their memory is given back. Calls after it, by
    /// anyone, fail with dictionary_gone, or with manager_lost where the word of the managers did not arrive;
    /// through this object with not_attached. manager_lost or timeout, in doubt, names a manager that did not
    /// answer: the others have ended, and that one may live.
    void destroy();
    Result<void> try_destroy();

  private:
    using View::View;
};

}  // namespace ddict
