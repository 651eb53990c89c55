// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The operations of a View on many keys.
#include <algorithm>
#include <chrono>
#include <memory>

#include "libclient/batch_run.h"
#include "libclient/host_memory.h"
#include "libclient/shared.h"
#include "libclient/view_calls.h"

namespace ddict {
namespace {

using client::BatchItems;
using client::BatchRun;
using Sends = client::OpenBatch::Sends;
using wire::Verb;

/// Statuses go to where the caller wants them; the first error is kept in full.
class Outcomes final : public BatchItems {
  public:
    Outcomes(std::span<ItemStatus> statuses, ItemSink* sink) : statuses_(statuses), sink_(sink) {}

    void done(std::size_t index, KeyBytes, const ItemStatus& status, const Error* error) override {
        if (status.ok()) ++successes;
        if (error != nullptr && first) first = *error;
        if (sink_ != nullptr) {
            sink_->done(index, status);
        } else if (!statuses_.empty()) {
            statuses_[index] = status;
        }
    }

    Result<void> first;
    std::uint64_t successes = 0;

  private:
    std::span<ItemStatus> statuses_;
    ItemSink* sink_;
};

Error wrong_size(Operation operation) {
    return Error(Errc::invalid_argument, "there must be a status for each item, or none at all")
        .set_operation(operation);
}

Error committed() {
    return Error(Errc::invalid_argument, "the batch has been committed: begin another one")
        .set_operation(Operation::batch_put);
}

Error busy_elsewhere() {
    return Error(Errc::invalid_argument,
                 "while it collects a batch, a view is for the thread that started it")
        .set_operation(Operation::batch_put);
}

/// A call on many keys has one deadline, however many messages it takes.
detail::TimeoutBudget of_one_call(const detail::TimeoutBudget& budget) {
    return {.until = budget.deadline(std::chrono::steady_clock::now())};
}

/// Brings the value of an item that is read from this node's memory to its place.
class HereSink final : public ValueSink {
  public:
    explicit HereSink(ItemSink& sink) : sink_(sink) {}
    Result<MutableBytes> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        return sink_.prepare(index, bytes, value_type);
    }
    std::size_t index = 0;

  private:
    ItemSink& sink_;
};

}  // namespace

/// What can be read from this node's memory; the others are given to `ask`. In rounds: first the places where
/// to look are fetched into the cache, then they are looked at.
template <class Ask>
void View::Calls::get_here(const View& view, std::span<const KeyBytes> keys, ItemSink& sink,
                           BatchItems& items, Ask ask) {
    constexpr std::size_t round = 16;
    struct Place {
        std::uint64_t hash;
        ShardId shard;
    };
    std::array<Place, round> places;
    client::LocalPools& pools = view.attachment_->pools();
    const bool reads_here = view.attachment_->reads_here();
    HereSink value(sink);
    for (std::size_t begin = 0; begin < keys.size(); begin += round) {
        const std::size_t end = std::min(begin + round, keys.size());
        for (std::size_t i = begin; i < end; ++i) {
            if (!is_good_key(keys[i])) continue;
            const std::uint64_t hash = hash_of(keys[i]);
            places[i - begin] = {hash, owner(view, keys[i], hash)};
            if (reads_here) pools.prefetch(places[i - begin].shard, hash);
        }
        for (std::size_t i = begin; i < end; ++i) {
            if (!is_good_key(keys[i])) {
                const Error error = key_error(Operation::batch_get, keys[i]);
                items.done(i, keys[i], {error.code, Error::no_manager}, &error);
                continue;
            }
            const auto [hash, shard] = places[i - begin];
            Result<void> outcome;
            value.index = i;
            if (!read_here(view, Operation::batch_get, shard, keys[i], hash, value, outcome)) {
                ask(i, shard);
            } else {
                const ItemStatus status{outcome ? Errc{} : outcome.error().code, number_of(shard)};
                const bool error = !outcome && status.code != Errc::not_found;
                items.done(i, keys[i], status, error ? &outcome.error() : nullptr);
            }
        }
    }
}

Result<void> View::multi_get_bytes(std::span<const KeyBytes> keys, ItemSink& sink) const {
    Outcomes outcomes({}, &sink);
    if (attachment_ == nullptr) {
        const Error error = Calls::no_dictionary(Operation::batch_get);
        for (std::size_t i = 0; i < keys.size(); ++i)
            sink.done(i, {error.code, Error::no_manager});
        return error;
    }
    BatchRun run(attachment_, Verb::batch_get, of_one_call(budget_), Calls::at(*this), outcomes, &sink);
    Calls::get_here(*this, keys, sink, outcomes,
                    [&](std::size_t i, ShardId shard) { run.add(i, shard, keys[i]); });
    run.finish();
    return outcomes.first;
}

Result<void> View::multi_put_bytes(std::span<const PutItem> pairs, std::span<ItemStatus> statuses) const {
    if (!statuses.empty() && statuses.size() != pairs.size()) return wrong_size(Operation::batch_put);
    if (waits_for_space_) return Calls::multi_put_when_space(*this, pairs, statuses);
    Outcomes outcomes(statuses, nullptr);
    if (attachment_ == nullptr) {
        const Error error = Calls::no_dictionary(Operation::batch_put);
        std::fill(statuses.begin(), statuses.end(), ItemStatus{error.code, Error::no_manager});
        return error;
    }
    BatchRun run(attachment_, Verb::batch_put, of_one_call(budget_), Calls::at(*this), outcomes);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const PutItem& pair = pairs[i];
        if (!Calls::is_good_key(pair.key)) {
            const Error error = Calls::key_error(Operation::batch_put, pair.key);
            outcomes.done(i, pair.key, {error.code, Error::no_manager}, &error);
        } else if (!client::can_be_sent(pair.value)) [[unlikely]] {
            const Error error = name_error(no_host_memory_to_send(), Operation::batch_put, pair.key);
            outcomes.done(i, pair.key, {error.code, error.manager}, &error);
        } else {
            const KeyPlacement placement = Calls::placement(*this, pair.key);
            const ShardId shard = Calls::owner(*this, pair.key, placement);
            run.add(i, shard, pair.key, pair.value, pair.value_type, placement);
        }
    }
    run.finish();
    return outcomes.first;
}

std::vector<ItemStatus> View::statuses_of_puts(std::span<const PutItem> pairs) const {
    std::vector<ItemStatus> statuses(pairs.size());
    static_cast<void>(multi_put_bytes(pairs, statuses));
    return statuses;
}

std::vector<ItemStatus> View::statuses_of_erases(std::span<const KeyBytes> keys) const {
    std::vector<ItemStatus> statuses(keys.size());
    static_cast<void>(multi_erase_bytes(keys, statuses));
    return statuses;
}

Result<std::uint64_t> View::multi_erase_bytes(std::span<const KeyBytes> keys,
                                              std::span<ItemStatus> statuses) const {
    if (!statuses.empty() && statuses.size() != keys.size()) return wrong_size(Operation::batch_erase);
    Outcomes outcomes(statuses, nullptr);
    if (attachment_ == nullptr) {
        const Error error = Calls::no_dictionary(Operation::batch_erase);
        std::fill(statuses.begin(), statuses.end(), ItemStatus{error.code, Error::no_manager});
        return error;
    }
    BatchRun run(attachment_, Verb::batch_erase, of_one_call(budget_), Calls::at(*this), outcomes);
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (Calls::is_good_key(keys[i])) {
            run.add(i, Calls::owner(*this, keys[i]), keys[i]);
        } else {
            const Error error = Calls::key_error(Operation::batch_erase, keys[i]);
            outcomes.done(i, keys[i], {error.code, Error::no_manager}, &error);
        }
    }
    run.finish();
    if (!outcomes.first) return outcomes.first.error();
    return outcomes.successes;
}

// ---- puts that are collected ----

void client::OpenBatch::add(const Put& put) {
    if (sends_ == Sends::as_it_fills) {
        send(put);
        return run_.wait_for_large();
    }
    Put kept = put;
    kept.pair.key = {copies_.copy(put.pair.key.bytes()), put.pair.key.type()};
    kept.pair.value = copies_.copy(put.pair.value);
    kept_.push_back(kept);
}

void client::OpenBatch::send(const Put& put) {
    const auto& [key, value, value_type] = put.pair;
    if (put.on_all) {
        run_.add_broadcast(0, put.shard, key, value, value_type);
    } else {
        run_.add(0, put.shard, key, value, value_type, put.placement);
    }
}

BatchReport client::OpenBatch::end() {
    ended_.store(true, std::memory_order_relaxed);
    for (const Put& put : kept_)
        send(put);
    run_.finish();
    return std::move(report_);
}

void client::OpenBatch::done(std::size_t, KeyBytes key, const ItemStatus& status, const Error* error) {
    if (status.ok()) {
        ++report_.stored;
        return;
    }
    ++report_.failed;
    if (report_.failures.size() < failures_max)
        report_.failures.push_back({AnyKey(key), error == nullptr ? Error(status.code) : *error});
}

Result<void> View::Calls::collect(const View& view, Verb verb, KeyBytes key, Bytes value,
                                  std::uint16_t value_type) {
    if (const Result<void> good = check(view, operation_of(verb), key); !good) return good;
    if (!view.batch_->belongs_to_caller()) return busy_elsewhere();
    if (!client::can_be_sent(value)) [[unlikely]]
        return view.name_error(no_host_memory_to_send(), operation_of(verb), key);
    if (verb == Verb::broadcast_put) {
        view.batch_->broadcast_put(broadcast_root(view, key), {key, value, value_type});
    } else {
        const KeyPlacement place = placement(view, key);
        view.batch_->put(owner(view, key, place), {key, value, value_type}, place);
    }
    return {};
}

Result<void> View::try_start_batch_put() {
    if (const Result<void> good = check_attached(); !good)
        return Error(good.error()).set_operation(Operation::batch_put);
    if (Calls::collects(*this)) {
        return Error(Errc::invalid_argument, "a batch has been started on this view, and not ended")
            .set_operation(Operation::batch_put);
    }
    batch_ = client::share(
        std::make_shared<client::OpenBatch>(attachment_, budget_, Calls::at(*this), Sends::as_it_fills));
    return {};
}

Result<Batch> View::try_batch() const {
    if (const Result<void> good = check_attached(); !good)
        return Error(good.error()).set_operation(Operation::batch_put);
    View collecting = *this;
    collecting.batch_ = client::share(
        std::make_shared<client::OpenBatch>(attachment_, budget_, Calls::at(*this), Sends::at_its_end));
    return Batch(std::move(collecting));
}

Result<void> Batch::put_bytes(KeyBytes key, std::span<const std::byte> value, std::uint16_t value_type) {
    return open_ ? view_.put_bytes(key, value, value_type) : committed();
}

Result<void> Batch::broadcast_put_bytes(KeyBytes key, std::span<const std::byte> value,
                                        std::uint16_t value_type) {
    return open_ ? view_.broadcast_put_bytes(key, value, value_type) : committed();
}

void Batch::commit() {
    if (!open_) throw Exception(committed());
    open_.is = false;
    view_.end_batch_put();
}

Result<BatchReport> Batch::try_commit() {
    if (!open_) return committed();
    open_.is = false;
    return view_.try_end_batch_put();
}

Result<BatchReport> View::try_end_batch_put() {
    if (!Calls::collects(*this)) {
        return Error(Errc::invalid_argument, "no batch was started on this view")
            .set_operation(Operation::batch_put);
    }
    if (!batch_->belongs_to_caller()) return busy_elsewhere();
    const detail::Shared<client::OpenBatch> batch = std::move(batch_);
    return batch->end();
}

void View::end_batch_put() {
    const BatchReport report = try_end_batch_put().value();
    if (report.failures.empty()) return;
    Error error = report.failures.front().error;
    const std::string why = error.detail.data();
    error.set_detail(std::to_string(report.failed) + " of " + std::to_string(report.failed + report.stored) +
                     " puts have failed, this one among them" + (why.empty() ? "" : ": " + why));
    throw Exception(error);
}

}  // namespace ddict
