// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Waiting for space, and queues, in the C API.
#include <ddict/ddict_queue.h>

#include <ddict/queue.h>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::given;
using c_api::guarded;
using c_api::make_view;

struct ddict_queue {
    Queue queue;
};
struct ddict_queue_item {
    QueueItem item;
};

namespace {

/// f is called with the queue, whose calls take that long at the most.
template <class F>
int on_queue(ddict_queue* queue, std::int64_t timeout_ms, ddict_error* error, F&& f) noexcept {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{queue, "queue"}}); !good) return good;
        if (timeout_ms == DDICT_DEFAULT_TIMEOUT) return f(queue->queue);
        const Result<std::chrono::nanoseconds> timeout = c_api::timeout_of(timeout_ms);
        if (!timeout) return timeout.error();
        return f(queue->queue.within(*timeout));
    });
}

template <class F>
int on_item(ddict_queue_item* item, ddict_error* error, F&& f) noexcept {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{item, "item"}}); !good) return good;
        return f(item->item);
    });
}

Result<void> take(const Queue& from, Result<std::optional<QueueItem>> (Queue::*how)(QueueEnd) const,
                  ddict_queue_end end, ddict_queue_item** item) {
    if (const Result<void> good = given({{item, "item"}}); !good) return good;
    *item = nullptr;
    Result<std::optional<QueueItem>> taken =
        (from.*how)(end == DDICT_QUEUE_PRODUCERS_GONE ? QueueEnd::producers_gone : QueueEnd::closed);
    if (!taken.has_value()) return taken.error();
    if (*taken) *item = new ddict_queue_item{*std::move(*taken)};
    return {};
}

ddict_queue_info told(const QueueStats& stats) {
    return {.bytes = stats.bytes,
            .bytes_max = stats.bytes_max,
            .items = stats.items,
            .items_max = stats.items_max,
            .writing = stats.writing,
            .ready = stats.ready,
            .taken = stats.taken,
            .pushed = stats.pushed,
            .finished = stats.finished,
            .shares = stats.shares,
            .producers = stats.producers,
            .waiting_producers = stats.waiting_producers,
            .waiting_consumers = stats.waiting_consumers,
            .lease_ms = stats.lease.count(),
            .closed = stats.closed};
}

}  // namespace

int ddict_when_space(ddict_dictionary* dictionary, ddict_dictionary** view, ddict_error* error) {
    return make_view(Operation::none, dictionary, view, error,
                     [](const View& operations) -> Result<View> { return operations.when_space(); });
}

int ddict_queue_open(ddict_dictionary* dictionary, const char* name, const ddict_queue_options* options,
                     ddict_queue** queue, ddict_error* error) {
    return guarded(Operation::none, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}, {name, "name"}, {queue, "queue"}});
            !good)
            return good;
        QueueOptions asked;
        if (options != nullptr) {
            if (options->lease_ms < 0) return Error(Errc::invalid_argument, "a lease is not negative");
            asked = {.bytes = options->bytes,
                     .items = options->items,
                     .producers = options->producers,
                     .lease = std::chrono::milliseconds(options->lease_ms),
                     .renew_by_hand = options->renew_by_hand};
        }
        Result<Queue> opened = dictionary->operations().try_queue(name, asked);
        if (!opened) return opened.error();
        *queue = new ddict_queue{*std::move(opened)};
        return {};
    });
}

void ddict_queue_free(ddict_queue* queue) {
    delete queue;
}

int ddict_queue_push(ddict_queue* queue, ddict_slice value, uint16_t type, int64_t timeout_ms,
                     ddict_error* error) {
    return on_queue(queue, timeout_ms, error, [&](const Queue& to) -> Result<void> {
        if (const Result<void> good = c_api::check(value, "value"); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        return to.push_bytes(c_api::bytes_of(value), type);
    });
}

int ddict_queue_take(ddict_queue* queue, ddict_queue_end end, int64_t timeout_ms, ddict_queue_item** item,
                     ddict_error* error) {
    return on_queue(queue, timeout_ms, error,
                    [&](const Queue& from) { return take(from, &Queue::try_take, end, item); });
}

int ddict_queue_next(ddict_queue* queue, ddict_queue_end end, ddict_queue_item** item, ddict_error* error) {
    return on_queue(queue, DDICT_DEFAULT_TIMEOUT, error,
                    [&](const Queue& from) { return take(from, &Queue::try_next, end, item); });
}

int ddict_queue_renew(ddict_queue* queue, ddict_error* error) {
    return on_queue(queue, DDICT_DEFAULT_TIMEOUT, error, [](const Queue& of) { return of.try_renew(); });
}

int ddict_queue_leave(ddict_queue* queue, ddict_error* error) {
    return on_queue(queue, DDICT_DEFAULT_TIMEOUT, error, [](const Queue& of) { return of.try_leave(); });
}

int ddict_queue_close(ddict_queue* queue, ddict_error* error) {
    return on_queue(queue, DDICT_DEFAULT_TIMEOUT, error, [](const Queue& of) { return of.try_close(); });
}

int ddict_queue_stat(ddict_queue* queue, ddict_queue_info* info, ddict_error* error) {
    return on_queue(queue, DDICT_DEFAULT_TIMEOUT, error, [&](const Queue& of) -> Result<void> {
        if (const Result<void> good = given({{info, "info"}}); !good) return good;
        const Result<QueueStats> stats = of.try_stats();
        if (!stats) return stats.error();
        *info = told(*stats);
        return {};
    });
}

int ddict_queue_remove(ddict_queue* queue, ddict_error* error) {
    return on_queue(queue, DDICT_DEFAULT_TIMEOUT, error, [](const Queue& of) { return of.try_remove(); });
}

int ddict_queue_item_get(ddict_queue_item* item, uint16_t type, ddict_value* value, ddict_error* error) {
    return on_item(item, error, [&](const QueueItem& of) -> Result<void> {
        if (const Result<void> good = given({{value, "value"}}); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        c_api::MallocSink sink(type);
        if (const Result<void> got = of.get_bytes(sink); !got) return got;
        return sink.take(*value);
    });
}

int ddict_queue_item_get_into(ddict_queue_item* item, uint16_t type, void* memory, size_t capacity,
                              ddict_value* value, ddict_error* error) {
    return on_item(item, error, [&](const QueueItem& of) -> Result<void> {
        if (const Result<void> good = given({{value, "value"}}); !good) return good;
        if (const Result<void> good = c_api::check({memory, capacity}, "memory"); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        detail::SpanSink sink({static_cast<std::byte*>(memory), capacity}, type);
        const Result<void> got = of.get_bytes(sink);
        if (!got && !sink.fits())
            *value = {nullptr, static_cast<std::size_t>(sink.bytes()), sink.value_type()};
        if (!got) return got;
        *value = {memory, static_cast<std::size_t>(sink.bytes()), sink.value_type()};
        return {};
    });
}

uint64_t ddict_queue_item_number(const ddict_queue_item* item) {
    return item == nullptr ? 0 : item->item.number();
}

uint32_t ddict_queue_item_attempt(const ddict_queue_item* item) {
    return item == nullptr ? 0 : item->item.attempt();
}

uint16_t ddict_queue_item_type(const ddict_queue_item* item) {
    return item == nullptr ? std::uint16_t{0} : item->item.type();
}

uint64_t ddict_queue_item_bytes(const ddict_queue_item* item) {
    return item == nullptr ? 0 : item->item.bytes();
}

int ddict_queue_item_finish(ddict_queue_item* item, ddict_error* error) {
    return on_item(item, error, [](QueueItem& of) { return of.try_finish(); });
}

int ddict_queue_item_renew(ddict_queue_item* item, ddict_error* error) {
    return on_item(item, error, [](const QueueItem& of) { return of.try_renew(); });
}

void ddict_queue_item_free(ddict_queue_item* item) {
    delete item;
}
