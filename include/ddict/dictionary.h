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

class SharedCheckpointStore;

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
/// DDICT_MANAGERS_PER_NODE, DDICT_TOTAL_MEM, DDICT_WORKING_SET, DDICT_NAME, DDICT_PERSIST_PATH,
/// DDICT_PERSIST_COUNT, DDICT_PERSIST_FREQ), if it is set.
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
    /// How many checkpoints the managers keep in memory (View::at), 1 to 8. 0: 1, or DDICT_WORKING_SET.
    std::uint32_t working_set = 0;
    /// With a working set of 2 or more (docs/checkpoints.md, "Steps that wait"). wait_for_keys: a key is of
    /// the checkpoint that it was put at only, unless through View::persistent(); a get or a pop of a key
    /// that is not there waits for it; no checkpoint is retired before all its keys have been put at the
    /// next. wait_for_writers: nor before all clients that have changed something at it have come to a later
    /// one. A change that would retire it waits; its timeout says for what.
    bool wait_for_keys = false;
    bool wait_for_writers = false;
    /// Whether managers are started again that have died; they keep their pairs. If not, the keys of one that
    /// has died are lost. DDICT_NO_RESTART=1 in the environment says no too.
    bool restart = true;
    /// Goes on with the dictionary of this name that was kept on these nodes (DestroyOptions::keep_pools):
    /// all pairs, broadcasts and counters are there, each on its manager, and it is frozen if it was. Nodes,
    /// managers and memory must be those that it had. Errors: invalid_argument, which names both settings
    /// where they differ, or if the nodes have kept different dictionaries; not_found if nothing was kept, or
    /// not by all managers; busy if another process is resuming it; incompatible if another version of ddict
    /// has kept it. After an error it is kept as before.
    bool resume = false;
    /// With `resume`: managers of which nothing was kept begin empty, also if that is all of them:
    /// Dictionary::empty_managers().
    bool allow_empty = false;
    AttachOptions attach{};
    /// A checkpoint to begin with, as of Dictionary::load(). If it cannot be loaded, there is no dictionary.
    std::string load{};
    /// The folder to which the dictionary is persisted (Dictionary::persist) and from which it is restored:
    /// all its clients know it. It is made if its parent is there. One dictionary at a time has a folder
    /// under one name: creating another one is busy.
    std::string persist_path{};
    /// How many checkpoints stay there: older ones are removed when a new one is complete. 0: all.
    std::uint32_t persist_count = 0;
    /// Every how many checkpoints one is persisted by itself, by a process beside the managers
    /// (Dictionary::persist_every): those whose id this divides. 0: none, or DDICT_PERSIST_FREQ. Needs a
    /// persist path, and no read_only.
    std::uint32_t persist_freq = 0;
    /// The id of a persisted checkpoint to begin with, as of Dictionary::restore(). If it cannot be restored,
    /// there is no dictionary.
    std::optional<std::uint32_t> restore_from{};
    /// Pairs are changed by restore() and advance() alone, whoever asks: all else is frozen, and so is
    /// unfreeze(). Needs restore_from. Nothing is written to the persist path: any number of such
    /// dictionaries may have it, beside the one that persists.
    bool read_only = false;
};

struct DestroyOptions {
    /// The pools stay in the shared memory of the nodes, for another dictionary of the same name, of this
    /// user, to go on with (CreateOptions::resume), until it does or they are discarded (ddict-launch
    /// discard): meanwhile they take the memory that they have taken.
    bool keep_pools = false;
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
    /// Goes on to the next checkpoint, or back to the one before (0 at the least); returns its id. Of this
    /// Dictionary and all its views that at() has given no other; any thread's calls that begin afterwards
    /// are at it. No message: what is written first at a new one makes it the newest. See View::at.
    std::uint32_t checkpoint();
    std::uint32_t rollback();
    /// invalid_argument for an id above checkpoint_id_max, unless it is newest_checkpoint: then checkpoint()
    /// and rollback() change nothing.
    void set_checkpoint_id(std::uint32_t checkpoint);
    Result<void> try_set_checkpoint_id(std::uint32_t checkpoint);
    /// Goes on at the newest checkpoint that any manager has seen, and returns its id.
    std::uint32_t sync_to_newest_checkpoint();
    Result<std::uint32_t> try_sync_to_newest_checkpoint();
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

    /// From now on save(), load(), persist(), restore() and their like of this object, and of its views, go
    /// to this store rather than to the file system (<ddict/checkpoint_store.h>; a std::shared_ptr): their
    /// folders and paths are then what names of objects begin with. persist() needs no persist path then; if
    /// there is one, the names begin with it. Null: the file system again. Others who use the dictionary know
    /// nothing of it, nor does what ddict-launch starts (--persist-freq): persist_every() of this object does
    /// it. Calls that are under way keep the store that they have begun with. Of Checkpoints (list, find,
    /// remove) there are functions with a store as well.
    void set_checkpoint_store(SharedCheckpointStore store);
    Result<void> try_set_checkpoint_store(SharedCheckpointStore store);
    /// Null: the file system.
    SharedCheckpointStore checkpoint_store() const;
    /// Where it is persisted: an absolute path. Empty: nowhere.
    std::string persist_path() const;
    /// save() to the persist path, of all that is seen at this object's checkpoint, whichever of the working
    /// set that is. What was persisted of this id before is removed when this one is complete, and so is what
    /// is more than CreateOptions::persist_count (SaveOptions::keep, if it is not 0). Errors: those of
    /// save(); invalid_argument without a persist path.
    CheckpointInfo persist(const SaveOptions& options = {}) const;
    Result<CheckpointInfo> try_persist(const SaveOptions& options = {}) const;
    /// Persists every n-th checkpoint by itself, until PersistEveryOptions::order says that it is over: as
    /// soon as one is retired by newer ones, which is when nobody can change it any more. Nobody waits for
    /// the file system: the managers keep that checkpoint readable meanwhile, as long as the newest is less
    /// than 8 ahead of it and memory is not short; after that it is overtaken, which on_missed() and
    /// persist_status() say, and there is nothing of it. One process of a dictionary does this at a time:
    /// that of ddict-launch --persist-freq, or one of the program's. Returns what it has done. Errors: those
    /// of persist() that are of no one checkpoint: invalid_argument, frozen (read-only), dictionary_gone.
    /// Threads: one more, which saves. Cost: ten messages a second to each manager.
    PersistStatus persist_every(const PersistEveryOptions& options) const;
    Result<PersistStatus> try_persist_every(const PersistEveryOptions& options) const;
    /// How that is going, as any client may ask. Cost: a message to one manager.
    PersistStatus persist_status() const;
    Result<PersistStatus> try_persist_status() const;
    /// The ids of the checkpoints in the persist path that are complete, in order. What cannot be found out
    /// is an error: system. Needs no message.
    std::vector<std::uint32_t> persisted_ids() const;
    Result<std::vector<std::uint32_t>> try_persisted_ids() const;
    /// What was persisted under this id takes the place of all pairs, at every checkpoint: the managers keep
    /// this one only, as the newest, and this object goes on at it. With any number of managers. Nothing is
    /// removed from the persist path. Other clients read nothing, or a part, until it returns, and are to go
    /// on at this id. Before anything is changed, all is read and measured. Errors: not_found (it names the
    /// ids that there are), no_space, protocol, incompatible, frozen, invalid_argument (no persist path; keys
    /// that would meet, as of load()): nothing was changed; others, in doubt, after which a part of it may be
    /// stored: it may be called again.
    CheckpointInfo restore(std::uint32_t checkpoint, const LoadOptions& options = {});
    Result<CheckpointInfo> try_restore(std::uint32_t checkpoint, const LoadOptions& options = {});

    /// Whether it was created so (CreateOptions::read_only).
    bool is_read_only() const;
    /// Of a dictionary that is read-only: restore() of the persisted checkpoint that follows the one that
    /// this object is at, by its id; for all clients, of which one may call it at a time. Errors: those of
    /// restore(); not_found if there is none yet; invalid_argument if it is not read-only.
    CheckpointInfo advance(const LoadOptions& options = {});
    Result<CheckpointInfo> try_advance(const LoadOptions& options = {});

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

    /// Of a dictionary that was resumed (CreateOptions::resume), the managers of which nothing was kept, in
    /// order: they began empty, and stay among them until the dictionary ends. Cost: a message to every
    /// manager.
    std::vector<std::uint32_t> empty_managers() const;
    Result<std::vector<std::uint32_t>> try_empty_managers() const;

    /// What is seen at this object's checkpoint takes the place of all pairs of another dictionary, with
    /// whatever number of managers that has: typed keys, placed by hand or not, broadcasts, and which values
    /// are of this checkpoint only. Nothing else of the working set: the managers of `target` keep this
    /// checkpoint only, and its object goes on at it, as after restore(). The pairs go through this process,
    /// by messages, without a file, a few MiB at a time (LoadOptions::threads). Others may write to this one
    /// meanwhile: each pair is as it was at one moment. Before anything is changed, all is read and measured.
    /// Errors: no_space, invalid_argument (itself; keys placed by hand that would meet), frozen: nothing was
    /// changed; others, in doubt, after which a part of it may be stored: it may be called again.
    void clone_to(Dictionary& target, const LoadOptions& options = {}) const;
    Result<void> try_clone_to(Dictionary& target, const LoadOptions& options = {}) const;
    /// Of a dictionary that was resumed and has empty_managers(): stores there what belongs there of another
    /// dictionary that has had the same pairs, of what is seen at that object's checkpoint, and under its id.
    /// Nothing is done if there are none. What other managers have stays, but for broadcasts, which all get
    /// anew. The number of managers of the other one may be another. Errors: those of clone_to();
    /// invalid_argument too if `source` has managers that began empty itself.
    void synchronize_from(const Dictionary& source, const LoadOptions& options = {}) const;
    Result<void> try_synchronize_from(const Dictionary& source, const LoadOptions& options = {}) const;
    /// create() of a dictionary with the nodes, managers, memory and checkpoints of this one, where `options`
    /// says nothing else, and clone_to() it. Its name is that of this one and "-copy" if none is given. After
    /// an error there is no copy. Errors: those of create() and clone_to().
    Dictionary copy(const CreateOptions& options = {}, const LoadOptions& load = {}) const;
    Result<Dictionary> try_copy(CreateOptions options = {}, const LoadOptions& load = {}) const;

    /// Ends the dictionary for everybody: managers stop, their memory is given back. Calls after it, by
    /// anyone, fail with dictionary_gone, or with manager_lost where the word of the managers did not arrive;
    /// through this object with not_attached. manager_lost or timeout, in doubt, names a manager that did not
    /// answer: the others have ended, and that one may live. With keep_pools, returns when the pools of this
    /// node are kept; system if they are not, and the launcher has said why. What requests have changed that
    /// were answered is kept.
    void destroy(const DestroyOptions& options = {});
    Result<void> try_destroy(const DestroyOptions& options = {});

  private:
    using View::View;
};

}  // namespace ddict
