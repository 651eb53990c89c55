// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A batch on its way: items go in one by one, are packed into a message for each manager, messages leave when
// they are full, many are under way at once, and each item's outcome comes out. A message is filled up to
// what travels in one piece with its header, which is the fastest way through the transport; items that do
// not fit into one go as operations of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include <ddict/batch.h>

#include "libclient/attachment.h"
#include "libclient/batch_lane.h"

namespace ddict::client {

/// Who is told how items fared.
class BatchItems {
  public:
    /// Once for each item, in any order. `error` is null on success, and for a missing key.
    virtual void done(std::size_t index, KeyBytes key, const ItemStatus& status, const Error* error) = 0;

  protected:
    ~BatchItems() = default;
};

/// At which checkpoint calls are made, how they behave there (wire::checkpoint_flags), and how long what they
/// store is to live: microseconds, 0: until it is removed.
struct CallsAt {
    std::uint32_t checkpoint = 0;
    std::uint16_t flags = 0;
    std::uint64_t ttl = 0;
};

/// Belongs to the thread that made it.
class BatchRun {
  public:
    /// `verb`: batch_get, batch_put or batch_erase. `values` receives what batch_get brings. `budget` is of
    /// each add(), with the message that it sends, and of finish() with all that is left.
    BatchRun(detail::Shared<Attachment> attachment, wire::Verb verb, const detail::TimeoutBudget& budget,
             const CallsAt& at, BatchItems& items, ItemSink* values = nullptr);
    /// Waits for what is under way.
    ~BatchRun();
    BatchRun(const BatchRun&) = delete;
    BatchRun& operator=(const BatchRun&) = delete;

    /// From now on puts of values up to 16 KiB share messages of up to 64 KiB, which is faster where many of
    /// them come one after the other for one manager: the manager copies them once more, but answers once.
    void use_large_messages() { uses_large_ = true; }

    bool belongs_to_caller() const { return std::this_thread::get_id() == thread_; }

    /// Adds an item; may send messages and wait until fewer are under way. `key` and `value` are the
    /// caller's: of an item that is small enough for a message they are copied, otherwise they must stay
    /// until finish(), or until wait_for_large(). The key is checked already.
    void add(std::size_t index, ShardId shard, KeyBytes key, Bytes value = {}, std::uint16_t value_type = 0,
             const KeyPlacement& placement = {});
    /// Stores a pair on all managers; `manager` is the root of its tree. Key and value as above.
    void add_broadcast(std::size_t index, ShardId shard, KeyBytes key, Bytes value, std::uint16_t value_type);
    void wait_for_large();
    /// Sends what is left, and waits until every item is done.
    void finish();
    /// What it changes is a part of restoring a dictionary, also of one that is read-only.
    void set_of_restore() noexcept { is_of_restore_ = true; }

  private:
    using Lane = std::unique_ptr<BatchLane>;
    /// Messages that are being filled.
    struct OpenLanes {
        std::unordered_map<ShardId, Lane> lanes;
        std::pair<ShardId, BatchLane*> last{{}, nullptr};  // most batches stay with one for a while
        std::size_t lanes_max = 0;
        bool is_large = false;
    };

    Result<void> find_session();
    bool fits(const BatchLane& lane, KeyBytes key, Bytes value, PlacedBy by) const;
    Lane take_lane(ShardId shard, bool is_large = false);
    BatchLane& open_lane(OpenLanes& open, ShardId shard, KeyBytes key, Bytes value, PlacedBy by);
    void send(Lane lane);
    void send_open(OpenLanes& open, ShardId shard);
    void send_alone(wire::Verb verb, std::size_t index, ShardId shard, KeyBytes key, Bytes value = {},
                    std::uint16_t value_type = 0, const KeyPlacement& placement = {});
    void begin(Lane lane, Request request);
    bool reap();
    void await_one();
    void complete(Lane lane);
    void give_up(const Error& why);
    void tell_outcome(BatchLane& lane);
    void complete_alone(BatchLane& lane);
    void complete_items(BatchLane& lane);
    template <class F>
    void for_each_key(const BatchLane& lane, F f) const;
    void tell(std::size_t index, ShardId shard, KeyBytes key, std::uint16_t status);
    void tell_error(std::size_t index, KeyBytes key, const Error& error);
    Error name_item(Error error, ShardId shard, KeyBytes key) const;

    detail::Shared<Attachment> attachment_;
    wire::Verb verb_;
    detail::TimeoutBudget budget_;
    CallsAt at_;
    bool is_of_restore_ = false;
    BatchItems& items_;
    ItemSink* values_;
    std::thread::id thread_ = std::this_thread::get_id();
    Session* session_ = nullptr;  // of the thread; null from the first call that finds it gone
    OpenLanes open_;
    OpenLanes open_large_;
    bool uses_large_ = false;
    std::vector<Lane> running_;
    std::size_t alone_running_ = 0;
    std::size_t large_running_ = 0;
    std::size_t borrowing_running_ = 0;
};

}  // namespace ddict::client
