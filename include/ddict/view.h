// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A View: every operation on the keys of a dictionary. A Dictionary is the view of the whole dictionary with
// the default deadline; others are made from it, and from each other, for free (no connection, no message):
//
//     auto quick = dict.within(50ms);             // each call ends within 50 ms
//     auto third = dict.manager(3);               // all keys live on manager 3, whatever their hash
//     auto mine = dict.placed_by(my_hash);        // the hash decides where a key lives
//
// A view is small and can be copied. It may outlive its Dictionary's detach(): calls then fail with
// not_attached. Keys that were put through manager() or placed_by() are found through a view with the same
// placement, and by the iterations of any view.
//
// Names. What can fail exists twice: `put` throws ddict::Exception, `try_put` returns a ddict::Result. Both
// carry the same ddict::Error. (Iterations throw; a Cursor does not.) Each can fail with the errors of all
// calls: not_attached, dictionary_gone, manager_lost, timeout, busy, system, protocol (Error::in_doubt says
// whether a change may have taken effect all the same); keys that are empty (invalid_argument) or longer than
// 1024 bytes (too_large); writes with frozen, and with invalid_argument what a broadcast has stored (bput).
// The comments name what else there is.
//
// Keys and values are whatever has a ddict::Codec: text, numbers, vectors, ...; see <ddict/codec.h>. A K is
// an EncodableKey (of keys(): a DecodableKey), a V Encodable, a T Decodable; for another one the compiler
// says in one line what is missing. Keys of different types are different keys, but for the widths of
// numbers; see <ddict/key.h>. A scalar integer or float can be read as any other that has its value.
//
// Threads: any number may use one view at once, save while it collects a batch (start_batch_put).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ddict/async.h>
#include <ddict/batch.h>
#include <ddict/checkpoint_id.h>
#include <ddict/frozen_value.h>
#include <ddict/iteration.h>
#include <ddict/key.h>
#include <ddict/operands.h>
#include <ddict/partial.h>
#include <ddict/profile.h>
#include <ddict/shared.h>
#include <ddict/standard.h>
#include <ddict/stats.h>

namespace ddict {

namespace client {
class Attachment;
class OpenBatch;
}  // namespace client
class Batch;
class Queue;
struct QueueOptions;

class View {
  public:
    using Bytes = std::span<const std::byte>;
    using Parts = std::span<const Bytes>;
    using Clock = std::chrono::steady_clock;
    /// Of no dictionary: every call fails with not_attached.
    View() = default;

    // ---- other views ----
    /// Each call takes this long at the most, on however many keys or managers it is; what is made of several
    /// calls (update, a collected batch, a loop over keys) says so. Zero or less: each fails at once with
    /// timeout, nothing is sent.
    template <class Number, class Unit>
    View within(std::chrono::duration<Number, Unit> timeout) const;
    /// Each call ends at this time; together with within(), at the earlier of the two.
    View until(Clock::time_point deadline) const;
    /// All keys live on manager `id`; size, clear, stats, iterations and freeze are of that manager only.
    /// invalid_argument if there is no such manager.
    View manager(std::uint32_t id) const;
    Result<View> try_manager(std::uint32_t id) const;
    /// `placement` decides where a key lives, instead of the key's own hash.
    View placed_by(Placement placement) const;
    /// `manager_of` decides on which manager a key lives.
    View placed_at(ManagerOfKey manager_of) const;
    /// Changes that are refused with no_space wait until there is space, and are timeout if there is none by
    /// the deadline: put, the conditional ones, compare_and_swap, fetch_add, append, bput, multi_put; not
    /// put_async, update, nor what a batch collects. What can never fit is too_large at once. No order is
    /// promised; who has waited for longer asks more often. Cost: a message about every 8 to 64 ms while it
    /// waits; a value above 4 KiB is not sent before there is space for it.
    View when_space() const;
    /// What is stored through it is erased by its manager so long after it was stored (at once, if that is
    /// zero or less), whatever has become of its client: some milliseconds late, never early. Each store
    /// begins anew; one through another view takes it away, but fetch_add, append and compare_and_swap leave
    /// it. Left out of saves and clones. Not for bput (invalid_argument), nor queues. Cost: 80 bytes a pair.
    template <class Number, class Unit>
    View with_ttl(std::chrono::duration<Number, Unit> ttl) const;
    /// A bounded queue: <ddict/queue.h>. It is of whatever checkpoint and placement this view is, and of a
    /// view of one manager wholly there.
    Queue queue(std::string_view name) const;
    Queue queue(std::string_view name, const QueueOptions& options) const;
    Result<Queue> try_queue(std::string_view name) const;
    Result<Queue> try_queue(std::string_view name, const QueueOptions& options) const;

    // ---- checkpoints (docs/checkpoints.md) ----
    /// The dictionary at a checkpoint: each key has what was written to it last at this one or an earlier
    /// one, and changes are made at it, and so at later ones, but for keys that were written or erased there
    /// themselves. The managers keep the newest few (CreateOptions::working_set): calls at an older one fail
    /// with checkpoint_retired. Broadcasts are seen at each. No message. invalid_argument for an id above
    /// checkpoint_id_max, unless it is newest_checkpoint.
    View at(std::uint32_t checkpoint) const;
    Result<View> try_at(std::uint32_t checkpoint) const;
    /// Of a dictionary that waits for keys (CreateOptions::wait_for_keys). persistent(): what is put through
    /// it is seen at later checkpoints as well. at_once(): a get or a pop of a key that is not there says so,
    /// and does not wait for it. Elsewhere both are this view.
    View persistent() const;
    View at_once() const;
    /// The id of the checkpoint of this view's calls: that of at(), or Dictionary's.
    std::uint32_t checkpoint_id() const;
    /// The id of the newest that any of this view's managers has seen. Cost: a message to each, and its
    /// answer.
    std::uint32_t newest_checkpoint_id() const;
    Result<std::uint32_t> try_newest_checkpoint_id() const;

    // ---- one key ----
    /// Stores a pair; a value that was there is replaced. Cost: one message and its answer. Errors:
    /// no_space (a value that was there stays), too_large.
    template <class K, class V>
    void put(const K& key, const V& value) const;
    template <class K, class V>
    Result<void> try_put(const K& key, const V& value) const;
    /// Stores a pair only if there is no such key, or only if there is; says whether it did. Errors and cost:
    /// those of put.
    template <class K, class V>
    bool put_if_absent(const K& key, const V& value) const;
    template <class K, class V>
    Result<bool> try_put_if_absent(const K& key, const V& value) const;
    template <class K, class V>
    bool put_if_present(const K& key, const V& value) const;
    template <class K, class V>
    Result<bool> try_put_if_present(const K& key, const V& value) const;
    /// The value of a key, as a T. Cost: a read of this node's shared memory if the manager is here, else one
    /// message and its answer. Errors: not_found, wrong_type.
    template <class T = std::string, class K>
    T get(const K& key) const;
    template <class T = std::string, class K>
    Result<T> try_get(const K& key) const;
    /// The same where a missing key is nothing special.
    template <class T = std::string, class K>
    std::optional<T> find(const K& key) const;
    template <class T = std::string, class K>
    Result<std::optional<T>> try_find(const K& key) const;
    template <class T = std::string, class K>
    T get_or(const K& key, T fallback) const;
    template <class T = std::string, class K>
    Result<T> try_get_or(const K& key, T fallback) const;
    /// Into memory that is there already. A std::span of elements: returns how many have come; does not
    /// allocate; invalid_argument if there are more than it has space for: Error::need_bytes says what is
    /// needed, and nothing was written. Text, a vector, an array: returns nothing; its memory is used again.
    /// A ddict::ArrayView: an array of the same shape. Errors: not_found, wrong_type; the value may then hold
    /// anything, a view only what it held.
    template <class T, class K>
    detail::Received<T> get_into(const K& key, T&& value) const;
    template <class T, class K>
    Result<detail::Received<T>> try_get_into(const K& key, T&& value) const;
    /// Whether there is such a key. Cost: that of get.
    template <class K>
    bool contains(const K& key) const;
    template <class K>
    Result<bool> try_contains(const K& key) const;
    /// The type and the size of a value, without the value; nothing if there is none. Cost: that of contains.
    template <class K>
    std::optional<ValueInfo> type_and_size(const K& key) const;
    template <class K>
    Result<std::optional<ValueInfo>> try_type_and_size(const K& key) const;
    /// Removes a pair and returns its value; nothing if there was none. Errors: wrong_type; then the value is
    /// put back, unless there is a newer one by then. Cost: values that have to be decoded, and arrays, are
    /// copied once more than by get.
    template <class T = std::string, class K>
    std::optional<T> pop(const K& key) const;
    template <class T = std::string, class K>
    Result<std::optional<T>> try_pop(const K& key) const;
    /// The same into memory that is there already, as get_into(): false, or nothing, if there was no such
    /// pair.
    template <class T, class K>
    detail::Popped<T> pop_into(const K& key, T&& value) const;
    template <class T, class K>
    Result<detail::Popped<T>> try_pop_into(const K& key, T&& value) const;
    /// Removes a pair; says whether there was one. The value is not sent.
    template <class K>
    bool erase(const K& key) const;
    template <class K>
    Result<bool> try_erase(const K& key) const;

    // ---- times to live: with_ttl(). Each costs a message and its answer ----
    /// The pair that is there has this one, or none, from now on; says whether it is there. Errors: no_space.
    template <class K, class Number, class Unit>
    bool touch(const K& key, std::chrono::duration<Number, Unit> ttl) const;
    template <class K, class Number, class Unit>
    Result<bool> try_touch(const K& key, std::chrono::duration<Number, Unit> ttl) const;
    template <class K>
    bool clear_ttl(const K& key) const;
    template <class K>
    Result<bool> try_clear_ttl(const K& key) const;
    /// What is left of it; nothing if there is none. Errors: not_found.
    template <class K>
    std::optional<std::chrono::microseconds> time_to_live(const K& key) const;
    template <class K>
    Result<std::optional<std::chrono::microseconds>> try_time_to_live(const K& key) const;

    // ---- one key, atomically ----
    /// If the key's value is `expected`, of the same type and byte for byte, makes it `desired`; says whether
    /// it did. std::nullopt (or an empty optional) as `expected`: the key must be absent; as `desired`: the
    /// key is erased. Both together at most 1 MiB, else too_large. Errors: no_space.
    template <class K, class E, class D>
    bool compare_and_swap(const K& key, const E& expected, const D& desired) const;
    template <class K, class E, class D>
    Result<bool> try_compare_and_swap(const K& key, const E& expected, const D& desired) const;
    /// Adds to a number and returns what it was before. An absent key counts as `initial`, which is then also
    /// what is returned. N is std::int64_t, std::uint64_t or double, and the sum is an N; integers wrap
    /// around. Errors: wrong_type (the value is no number that an N can be; a float is no integer), no_space.
    template <Counter N = std::int64_t, class K, class D = N>
    N fetch_add(const K& key, D delta = 1, std::type_identity_t<N> initial = 0) const;
    template <Counter N = std::int64_t, class K, class D = N>
    Result<N> try_fetch_add(const K& key, D delta = 1, std::type_identity_t<N> initial = 0) const;
    /// Appends bytes to a value (absent counts as empty); returns the number of its bytes afterwards. At most
    /// 1 MiB at once, else too_large. Text to text, vectors to vectors of the same element, a user's type to
    /// itself, else wrong_type. Errors: no_space. Cost: the manager copies the whole value, old and new side
    /// by side in its pool.
    template <class K, class V>
    std::uint64_t append(const K& key, const V& value) const;
    template <class K, class V>
    Result<std::uint64_t> try_append(const K& key, const V& value) const;

    // ---- waiting ----
    /// The value of a key, as soon as there is one. After 24 hours it is timeout, whatever the deadline.
    /// Errors: timeout, wrong_type, busy (the manager has as many waiters as it takes). A timeout whose
    /// Error::manager_state is `answered` says that the key did not appear; `silent`: its manager did not
    /// answer, for which the client listens up to 20 ms longer, and nothing is known.
    /// Cost: one message and its answer, however long it waits.
    template <class T = std::string, class K>
    T wait_for(const K& key) const;
    template <class T = std::string, class K>
    Result<T> try_wait_for(const K& key) const;
    /// The same while there is the key `alive`, for which it looks every 250 ms; after that not_found.
    template <class T = std::string, class K, class L>
    T wait_for_while(const K& key, const L& alive) const;
    template <class T = std::string, class K, class L>
    Result<T> try_wait_for_while(const K& key, const L& alive) const;
    /// The same into memory that is there already, as get_into().
    template <class T, class K>
    detail::Received<T> wait_for_into(const K& key, T&& value) const;
    template <class T, class K>
    Result<detail::Received<T>> try_wait_for_into(const K& key, T&& value) const;
    /// Returns when the key has, or takes, this value (byte for byte, at most 1 MiB), whatever values it had
    /// before. Errors: timeout (also after 24 hours; names the type of another value there), busy, too_large.
    template <class K, class V>
    void wait_for_value(const K& key, const V& value) const;
    template <class K, class V>
    Result<void> try_wait_for_value(const K& key, const V& value) const;
    /// Waits until one of the keys is there: which one, as its number in the range, and its value. If several
    /// are there, it is any one of them; the waits for the others end. At most 256 keys, of any managers.
    /// Errors: those of wait_for: the first key for which it cannot be waited ends the call, so that one lost
    /// manager does (manager_lost), though other keys might come; timeout, if none has appeared;
    /// invalid_argument (no key, or too many). Cost: a message and its answer for each key, all at once, and
    /// another for each that is still waited for when one is there. A manager that does not answer then holds
    /// the call up for 0.1 s at the most.
    template <class T = std::string, std::ranges::input_range Keys = detail::BraceKeys>
    IndexedValue<T> wait_for_any(Keys&& keys) const;
    template <class T = std::string, std::ranges::input_range Keys = detail::BraceKeys>
    Result<IndexedValue<T>> try_wait_for_any(Keys&& keys) const;

    // ---- a copy on every manager ----
    /// Stores a pair on all managers, for values that many read: a copy reaches each along a tree, whatever
    /// the placement of this view. When it returns, all have it, and nobody reads an older one. The pair
    /// counts once in size() and iterations. What a broadcast has stored only broadcasts may change: other
    /// writes of the key are refused (invalid_argument). clear() removes the copies too; cleared while it is
    /// stored, or on its own manager only, it may leave copies that bget still finds: berase removes them.
    /// Errors: no_space, manager_lost, timeout, and frozen where a freeze comes in between, naming the
    /// manager; some may have the new value then. Cost: a few message times for each level of the tree (base
    /// 4).
    template <class K, class V>
    void bput(const K& key, const V& value) const;
    template <class K, class V>
    Result<void> try_bput(const K& key, const V& value) const;
    /// The value from the nearest copy: of a manager on this node if there is one, else of one chosen at
    /// random once per process; from others if that is lost, from the key's own where it has none. Errors:
    /// not_found, wrong_type.
    template <class T = std::string, class K>
    T bget(const K& key) const;
    template <class T = std::string, class K>
    Result<T> try_bget(const K& key) const;
    /// Removes a pair from all managers; says whether there was one.
    template <class K>
    bool berase(const K& key) const;
    template <class K>
    Result<bool> try_berase(const K& key) const;

    // ---- many keys ----
    //
    // Items are grouped by manager, packed into few messages, and several messages to several managers are
    // under way at once. Ranges may be any input ranges; of keys also braces: multi_get({"a", "b"}). The
    // outcome of item i stands at place i. A key that is in one batch twice has one of the two values
    // afterwards.

    /// The values of keys; nothing where there is no such key. Throws the first error that is no missing key.
    template <class T = std::string, std::ranges::input_range Keys = detail::BraceKeys>
    std::vector<std::optional<T>> multi_get(Keys&& keys) const;
    /// The same, with a status for each.
    template <class T = std::string, std::ranges::input_range Keys = detail::BraceKeys>
    std::vector<ItemResult<T>> try_multi_get(Keys&& keys) const;
    /// Stores pairs (std::pair, std::tuple, elements of a map). Throws the first error; the other pairs are
    /// stored all the same.
    template <std::ranges::input_range Pairs>
    void multi_put(Pairs&& pairs) const;
    template <std::ranges::input_range Pairs>
    std::vector<ItemStatus> try_multi_put(Pairs&& pairs) const;
    /// Removes pairs; returns how many there were. Throws the first error.
    template <std::ranges::input_range Keys = detail::BraceKeys>
    std::uint64_t multi_erase(Keys&& keys) const;
    /// The same with a status for each: not_found where there was none.
    template <std::ranges::input_range Keys = detail::BraceKeys>
    std::vector<ItemStatus> try_multi_erase(Keys&& keys) const;
    /// An object that puts are collected in, and stored by its commit(): <ddict/put_batch.h>. One that is not
    /// committed does nothing.
    Batch batch() const;
    Result<Batch> try_batch() const;
    /// Stores all pairs of a range that need not fit into memory at once. Throws, or returns, the first error
    /// when all others are stored. Every put of a pair, and the end, may take as long as any call: a view
    /// made by until() limits it as a whole. invalid_argument while this view collects a batch.
    template <std::ranges::input_range Pairs>
    void update(Pairs&& pairs) const;
    template <std::ranges::input_range Pairs>
    Result<void> try_update(Pairs&& pairs) const;
    /// From here to end_batch_put() the puts of this view are collected and sent as batches: as they fill,
    /// and at the end. Values above 4 KiB are sent alone, and at once, and so is each bput; of these up to 16
    /// are under way at once, while small ones are waited for only at the end. Errors of items come at the
    /// end, save those of a key that no key can be (empty, too long), which come at once; other calls are not
    /// affected, and may overtake what was collected. Until the end this view is for one thread; copies made
    /// meanwhile, and views made from it, collect into the same batch. One that is never ended is dropped
    /// with its view: what was not sent yet is not stored. Every put, and the end, may take as long as any
    /// call. invalid_argument: one has been started.
    void start_batch_put();
    Result<void> try_start_batch_put();
    /// Sends what is left and waits for all. Throws if any put has failed, saying how many and the first
    /// one's key; what succeeded stays. invalid_argument: none was started.
    void end_batch_put();
    /// The same, but tells of all failures, by key.
    Result<BatchReport> try_end_batch_put();

    // ---- operations that run while the caller does something else: <ddict/async.h> ----
    /// Begins to store a pair. The key, and values of up to 4 KiB, are copied; larger ones must stay as they
    /// are until the handle is done, and so must a temporary that a codec's encode() would make (too_large).
    template <class K, class V>
    Pending<void> put_async(const K& key, const V& value) const;
    /// Begins to read a value, always by message. The key is copied.
    template <class T = std::string, class K>
    Pending<T> get_async(const K& key) const;
    /// Begins to wait for a value, as wait_for(). The key is copied.
    template <class T = std::string, class K>
    Pending<T> wait_async(const K& key) const;
    /// Begins to remove a pair; its outcome says whether there was one. The key is copied.
    template <class K>
    Pending<bool> erase_async(const K& key) const;
    /// For an event loop: a descriptor, the library's, good until detach(), that is readable when operations
    /// of this thread may move along. Errors: not_attached, system.
    Result<int> async_descriptor() const;
    /// Moves them along for a millisecond at the most, and arms the descriptor. Returns when to call again at
    /// the latest. Also to be called after every other call of this thread while any operation is under way.
    Result<Clock::time_point> move_along() const;

    // ---- all keys ----
    /// The number of pairs. Not a snapshot while others write. Cost: a message to every manager.
    std::uint64_t size() const;
    Result<std::uint64_t> try_size() const;
    /// Removes all pairs. Not atomic: a put of another client at the same time may stay. Cost: a message to
    /// every manager, and its time to walk over its pairs.
    void clear() const;
    Result<void> try_clear() const;
    /// How many pairs there are whose keys are texts and begin with `prefix`; with an empty one, size(). The
    /// managers look; nothing else is sent. As in an iteration, a pair that is there during the whole call
    /// counts once, and one that comes or goes meanwhile once or not at all. Cost: a message to every manager
    /// for each 8192 pairs that it has, to all managers at once.
    std::uint64_t count_prefix(std::string_view prefix) const;
    Result<std::uint64_t> try_count_prefix(std::string_view prefix) const;
    /// Removes the pairs whose keys are texts and begin with `prefix`; returns how many it has removed. Each
    /// goes at once, but all together do not: every pair that is there during the whole call is gone when it
    /// returns, and one that comes meanwhile may stay. What a broadcast has stored stays (berase). Errors:
    /// invalid_argument (an empty prefix); after an error (in_doubt) some may be gone: call again. Cost: that
    /// of count_prefix.
    std::uint64_t erase_prefix(std::string_view prefix) const;
    Result<std::uint64_t> try_erase_prefix(std::string_view prefix) const;
    /// Lazy ranges over keys, values or pairs, in no particular order; page by page, with about 64 KiB at a
    /// time here and nothing kept at the managers, so that a loop may stop at any time. Every key that is
    /// there during the whole iteration is seen exactly once; one that comes or goes meanwhile is seen once
    /// or not at all. Only keys that begin with `prefix`, which the managers look for: a prefix is of texts.
    /// A key that is no K is wrong_type, and nothing is left out: keys<AnyKey>() gives keys of all types, and
    /// ScanOptions::type those of one. An error is thrown by begin() or by the increment; Cursor
    /// (<ddict/iteration.h>) is the form without exceptions. Every page may take as long as any call.
    template <class K = std::string>
    KeyRange<K> keys(std::string_view prefix = {}) const;
    template <class V = std::string>
    ValueRange<V> values(std::string_view prefix = {}) const;
    template <class K = std::string, class V = std::string>
    ItemRange<K, V> items(std::string_view prefix = {}) const;
    /// The same of the managers on this node only; empty if it has none.
    template <class K = std::string>
    KeyRange<K> local_keys(std::string_view prefix = {}) const;
    template <class V = std::string>
    ValueRange<V> local_values(std::string_view prefix = {}) const;
    template <class K = std::string, class V = std::string>
    ItemRange<K, V> local_items(std::string_view prefix = {}) const;
    /// The number of pairs on the managers of this node. Cost: a message to each of them.
    std::uint64_t local_size() const;
    Result<std::uint64_t> try_local_size() const;
    /// What the ranges are built on. Never fails itself: its next() tells.
    Cursor cursor(const ScanOptions& options = {}) const;
    /// All keys at once, without exceptions.
    template <class K = std::string>
    Result<std::vector<K>> try_keys(std::string_view prefix = {}) const;
    /// The same two of those managers that answer, with the names of the others. All are asked side by side;
    /// one that does not answer is waited for 2 s at the most. Errors: not_attached, dictionary_gone.
    Partial<std::uint64_t> partial_size() const;
    Result<Partial<std::uint64_t>> try_partial_size() const;
    template <class K = std::string>
    Partial<std::vector<K>> partial_keys(std::string_view prefix = {}) const;
    template <class K = std::string>
    Result<Partial<std::vector<K>>> try_partial_keys(std::string_view prefix = {}) const;

    // ---- where keys live ----
    /// Of the whole dictionary, also in a view of one manager; 0 when not attached. No message.
    std::uint32_t manager_count() const;
    /// The manager that owns a key in this view; 0 when not attached. A pure function: no message.
    template <class K>
    std::uint32_t which_manager(const K& key) const;
    /// The managers on this node, in order; empty if it has none, or when not attached.
    std::vector<std::uint32_t> local_managers() const;
    /// One of them, always the same in one process.
    std::optional<std::uint32_t> local_manager() const;
    /// That one, or if there is none, one of all, chosen at random once per process; 0 when not attached.
    std::uint32_t main_manager() const;
    /// The host name of a manager's node. invalid_argument if there is no such manager. Cost: none on a node
    /// with managers; elsewhere a message per some hundred managers, the first time.
    std::string manager_node(std::uint32_t manager) const;
    Result<std::string> try_manager_node(std::uint32_t manager) const;
    /// Those of all managers, by manager id.
    std::vector<std::string> manager_nodes() const;
    Result<std::vector<std::string>> try_manager_nodes() const;

    // ---- the state of things ----
    /// While a dictionary is frozen, all that would change it fails with frozen, on every client. Not atomic
    /// over managers: when it returns, all are frozen. An error leaves some so; call again. Cost, also of the
    /// two below: a message to every manager.
    void freeze() const;
    Result<void> try_freeze() const;
    /// Allows changes again. As for freeze(), an error leaves some managers frozen.
    void unfreeze() const;
    Result<void> try_unfreeze() const;
    /// Whether all managers of this view are frozen.
    bool is_frozen() const;
    Result<bool> try_is_frozen() const;
    /// A value of a frozen dictionary, where it lies: no message, no copy. Errors: not_found;
    /// invalid_argument if the dictionary is not frozen, or the key's manager is on another node; busy.
    template <class K>
    FrozenValue view_frozen(const K& key) const;
    template <class K>
    Result<FrozenValue> try_view_frozen(const K& key) const;
    /// Not_attached, with the reason, if this view can be used no more: its Dictionary was detached or
    /// destroyed, or this process is a child of the one that attached. No message.
    Result<void> check_attached() const;
    /// What every manager says of itself, by manager id; one that does not answer is an error. Cost, also of
    /// the next: a message to every manager.
    std::vector<ManagerStats> stats() const;
    Result<std::vector<ManagerStats>> try_stats() const;
    /// What those that answer say, as partial_size(): the others are named.
    Partial<std::vector<ManagerStats>> partial_stats() const;
    Result<Partial<std::vector<ManagerStats>>> try_partial_stats() const;
    /// The same of one manager. invalid_argument if there is no such manager.
    ManagerStats stats(std::uint32_t manager) const;
    Result<ManagerStats> try_stats(std::uint32_t manager) const;
    /// Asks every manager for a sign of life, and waits for each 2 s at the most. Fails only as a whole
    /// (not_attached); what is wrong with a manager stands in its entry. Cost: a message to every manager, to
    /// 64 at once, and a second one after the other, which is timed; each 64 have their share of the time, so
    /// that some that hang do not use up that of the others.
    std::vector<ManagerHealth> health() const;
    Result<std::vector<ManagerHealth>> try_health() const;
    /// What this process has done with the dictionary since it attached, or since profile_reset(): all views
    /// and threads together. No message.
    ClientProfile profile() const;
    /// Begins to count anew, for all views and threads. No message.
    void profile_reset() const;

    // ---- the same calls on bytes; those above are made of these. A key given as bytes alone is a text ----

    Result<void> put_bytes(KeyBytes key, Bytes value, std::uint16_t value_type = type_bytes) const;
    Result<bool> put_bytes_if(PutCondition condition, KeyBytes key, Bytes value,
                              std::uint16_t value_type = type_bytes) const;
    /// The same of a value in at most 16 parts, which are sent from where they lie if they are above 16 KiB.
    Result<void> put_parts(KeyBytes key, Parts parts, std::uint16_t value_type = type_bytes) const;
    Result<bool> put_parts_if(PutCondition condition, KeyBytes key, Parts parts,
                              std::uint16_t value_type = type_bytes) const;
    Result<void> get_bytes(KeyBytes key, ValueSink& sink) const;
    /// The same, and never waits for a key.
    Result<void> find_bytes(KeyBytes key, ValueSink& sink) const;
    Result<bool> contains_bytes(KeyBytes key) const;
    Result<std::optional<ValueInfo>> type_and_size_bytes(KeyBytes key) const;
    /// not_found if there is no such key.
    Result<void> pop_bytes(KeyBytes key, ValueSink& sink) const;
    Result<bool> erase_bytes(KeyBytes key) const;
    Result<bool> swap_bytes(KeyBytes key, std::optional<Bytes> expected, std::optional<Bytes> desired,
                            std::uint16_t value_type = type_bytes) const;
    /// `value_type` tells the kind of number; its 64 bits as they are in memory.
    Result<std::uint64_t> add_bits(KeyBytes key, std::uint16_t value_type, std::uint64_t delta,
                                   std::uint64_t initial) const;
    Result<std::uint64_t> append_bytes(KeyBytes key, Bytes value,
                                       std::uint16_t value_type = type_bytes) const;
    Result<bool> touch_bytes(KeyBytes key, std::optional<std::chrono::nanoseconds> ttl) const;
    Result<std::optional<std::chrono::microseconds>> time_to_live_bytes(KeyBytes key) const;
    Result<void> wait_for_bytes(KeyBytes key, ValueSink& sink) const;
    Result<void> wait_for_while_bytes(KeyBytes key, KeyBytes alive, ValueSink& sink) const;
    Result<void> wait_for_value_bytes(KeyBytes key, Bytes value, std::uint16_t value_type = type_bytes) const;
    /// Which key it is.
    Result<std::size_t> wait_for_any_bytes(std::span<const KeyBytes> keys, ValueSink& sink) const;
    Result<void> broadcast_put_bytes(KeyBytes key, Bytes value, std::uint16_t value_type = type_bytes) const;
    Result<void> broadcast_put_parts(KeyBytes key, Parts parts, std::uint16_t value_type = type_bytes) const;
    Result<void> broadcast_get_bytes(KeyBytes key, ValueSink& sink) const;
    Result<bool> broadcast_erase_bytes(KeyBytes key) const;
    Result<FrozenValue> view_frozen_bytes(KeyBytes key) const;
    /// `sink` gets every item's outcome. The result is the first error that is not not_found, in full.
    Result<void> multi_get_bytes(std::span<const KeyBytes> keys, ItemSink& sink) const;
    /// `statuses` gets every item's outcome, or is empty. The result is the first error in full.
    Result<void> multi_put_bytes(std::span<const PutItem> pairs, std::span<ItemStatus> statuses) const;
    /// How many keys there were.
    Result<std::uint64_t> multi_erase_bytes(std::span<const KeyBytes> keys,
                                            std::span<ItemStatus> statuses) const;
    /// Of keys of the prefix's type.
    Result<std::uint64_t> count_prefix_bytes(KeyBytes prefix) const;
    Result<std::uint64_t> erase_prefix_bytes(KeyBytes prefix) const;
    /// `value` is only the caller's for the call (`temporary`), or stays until the operation is done.
    detail::OperationHandle start_put(KeyBytes key, Bytes value, std::uint16_t value_type,
                                      bool temporary = false) const;
    /// As put_parts. What is above 16 KiB stays until the operation is done, and so do the span's elements.
    detail::OperationHandle start_put_parts(KeyBytes key, Parts parts, std::uint16_t value_type) const;
    detail::OperationHandle start_get(KeyBytes key, const detail::SinkType& sink) const;
    detail::OperationHandle start_wait(KeyBytes key, const detail::SinkType& sink) const;
    detail::OperationHandle start_erase(KeyBytes key) const;
    std::uint32_t manager_of_bytes(KeyBytes key) const;
    /// Of what the caller finds wrong with a value that has come: names the operation, the key, its manager
    /// and that one's node. After a bget, which any manager may have answered, no manager.
    Error name_error(Error error, Operation operation, KeyBytes key) const;

  protected:
    View(detail::Shared<client::Attachment> attachment, std::chrono::nanoseconds timeout);
    const detail::Shared<client::Attachment>& attachment() const { return attachment_; }

  private:
    struct Calls;
    static constexpr std::uint32_t any_manager = UINT32_MAX;
    static constexpr std::uint32_t any_checkpoint = UINT32_MAX;

    template <class T, class K, class F>
    Result<T> received(Operation operation, const K& key, F&& receive) const;
    /// What may turn out to be no T only when all of it has come is received as bytes, to be put back then.
    template <class T>
    Result<T> popped(KeyBytes key) const;
    template <class T>
    Result<detail::Popped<T>> popped_into(KeyBytes key, T& value) const;
    template <class T, class K, class F>
    Result<detail::Received<T>> received_into(Operation operation, const K& key, T& value, F&& receive) const;
    /// Undoes a pop whose value is not what was asked for; returns `why`, completed.
    Error put_back(KeyBytes key, Bytes value, std::uint16_t value_type, const Error& why) const;
    template <class K>
    Error name_error_of(const K& key, const Error& error, Operation operation) const;
    std::vector<ItemStatus> statuses_of_puts(std::span<const PutItem> pairs) const;
    std::vector<ItemStatus> statuses_of_erases(std::span<const KeyBytes> keys) const;
    View with_timeout(std::chrono::nanoseconds timeout) const;
    View with_ttl_of(std::chrono::nanoseconds ttl) const;
    /// Whose calls have one deadline together, however many they are.
    View for_one_call() const;
    template <class K>
    Result<Partial<std::vector<K>>> all_keys(const ScanOptions& options) const;
    std::vector<std::uint32_t> managers() const;
    std::vector<std::uint32_t> local_of_view() const;
    detail::Shared<client::Attachment> attachment_;
    detail::TimeoutBudget budget_;
    std::uint32_t manager_ = any_manager;
    std::uint32_t checkpoint_ = any_checkpoint;  // any: the attachment's
    std::uint16_t flags_ = 0;                    // of its requests
    std::uint64_t ttl_ = 0;                      // of what it stores: microseconds; 0: none
    detail::Shared<const Placement> placement_;
    bool places_by_number_ = false;            // placement_ gives the number of a manager, no hash
    bool waits_for_space_ = false;             // see when_space()
    detail::Shared<client::OpenBatch> batch_;  // while one is collected
};

}  // namespace ddict

#include <ddict/put_batch.h>
#include <ddict/view_many_keys.h>  // bodies
#include <ddict/view_one_key.h>
