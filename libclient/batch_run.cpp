// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "libclient/batch_run.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/assert.h"
#include "base/value_buffer.h"
#include "rpc/reply_errors.h"

namespace ddict::client {
namespace {

using std::chrono::steady_clock;
using wire::Verb;

constexpr std::size_t running_max = 64;  // messages under way at once
// Broadcasts under way at once: each manager takes so many of 64 clients (limits::broadcasts_in_flight_max).
constexpr std::size_t broadcasts_running_max = 16;
constexpr std::size_t open_max = 256;  // messages being filled at once
// Messages of 64 KiB at once. A manager has memory apart from its pool for some thousands of them.
constexpr std::size_t open_large_max = 32;
constexpr std::size_t running_large_max = 8;
// A larger value is faster alone: it is copied once, into the pool.
constexpr std::size_t shared_value_bytes_max = std::size_t{16} << 10;
constexpr std::size_t spare_lanes_max = 64;  // kept for the next batch of the thread

Verb single(Verb batch) {
    return batch == Verb::batch_get ? Verb::get : batch == Verb::batch_put ? Verb::put : Verb::erase;
}

}  // namespace

BatchRun::BatchRun(detail::Shared<Attachment> attachment, Verb verb, const detail::TimeoutBudget& budget,
                   const CallsAt& at, BatchItems& items, ItemSink* values)
    : attachment_(std::move(attachment)),
      verb_(verb),
      budget_(budget),
      at_(at),
      items_(items),
      values_(values) {
    open_.lanes_max = open_max;
    open_large_.lanes_max = open_large_max;
    open_large_.is_large = true;
}

BatchRun::~BatchRun() {
    if (!belongs_to_caller() || attachment_->existing_session() == nullptr) {
        // What is still under way is in the hands of a session that this thread must not touch.
        for (Lane& lane : running_) {
            if (!lane->flight.settled()) static_cast<void>(lane.release());
        }
        return;
    }
    for (const Lane& lane : running_) {
        while (!lane->flight.settled() && !session_->finished(lane->flight))
            session_->progress(Time::max());
    }
}

/// Between two calls it may end: the dictionary was detached, or this is a child of fork().
Result<void> BatchRun::find_session() {
    const Result<Session*> session = attachment_->session();
    session_ = session ? *session : nullptr;
    if (!session) return session.error();
    return {};
}

bool BatchRun::fits(const BatchLane& lane, KeyBytes key, Bytes value, PlacedBy by) const {
    const std::size_t bytes = verb_ == Verb::batch_put ? wire::packed_pair_bytes(key.size(), value.size(), by)
                                                       : wire::packed_key_bytes(key.size());
    return bytes <= lane.writer.left();
}

BatchRun::Lane BatchRun::take_lane(ShardId shard, bool is_large) {
    auto& spare = session_->spare_lanes();
    Lane lane;
    if (spare.empty()) {
        lane = std::make_unique<BatchLane>();
    } else {
        lane = std::move(spare.back());
        spare.pop_back();
    }
    lane->open(shard, is_large);
    return lane;
}

/// The message for a manager that has space for this item.
BatchLane& BatchRun::open_lane(OpenLanes& open, ShardId shard, KeyBytes key, Bytes value, PlacedBy by) {
    if (open.last.second != nullptr && open.last.first == shard && fits(*open.last.second, key, value, by))
        return *open.last.second;
    if (const auto found = open.lanes.find(shard); found != open.lanes.end()) {
        if (!fits(*found->second, key, value, by)) send_open(open, shard);
    } else if (open.lanes.size() >= open.lanes_max) {
        send_open(open, open.lanes.begin()->first);
    }
    Lane& lane = open.lanes[shard];
    if (lane == nullptr) lane = take_lane(shard, open.is_large);
    open.last = {shard, lane.get()};
    return *lane;
}

void BatchRun::add(std::size_t index, ShardId shard, KeyBytes key, Bytes value, std::uint16_t value_type,
                   const KeyPlacement& placement) {
    if (const Result<void> found = find_session(); !found)
        return tell_error(index, key, name_item(found.error(), shard, key));
    // First the value alone: a size that makes no sense must not become a small one by adding to it.
    const bool is_small =
        value.size() <= limits::inline_value_bytes_max &&
        wire::packed_pair_bytes(key.size(), value.size(), placement.by) <= limits::inline_value_bytes_max;
    if (!is_small && (!uses_large_ || value.size() > shared_value_bytes_max))
        return send_alone(single(verb_), index, shard, key, value, value_type, placement);
    BatchLane& lane = open_lane(is_small ? open_ : open_large_, shard, key, value, placement.by);
    const bool written =
        verb_ == Verb::batch_put ? lane.writer.pair(key, value_type, value, placement) : lane.writer.key(key);
    DDICT_ASSERT(written, "an item does not fit into an empty message");
    lane.indices.push_back(index);
}

void BatchRun::add_broadcast(std::size_t index, ShardId shard, KeyBytes key, Bytes value,
                             std::uint16_t value_type) {
    if (const Result<void> found = find_session(); !found)
        return tell_error(index, key, name_item(found.error(), shard, key));
    send_alone(Verb::broadcast_put, index, shard, key, value, value_type);
}

void BatchRun::send_open(OpenLanes& open, ShardId shard) {
    const auto found = open.lanes.find(shard);
    Lane lane = std::move(found->second);
    open.lanes.erase(found);
    open.last.second = nullptr;
    send(std::move(lane));
}

void BatchRun::send(Lane lane) {
    Request request;
    request.verb = verb_;
    request.shard = lane->shard;
    request.value = lane->writer.written();
    request.argument = lane->indices.size();
    request.sink = &lane->page;
    begin(std::move(lane), request);
}

/// Key and value are copied if they fit.
void BatchRun::send_alone(Verb verb, std::size_t index, ShardId shard, KeyBytes key, Bytes value,
                          std::uint16_t value_type, const KeyPlacement& placement) {
    Lane lane = take_lane(shard);
    lane->alone = true;
    lane->borrows = value.size() > lane->buffer.size() || key.size() + value.size() > lane->buffer.size();
    if (!lane->borrows) {
        const auto value_begin = std::copy_n(key.data(), key.size(), lane->buffer.begin());
        std::copy(value.begin(), value.end(), value_begin);
        const Bytes buffer(lane->buffer);
        value = buffer.subspan(key.size(), value.size());
        key = {buffer.first(key.size()), key.type()};
    }
    lane->indices.push_back(index);
    lane->key = key;
    lane->value.items = values_;
    lane->value.index = index;
    Request request;
    request.verb = verb;
    request.shard = shard;
    request.key = key;
    request.value = value;
    request.value_type = value_type;
    request.sink = values_ == nullptr ? nullptr : &lane->value;
    request.stored_as.placement = placement;
    begin(std::move(lane), request);
}

void BatchRun::begin(Lane lane, Request request) {
    request.checkpoint = at_.checkpoint;
    if (wire::rule_of(request.verb).at_checkpoint) request.flags |= at_.flags;
    if (wire::rule_of(request.verb).takes_ttl) request.stored_as.ttl = at_.ttl;
    if (request.verb == Verb::get) request.flags |= wire::at_once;  // as the items of a batch
    request.is_of_restore = is_of_restore_;
    const Time deadline = budget_.deadline(steady_clock::now());  // of the wait for others to end too
    const bool is_broadcast = request.verb == Verb::broadcast_put;
    const auto is_full = [&] {
        return running_.size() >= running_max || (is_broadcast && alone_running_ >= broadcasts_running_max) ||
               (lane->is_large && large_running_ >= running_large_max);
    };
    while (is_full())
        await_one();
    const Time now = steady_clock::now();
    if (const Result<void> ready = attachment_->prepare(*session_, request, now, deadline); !ready) {
        lane->flight.outcome = ready.error();
        return complete(std::move(lane));
    }
    session_->start(lane->flight, request, now, deadline);
    if (lane->alone) ++alone_running_;
    if (lane->is_large) ++large_running_;
    if (lane->borrows) ++borrowing_running_;
    running_.push_back(std::move(lane));
}

/// Takes what is done out; says whether anything was.
bool BatchRun::reap() {
    bool any = false;
    for (std::size_t i = 0; i < running_.size();) {
        if (!session_->finished(running_[i]->flight)) {
            ++i;
            continue;
        }
        any = true;
        Lane lane = std::exchange(running_[i], std::move(running_.back()));
        running_.pop_back();
        if (lane->alone) --alone_running_;
        if (lane->is_large) --large_running_;
        if (lane->borrows) --borrowing_running_;
        complete(std::move(lane));  // may begin others
    }
    return any;
}

void BatchRun::await_one() {
    if (!reap()) session_->progress(Time::max());
}

void BatchRun::wait_for_large() {
    while (borrowing_running_ > 0)
        await_one();
}

void BatchRun::finish() {
    if (open_.lanes.empty() && open_large_.lanes.empty() && running_.empty()) return;
    if (const Result<void> found = find_session(); !found) return give_up(found.error());
    budget_.until = budget_.deadline(steady_clock::now());
    for (OpenLanes* open : {&open_, &open_large_}) {
        while (!open->lanes.empty())
            send_open(*open, open->lanes.begin()->first);
    }
    while (!running_.empty())
        await_one();
}

/// Without a session. When it ended it has settled what was under way; only in a child of fork() there is
/// more: the parent's, whose memory must stay as it is.
void BatchRun::give_up(const Error& why) {
    for (OpenLanes* open : {&open_, &open_large_}) {
        open->last.second = nullptr;
        for (auto& [shard, lane] : open->lanes) {
            lane->flight.outcome = why;
            tell_outcome(*lane);
        }
        open->lanes.clear();
    }
    for (Lane& lane : running_) {
        const bool of_parent = !lane->flight.settled();
        if (of_parent) {
            Error error = why;
            error.in_doubt = wire::is_change(lane->flight.verb);
            lane->flight.outcome = error;
        }
        tell_outcome(*lane);
        if (of_parent) static_cast<void>(lane.release());
    }
    running_.clear();
}

/// Calls f(index, key) for each item of a message.
template <class F>
void BatchRun::for_each_key(const BatchLane& lane, F f) const {
    wire::ItemReader in(lane.writer.written());
    for (const std::size_t index : lane.indices) {
        KeyBytes key;
        if (verb_ == Verb::batch_put) {
            wire::PackedPair pair;
            in.pair(pair);
            key = pair.key;
        } else {
            in.key(key);
        }
        f(index, key);
    }
}

void BatchRun::complete(Lane lane) {
    tell_outcome(*lane);
    auto& spare = session_->spare_lanes();
    if (spare.size() < spare_lanes_max) spare.push_back(std::move(lane));
}

void BatchRun::tell_outcome(BatchLane& lane) {
    const Result<Reply>& outcome = lane.flight.outcome;
    if (lane.alone) {
        complete_alone(lane);
    } else if (outcome) {
        complete_items(lane);
    } else {
        for_each_key(lane, [&](std::size_t index, KeyBytes key) {
            tell_error(index, key, name_item(outcome.error(), lane.shard, key));
        });
    }
}

void BatchRun::complete_alone(BatchLane& lane) {
    const Result<Reply>& outcome = lane.flight.outcome;
    const std::size_t index = lane.indices.front();
    if (!outcome && outcome.error().code != Errc::not_found)
        return tell_error(index, lane.key, name_item(outcome.error(), lane.shard, lane.key));
    tell(index, lane.shard, lane.key, outcome ? 0 : static_cast<std::uint16_t>(Errc::not_found));
}

void BatchRun::complete_items(BatchLane& lane) {
    wire::ItemReader results(lane.page.page());
    bool damaged = false;
    for_each_key(lane, [&](std::size_t index, KeyBytes key) {
        wire::PackedResult result;
        damaged =
            damaged || !(verb_ == Verb::batch_get ? results.result(result) : results.status(result.status));
        const bool ask_alone = verb_ == Verb::batch_get && result.status == wire::status_ask_alone;
        if (damaged || (result.status > errc_last && !ask_alone)) {
            Error error(Errc::protocol, "the results of a batch that it sent are malformed");
            error.set_state(ManagerState::answered).in_doubt = wire::is_change(verb_);
            return tell_error(index, key, name_item(error, lane.shard, key));
        }
        // Too large for the results. Its key is in a message that ends.
        if (ask_alone) return send_alone(Verb::get, index, lane.shard, key);
        if (verb_ == Verb::batch_get && result.status == 0) {
            const std::size_t bytes = result.value.size();
            const Result<MutableBytes> buffer =
                buffer_from(bytes, [&] { return values_->prepare(index, bytes, result.value_type); });
            if (!buffer) return tell_error(index, key, name_item(buffer.error(), lane.shard, key));
            std::copy(result.value.begin(), result.value.end(), buffer->begin());
        }
        tell(index, lane.shard, key, result.status);
    });
}

void BatchRun::tell(std::size_t index, ShardId shard, KeyBytes key, std::uint16_t status) {
    const ItemStatus item{static_cast<Errc>(status), number_of(shard)};
    if (item.ok() || (item.code == Errc::not_found && verb_ != Verb::batch_put))
        return items_.done(index, key, item, nullptr);
    const Error refusal = Error(item.code, reason_of_refusal(item.code)).set_state(ManagerState::answered);
    tell_error(index, key, name_item(refusal, shard, key));
}

void BatchRun::tell_error(std::size_t index, KeyBytes key, const Error& error) {
    items_.done(index, key, {error.code, error.manager, error.in_doubt}, &error);
}

Error BatchRun::name_item(Error error, ShardId shard, KeyBytes key) const {
    if (error.operation == Operation::none) error.set_operation(operation_of(verb_));
    if (error.manager == Error::no_manager) error.set_manager(number_of(shard));
    if (error.node[0] == '\0' && session_ != nullptr) {
        if (const DirectoryEntry* known = session_->known_manager(shard)) error.set_node(known->node);
    }
    return error.set_key(key);
}

}  // namespace ddict::client
