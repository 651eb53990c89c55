// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a dictionary was saved to: Dictionary::save() and load() (<ddict/dictionary.h>), and what can be asked
// of checkpoints without a dictionary. docs/checkpoint_format.md has their bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/error.h>
#include <ddict/key_bytes.h>
#include <ddict/result.h>
#include <ddict/standard.h>

namespace ddict {

enum class CheckpointState : std::uint8_t {
    committed,   ///< whole
    damaged,     ///< was committed, and its commit file cannot be read: CheckpointInfo::error says why
    writing,     ///< a save is under way
    unfinished,  ///< left by a save that has died: the next save of that dictionary removes it
};
/// As it is spelled above.
std::string_view name(CheckpointState state) noexcept;

/// One checkpoint. All but path and state are of one that is committed.
struct CheckpointInfo {
    std::string path;  ///< its folder
    CheckpointState state = CheckpointState::committed;
    std::string name;  ///< the dictionary's
    std::uint64_t generation = 0;
    std::uint32_t checkpoint = 0;  ///< the id, in memory, of what was saved (View::at)
    std::uint32_t managers = 0;
    std::uint64_t pairs = 0;
    std::uint64_t value_bytes = 0;
    std::uint64_t bytes = 0;  ///< of its files
    std::chrono::system_clock::time_point began{};
    std::chrono::system_clock::time_point ended{};
    /// Of one that is damaged: why. Of one just saved: why an older one could not be removed
    /// (SaveOptions::keep); without a detail if there was nothing of the kind.
    Error error{};
};

/// How far a save, a load or a verification is.
struct CheckpointProgress {
    std::uint64_t pairs = 0;
    std::uint64_t bytes = 0;
    std::uint64_t bytes_in_all = 0;  ///< 0 where it is not known
};
/// Called now and then, by one thread at a time, not always the caller's; false ends it with timeout.
using OnCheckpointProgress = std::function<bool(const CheckpointProgress&)>;

struct SaveOptions {
    OnCheckpointProgress progress{};
    unsigned threads = 0;  ///< how many managers are saved at once; 0: up to 4
    /// How many checkpoints of this dictionary's name stay in the folder, the new one included: older ones
    /// are removed when that is there. 0: all. One that cannot be removed is told by CheckpointInfo::error.
    unsigned keep = 0;
    /// Which checkpoint in memory is saved. None: that of the dictionary object.
    std::optional<std::uint32_t> checkpoint{};
    /// Whether what was saved there of the same checkpoint in memory before is removed, when the new one is
    /// there. Dictionary::persist() does so.
    bool replaces = false;
    /// Whether extents are compressed (zstd) that get smaller by it, an eighth at the least. Not said: if the
    /// environment has DDICT_COMPRESS=1.
    std::optional<bool> compress{};
    /// Called when all is written, before it becomes a checkpoint: an error gives it up.
    std::function<Result<void>()> confirm{};
};
/// What a program that persists every n-th checkpoint (Dictionary::persist_every) has told the managers last.
struct PersistStatus {
    bool running = false;         ///< it has said so within the last seconds
    std::uint32_t every = 0;      ///< 0: there was none since the managers came up
    std::uint64_t persisted = 0;  ///< checkpoints
    std::uint64_t overtaken = 0;  ///< that were due, and gone from memory before they were written
    std::uint64_t failed = 0;     ///< that were due, and could not be written
    std::optional<std::uint32_t> last_persisted{};  ///< an id
    std::optional<std::uint32_t> last_missed{};     ///< of one that was overtaken or has failed
    std::optional<Error> error{};  ///< why; or what else keeps the program from persisting now
};
struct PersistEveryOptions {
    enum class Order : std::uint8_t {
        go_on,
        finish,  ///< nobody writes any more: persist also what is due and not retired yet, and return
        stop,    ///< persist what has been retired, and return
    };
    std::uint32_t every = 1;  ///< checkpoints whose id this divides, 0 among them
    /// Asked ten times a second; also whether a save is to go on that the end waits for.
    std::function<Order()> order{};
    unsigned threads = 0;            ///< as of SaveOptions
    std::optional<bool> compress{};  ///< as of SaveOptions
    /// Called by the caller's thread.
    std::function<void(const CheckpointInfo&)> on_persisted{};
    std::function<void(std::uint32_t checkpoint, const Error&)> on_missed{};
};
struct LoadOptions {
    OnCheckpointProgress progress{};
    unsigned threads = 0;  ///< how many extents are read at once; 0: up to 4
    /// Nobody else uses the dictionary before the load has returned: the caller knows that. If it is empty,
    /// each extent is then read once, which is faster, rather than once to check all of it and once to store
    /// it; if anything fails, all that was stored is removed again (clear()), and the rest is as ever.
    /// Dictionary::create() loads so.
    bool exclusive = false;
    /// Of Dictionary::clone_to() and synchronize_from(): which checkpoint in memory of the source. None: that
    /// of its object.
    std::optional<std::uint32_t> checkpoint{};
    /// Of load_latest(): called for each damaged checkpoint that it passes over, with the error.
    std::function<void(const CheckpointInfo&)> on_damaged{};
};

/// A pair of a checkpoint. Its bytes stay for the time of the call that has it.
struct CheckpointPair {
    KeyBytes key;
    std::span<const std::byte> value;
    std::uint16_t value_type = 0;
    std::uint32_t checkpoint = 0;
    bool broadcast = false;       ///< on all managers
    bool placed_by_hand = false;  ///< by a hash or a number
    std::uint64_t placement = 0;  ///< that hash or number
};

class CheckpointStore;

/// A path names a checkpoint (DIR/NAME/GENERATION), those of a dictionary (DIR/NAME), or those of all that
/// were saved there (DIR). Errors of all: system (the file system says no), not_found.
class Checkpoints {
  public:
    /// In the order of names and generations.
    static Result<std::vector<CheckpointInfo>> list(std::string_view path);
    /// The newest. Errors: invalid_argument (of several dictionaries), protocol (it is damaged),
    /// incompatible (another version has written it).
    static Result<CheckpointInfo> find(std::string_view path);
    /// Reads all of the newest, and returns the first thing that is wrong. Errors: those of find().
    static Result<void> verify(std::string_view path, const OnCheckpointProgress& progress = {});
    /// Every pair of the newest; an error that `visit` returns ends it. Errors: those of find().
    static Result<void> for_each(std::string_view path,
                                 const std::function<Result<void>(const CheckpointPair&)>& visit);
    // The same of a store of the program's own (Dictionary::set_checkpoint_store).
    static Result<std::vector<CheckpointInfo>> list(CheckpointStore& store, std::string_view path);
    static Result<CheckpointInfo> find(CheckpointStore& store, std::string_view path);
    static Result<void> verify(CheckpointStore& store, std::string_view path,
                               const OnCheckpointProgress& progress = {});
    static Result<void> remove(CheckpointStore& store, std::string_view path);
    /// Removes one: the path is that of its folder. Errors: busy (a save writes it), invalid_argument (it is
    /// no folder of a checkpoint, or has something else in it).
    static Result<void> remove(std::string_view path);
};

}  // namespace ddict
