// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// broadcast_put broadcast_erase. The managers form a tree for each key: the key's own manager is the root and
// gives each broadcast a version; the others follow in the order of their ids, counted from the root, and
// each has the next branching of those not taken yet for children. Each stores its copy, passes it on, and
// answers when its children have answered. So a copy is either of the newest version that has come by, or
// there is none; and when the root answers, nobody has an older one.
#pragma once

#include <cstdint>
#include <vector>

#include "base/slot_table.h"
#include "cluster/directory.h"
#include "manager/call.h"
#include "manager/relay.h"
#include "manager/replies.h"
#include "manager/waiters.h"
#include "store/store.h"

namespace ddict::manager {

class Broadcaster {
  public:
    /// All must outlive it.
    Broadcaster(store::Store& store, Replies& replies, Waiters& waiters)
        : store_(store), replies_(replies), waiters_(waiters) {}

    /// Where the other managers are, and how to ask them. Without both there are no broadcasts. Both must
    /// outlive it.
    void set_directory(const DirectoryView* directory, Relay* relay) {
        directory_ = directory;
        relay_ = relay;
    }

    void put(const Call& call);
    /// The value of a put has come as a payload.
    void finish_put(Call call, shm::Block* block);
    void erase(const Call& call);
    /// A child has answered, or is lost.
    void on_relayed(std::uint64_t tag, const Result<Reply>& outcome);

    std::size_t under_way() const noexcept { return broadcasts_.size(); }

  private:
    /// One that children have been asked to pass on.
    struct Broadcast {
        wire::RequestHeader request;
        OwnedKey key;
        const shm::Block* pinned = nullptr;       // what is passed on; null: the key is erased
        std::uint32_t children = 0;               // that have not answered yet
        Errc code{};                              // the first error
        std::uint32_t failed_manager = 0;         // whose it is
        std::vector<wire::RequestHeader> joined;  // older broadcasts of the key, which end with this one
    };
    /// Where this manager's children in the tree of a key are: positions counted from the root.
    struct Children {
        std::uint64_t root = 0;
        std::uint64_t first = 0;
        std::uint64_t end = 0;
        std::uint64_t levels = 0;  // of the tree below this manager
    };

    ShardId own_shard() const noexcept { return ShardId{store_.pool().identity().manager}; }
    store::Change change_of_broadcast(const Call& call, store::ChangeKind kind) const;
    bool admits(const Call& call);
    bool is_overtaken(const Call& call) const;
    void join_newer(const Call& call, std::uint64_t version);
    void fail_to_store(const Call& call, Errc code);
    void start(const Call& call, bool stored, Errc code);
    void relay_to(const Children& children, const Broadcast& broadcast, std::uint64_t version,
                  std::uint32_t tag);
    Children children_of(std::uint64_t hash) const;
    void set_under_way(const wire::RequestHeader& request, const store::BroadcastNote& note);
    bool goes_on(const Call& call);
    void end(const wire::RequestHeader& request, Errc code, std::uint32_t failed_manager);

    store::Store& store_;
    Replies& replies_;
    Waiters& waiters_;
    const DirectoryView* directory_ = nullptr;
    Relay* relay_ = nullptr;
    SlotTable<Broadcast> broadcasts_;
};

}  // namespace ddict::manager
