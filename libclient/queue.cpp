// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include <ddict/queue.h>

#include <memory>
#include <numeric>
#include <utility>

#include "libclient/queue_core.h"
#include "libclient/shared.h"
#include "libclient/view_calls.h"

namespace ddict {
namespace {

using std::chrono::steady_clock;

Error no_queue() {
    return Error(Errc::not_attached, "this is of no queue: View::queue() gives one");
}

}  // namespace

// ---- making one ----

Result<Queue> View::try_queue(std::string_view name) const {
    return try_queue(name, QueueOptions());
}

Result<Queue> View::try_queue(std::string_view name, const QueueOptions& options) const {
    if (const Result<void> good = check_attached(); !good) return good.error();
    View base = *this;
    base.budget_ = {};
    base.batch_ = nullptr;
    base.placement_ = nullptr;
    base.checkpoint_ = newest_checkpoint;
    base.flags_ = wire::persistent | wire::at_once;
    base.waits_for_space_ = false;
    base.ttl_ = 0;
    std::vector<std::uint32_t> managers{manager_};
    if (manager_ == any_manager) {
        managers.resize(manager_count());
        std::iota(managers.begin(), managers.end(), 0u);
    }
    auto core = std::make_shared<client::QueueCore>(base, budget_, attachment_, std::move(managers),
                                                    std::string(name));
    if (const Result<void> open = core->open(options, budget_.deadline(steady_clock::now())); !open)
        return open.error();
    Queue queue;
    queue.core_ = client::share(std::move(core));
    queue.budget_ = budget_;
    return queue;
}

Queue View::queue(std::string_view name) const {
    return try_queue(name).value();
}

Queue View::queue(std::string_view name, const QueueOptions& options) const {
    return try_queue(name, options).value();
}

// ---- the queue ----

Result<void> Queue::check() const {
    if (core_ == nullptr) return no_queue();
    return {};
}

steady_clock::time_point Queue::deadline() const {
    return budget_.deadline(steady_clock::now());
}

std::string Queue::name() const {
    return core_ == nullptr ? std::string() : core_->name();
}

Result<void> Queue::push_bytes(std::span<const std::byte> value, std::uint16_t value_type) const {
    if (const Result<void> good = check(); !good) return good;
    return core_->push(value, value_type, deadline());
}

Result<std::optional<QueueItem>> Queue::take_item(QueueEnd end, bool waits_on) const {
    if (const Result<void> good = check(); !good) return good.error();
    const Result<std::optional<client::QueueRecord::Entry>> taken = core_->take(end, budget_, waits_on);
    if (!taken.has_value()) return taken.error();
    if (!*taken) return std::optional<QueueItem>();
    const client::QueueRecord::Entry& entry = **taken;
    const detail::TimeoutBudget budget = core_->budget_of_item(budget_);
    QueueItem item(core_, budget);
    item.number_ = entry.number;  // first: from here on it goes back if anything is thrown
    item.attempt_ = entry.attempts;
    const View values = core_->view_of(entry);
    item.values_ = budget.timeout < detail::TimeoutBudget::unlimited ? values.within(budget.timeout) : values;
    if (budget.until != steady_clock::time_point::max()) item.values_ = item.values_.until(budget.until);
    item.key_ = core_->key_of(entry.number);
    item.bytes_ = entry.value_bytes();
    item.producer_ = entry.share;
    item.type_ = entry.type;
    return std::optional<QueueItem>(std::move(item));
}

Result<std::optional<QueueItem>> Queue::try_take(QueueEnd end) const {
    return take_item(end, false);
}

std::optional<QueueItem> Queue::take(QueueEnd end) const {
    return try_take(end).value();
}

Result<std::optional<QueueItem>> Queue::try_next(QueueEnd end) const {
    return take_item(end, true);
}

std::optional<QueueItem> Queue::next(QueueEnd end) const {
    return try_next(end).value();
}

Result<std::uint32_t> Queue::try_join() const {
    if (const Result<void> good = check(); !good) return good.error();
    return core_->join(deadline());
}

std::uint32_t Queue::join() const {
    return try_join().value();
}

Result<void> Queue::try_leave() const {
    if (const Result<void> good = check(); !good) return good;
    return core_->leave(deadline());
}

void Queue::leave() const {
    try_leave().value();
}

Result<void> Queue::try_renew() const {
    if (const Result<void> good = check(); !good) return good;
    return core_->renew(deadline());
}

void Queue::renew() const {
    try_renew().value();
}

Result<void> Queue::try_close() const {
    if (const Result<void> good = check(); !good) return good;
    return core_->close(deadline());
}

void Queue::close() const {
    try_close().value();
}

Result<QueueStats> Queue::try_stats() const {
    if (const Result<void> good = check(); !good) return good.error();
    return core_->stats(deadline());
}

QueueStats Queue::stats() const {
    return try_stats().value();
}

Result<void> Queue::try_remove() const {
    if (const Result<void> good = check(); !good) return good;
    return core_->remove(deadline());
}

void Queue::remove() const {
    try_remove().value();
}

// ---- an item ----

QueueItem::QueueItem(detail::Shared<client::QueueCore> core, const detail::TimeoutBudget& budget)
    : core_(std::move(core)), budget_(budget) {}

QueueItem::QueueItem(QueueItem&& other) noexcept = default;

QueueItem& QueueItem::operator=(QueueItem&& other) noexcept {
    if (this == &other) return *this;
    if (!(core_ == nullptr)) core_->drop(number_, attempt_);
    core_ = std::move(other.core_);
    budget_ = other.budget_;
    values_ = std::move(other.values_);
    key_ = std::move(other.key_);
    number_ = other.number_;
    bytes_ = other.bytes_;
    producer_ = other.producer_;
    attempt_ = other.attempt_;
    type_ = other.type_;
    return *this;
}

QueueItem::~QueueItem() {
    if (!(core_ == nullptr)) core_->drop(number_, attempt_);
}

Result<void> QueueItem::check() const {
    if (!(core_ == nullptr)) return {};
    return Error(Errc::invalid_argument, "this item was finished, put back or moved from");
}

Result<void> QueueItem::get_bytes(ValueSink& sink) const {
    return or_why_gone(detail::with_key(key_, [&](KeyBytes key) { return values_.get_bytes(key, sink); }));
}

Error QueueItem::why_gone(const Error& error) const {
    if (const Result<void> good = check(); !good) return good.error();
    const Result<void> held = core_->renew(number_, attempt_, budget_.deadline(steady_clock::now()));
    return held ? error : held.error();
}

Result<void> QueueItem::try_finish() {
    if (const Result<void> good = check(); !good) return good;
    const Result<void> finished = core_->finish(number_, attempt_, budget_.deadline(steady_clock::now()));
    if (finished || finished.error().code == Errc::not_found) core_ = nullptr;
    return finished;
}

void QueueItem::finish() {
    try_finish().value();
}

Result<void> QueueItem::try_renew() const {
    if (const Result<void> good = check(); !good) return good;
    return core_->renew(number_, attempt_, budget_.deadline(steady_clock::now()));
}

void QueueItem::renew() const {
    try_renew().value();
}

Result<void> QueueItem::try_put_back() {
    if (const Result<void> good = check(); !good) return good;
    const Result<void> back = core_->put_back(number_, attempt_, budget_.deadline(steady_clock::now()));
    core_ = nullptr;
    return back;
}

void QueueItem::put_back() {
    try_put_back().value();
}

}  // namespace ddict
