// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the parts of View's implementation share.
#pragma once

#include <functional>

#include <ddict/view.h>

#include "base/hash.h"
#include "cluster/placement.h"
#include "libclient/attachment.h"
#include "libclient/open_batch.h"

namespace ddict {

struct View::Calls {
    static Error no_dictionary(Operation operation) {
        return Error(Errc::not_attached,
                     "this view is of no dictionary, or of one that was detached or destroyed here")
            .set_operation(operation);
    }

    /// Whether this view can be used at all, and for this key; errors name what can be named.
    static Result<void> check(const View& view, Operation operation, KeyBytes key);
    /// Whether parts are sent in one piece: small ones, and what is collected, are copied anyway.
    static bool sends_whole(const View& view, std::span<const Bytes> parts);
    static Result<void> check_parts(KeyBytes key, std::span<const Bytes> parts);
    static Error key_error(Operation operation, KeyBytes key);
    static bool is_good_key(KeyBytes key) { return !key.empty() && key.size() <= limits::key_bytes_max; }

    /// Whether keys live where the view says, and not where their hashes do.
    static bool places_by_hand(const View& view) {
        return view.manager_ != any_manager || view.placement_ != nullptr;
    }
    /// Where the view says. Requires places_by_hand().
    static KeyPlacement placement_by_hand(const View& view, KeyBytes key);
    static KeyPlacement placement(const View& view, KeyBytes key) {
        return places_by_hand(view) ? placement_by_hand(view, key) : KeyPlacement{};
    }
    /// The shard of a key whose hash is known.
    static ShardId owner(const View& view, KeyBytes key, std::uint64_t hash) {
        if (view.manager_ != any_manager) return ShardId{view.manager_};
        const std::uint32_t managers = view.attachment_->manager_count();
        if (view.placement_ == nullptr) return ddict::shard_of(hash, managers);
        return ddict::shard_of(hash, placement_by_hand(view, key), managers);
    }
    static ShardId owner(const View& view, KeyBytes key) {
        if (view.manager_ != any_manager) return ShardId{view.manager_};
        if (view.placement_ == nullptr && view.attachment_->manager_count() == 1) return ShardId{0};
        return owner(view, key, hash_of(key));
    }
    /// The shard of a key whose placement is known.
    static ShardId owner(const View& view, KeyBytes key, const KeyPlacement& placement) {
        if (!placement.is_by_hand()) return owner(view, key);
        return ddict::shard_of(0, placement, view.attachment_->manager_count());
    }
    /// The checkpoint of a request, and how it behaves there.
    static void set_checkpoint(const View& view, Request& request) {
        request.checkpoint = view.checkpoint_;
        if (view.flags_ != 0 && wire::rule_of(request.verb).at_checkpoint) request.flags |= view.flags_;
        if (view.ttl_ != 0 && wire::rule_of(request.verb).takes_ttl) request.stored_as.ttl = view.ttl_;
    }
    /// The shard of a request on request.key, and what the pair is to remember of that.
    static void place(const View& view, Request& request) {
        set_checkpoint(view, request);
        if (places_by_hand(view)) return place_by_hand(view, request);
        request.shard = owner(view, request.key);
    }
    static void place_by_hand(const View& view, Request& request);

    /// The checkpoint of the view's calls. Requires that it is of a dictionary.
    static std::uint32_t checkpoint(const View& view) { return view.checkpoint_id(); }

    static client::CallsAt at(const View& view) {
        return {.checkpoint = checkpoint(view), .flags = view.flags_, .ttl = view.ttl_};
    }

    /// Sends a request that is complete.
    static Result<Reply> send(const View& view, Request& request) {
        if (view.waits_for_space_) [[unlikely]]
            return send_when_space(view, request);
        return view.attachment_->call(request, view.budget_);
    }
    /// The same; again and again while it is refused with no_space.
    static Result<Reply> send_when_space(const View& view, Request& request);
    static Result<void> multi_put_when_space(const View& view, std::span<const PutItem> pairs,
                                             std::span<ItemStatus> statuses);
    /// Sends a request on request.key to the manager that owns it.
    static Result<Reply> call(const View& view, Request&& request);
    /// The same to the manager of request.shard.
    static Result<Reply> call_manager(const View& view, Request& request);
    static Result<void> get(const View& view, KeyBytes key, ValueSink& sink, std::uint16_t flags);
    static Result<void> get_from(const View& view, ShardId shard, KeyBytes key, std::uint64_t hash,
                                 ValueSink& sink);
    static Result<Reply> broadcast(const View& view, Request request);
    /// A read from this node's memory if it can be had there: true, then `outcome` is its.
    static bool read_here(const View& view, Operation operation, ShardId shard, KeyBytes key,
                          std::uint64_t hash, ValueSink& sink, Result<void>& outcome);
    static bool read_untraced(const View& view, Operation operation, ShardId shard, KeyBytes key,
                              std::uint64_t hash, ValueSink& sink, Result<void>& outcome);
    /// The same, and a line in the trace.
    static bool read_traced(const View& view, Operation operation, ShardId shard, KeyBytes key,
                            std::uint64_t hash, ValueSink& sink, Result<void>& outcome);
    static void trace_read(const View& view, const client::Trace& trace, Operation operation, ShardId shard,
                           KeyBytes key, Time started, std::uint64_t bytes, const Result<void>& outcome);
    /// Whether there is such a key; then `info` is of its value.
    static Result<bool> look_up(const View& view, KeyBytes key, ValueInfo& info);
    using OnReply = std::function<void(std::uint32_t, const Reply&, Bytes)>;
    /// A manager knows only over what it hears this client: adds what this side knows, and why it is the
    /// network within a node.
    static void complete_transport(const View& view, ManagerStats& stats);
    static Result<void> ask_all(const View& view, const std::vector<std::uint32_t>& managers,
                                const Request& request, const OnReply& on_reply);
    /// How many keys these managers have.
    static Result<std::uint64_t> keys_of(const View& view, const std::vector<std::uint32_t>& managers);
    /// The sum of what all managers of the view count in request.verb, which each does a part at a time.
    static Result<std::uint64_t> sum_of_parts(const View& view, wire::Verb verb, KeyBytes prefix);
    static Result<std::vector<MissingManager>> ask_answering(const View& view,
                                                             const std::vector<std::uint32_t>& managers,
                                                             const Request& request, const OnReply& on_reply);
    template <class Ask>
    static void get_here(const View& view, std::span<const KeyBytes> keys, ItemSink& sink,
                         client::BatchItems& items, Ask ask);
    /// Whether it collects a batch. The batch may have been ended through a copy.
    static bool collects(const View& view) { return view.batch_ != nullptr && !view.batch_->ended(); }
    /// Puts a put, or a put on all managers, into the batch that the view collects.
    static Result<void> collect(const View& view, wire::Verb verb, KeyBytes key, Bytes value,
                                std::uint16_t value_type);
    /// The root of the key's tree of managers, which does not depend on the view.
    static ShardId broadcast_root(const View& view, KeyBytes key) {
        return ddict::shard_of(hash_of(key), view.manager_count());
    }
    /// Begins a request on request.key.
    static detail::OperationHandle start(const View& view, Request request, const detail::SinkType* sink,
                                         bool temporary_value);
};

}  // namespace ddict
