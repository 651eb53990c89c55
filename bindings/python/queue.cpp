// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Bounded queues (<ddict/queue.h>).
#include <ddict/queue.h>
#include <pybind11/stl.h>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

/// What ends without the lock: it may send messages. At the end of the process nobody needs it.
template <class T>
class EndsWithoutLock {
  public:
    explicit EndsWithoutLock(T held) : held_(std::move(held)) {}
    EndsWithoutLock(EndsWithoutLock&& other) noexcept : held_(std::exchange(other.held_, std::nullopt)) {}
    EndsWithoutLock& operator=(EndsWithoutLock&&) = delete;
    ~EndsWithoutLock() {
        if (!held_ || Py_IsInitialized() == 0 || PyGILState_GetThisThreadState() == nullptr) return;
        without_gil([&] {
            held_.reset();
            return 0;
        });
    }
    T& operator*() { return *held_; }

  private:
    std::optional<T> held_;
};

/// An item that was taken. One thread at a time.
class PyQueueItem {
  public:
    PyQueueItem(PyDictionary dictionary, QueueItem item)
        : dictionary_(std::move(dictionary)), item_(std::move(item)) {}

    py::object value() {
        if (!value_) {
            const py::str name("item " + std::to_string((*item_).number()));
            value_ = received_again(dictionary_, name.ptr(), [&](const View&, KeyBytes, ValueSink& sink) {
                return (*item_).get_bytes(sink);
            });
        }
        return value_;
    }
    void finish() {
        dictionary_.value_of([&](const View&) { return (*item_).try_finish(); });
        is_open_ = false;
    }
    void put_back() {
        dictionary_.value_of([&](const View&) { return (*item_).try_put_back(); });
        is_open_ = false;
    }
    void renew() {
        dictionary_.value_of([&](const View&) { return (*item_).try_renew(); });
    }
    /// The end of a with-block: finished, unless something was raised in it, or it was done before.
    void exit(const py::object& raised) {
        if (!is_open_) return;
        if (raised.is_none()) return finish();
        is_open_ = false;
        static_cast<void>(dictionary_.call([&](const View&) { return (*item_).try_put_back(); }));
    }
    const QueueItem& item() { return *item_; }

  private:
    PyDictionary dictionary_;
    EndsWithoutLock<QueueItem> item_;
    py::object value_;  // none before it is asked for
    bool is_open_ = true;
};

QueueEnd end_of(bool until_producers_gone) {
    return until_producers_gone ? QueueEnd::producers_gone : QueueEnd::closed;
}

/// A hold on a queue. Any number of threads.
class PyQueue {
  public:
    PyQueue(PyDictionary dictionary, Queue queue)
        : dictionary_(std::move(dictionary)), queue_(std::move(queue)) {}

    void push(const py::object& value, const py::object& timeout) {
        ValueArgument argument(value.ptr(), dictionary_.recipe().allow_pickle);
        const Queue queue = within(timeout);
        dictionary_.value_of(
            [&](const View&) { return queue.push_bytes(argument.bytes(), argument.type()); });
    }
    /// None: there will be no item any more.
    py::object take(const py::object& timeout, bool until_producers_gone) {
        const Queue queue = within(timeout);
        const QueueEnd end = end_of(until_producers_gone);
        return item_of([&] { return queue.try_take(end); });
    }
    /// Of a view with a time-out of its own, that is how long it waits.
    py::object next(QueueEnd end) {
        const bool is_bounded = dictionary_.recipe().timeout.has_value();
        py::object item =
            item_of([&] { return is_bounded ? (*queue_).try_take(end) : (*queue_).try_next(end); });
        if (item.is_none()) throw py::stop_iteration();
        return item;
    }
    template <class Result>
    auto call(Result (Queue::*what)() const) {
        return dictionary_.value_of([&](const View&) { return ((*queue_).*what)(); });
    }
    py::dict stats() {
        const QueueStats stats = call(&Queue::try_stats);
        py::dict dict;
        dict["bytes"] = stats.bytes;
        dict["bytes_max"] = stats.bytes_max;
        dict["items"] = stats.items;
        dict["items_max"] = stats.items_max;
        dict["writing"] = stats.writing;
        dict["ready"] = stats.ready;
        dict["taken"] = stats.taken;
        dict["pushed"] = stats.pushed;
        dict["finished"] = stats.finished;
        dict["shares"] = stats.shares;
        dict["producers"] = stats.producers;
        dict["waiting_producers"] = stats.waiting_producers;
        dict["waiting_consumers"] = stats.waiting_consumers;
        dict["lease"] = std::chrono::duration<double>(stats.lease).count();
        dict["closed"] = stats.closed;
        return dict;
    }
    std::string name() { return (*queue_).name(); }

  private:
    template <class Take>
    py::object item_of(Take&& take) {
        std::optional<QueueItem> item = dictionary_.value_of([&](const View&) { return take(); });
        if (!item) return py::none();
        return py::cast(PyQueueItem(dictionary_, *std::move(item)));
    }
    Queue within(const py::object& timeout) {
        const auto seconds = seconds_of(timeout, "timeout");
        return seconds ? (*queue_).within(*seconds) : *queue_;
    }

    PyDictionary dictionary_;
    EndsWithoutLock<Queue> queue_;
};

/// What Queue.items() gives. It keeps its queue. Any number of threads.
struct PyQueueItems {
    py::object queue;
    QueueEnd end;
};

/// None: as it is without. 0 would be as well, and wait for somebody else to make the queue.
std::uint32_t count_of(std::optional<std::uint32_t> count, const std::string& name, const char* option) {
    if (count == 0u)
        raise(Error(Errc::invalid_argument,
                    "queue '" + name.substr(0, 40) + "': " + option + " is 0: a number above that, or None"));
    return count.value_or(0);
}

PyQueue queue_of(PyDictionary& self, const std::string& name, const py::object& bytes,
                 std::optional<std::uint32_t> items, std::optional<std::uint32_t> producers,
                 const py::object& lease, bool renew_by_hand) {
    QueueOptions options{.items = count_of(items, name, "items"),
                         .producers = count_of(producers, name, "producers"),
                         .renew_by_hand = renew_by_hand};
    options.bytes = py::module_::import("ddict._sizes").attr("bytes_of")(bytes).cast<std::uint64_t>();
    if (const auto seconds = seconds_of(lease, "lease")) {
        // Not to 0, which is the default.
        options.lease = std::chrono::ceil<std::chrono::milliseconds>(*seconds);
        if (options.lease.count() == 0) options.lease = std::chrono::milliseconds(1);
    }
    return {self, self.value_of([&](const View& view) { return view.try_queue(name, options); })};
}

void bind_items(py::module_& module) {
    py::class_<PyQueueItem>(
        module, "QueueItem", py::module_local(), py::custom_type_setup(refuse_new),
        "An item of a queue, of who has taken it. Where it ends without finish(), it goes back. With "
        "'with' it is finished at the end of the block, and put back if something is raised.")
        .def_property_readonly(
            "value", &PyQueueItem::value,
            "Its value: fetched at the first access, and kept with the item. NotFound: lease lost.")
        .def_property_readonly(
            "number", [](PyQueueItem& self) { return self.item().number(); }, "Of its push.")
        .def_property_readonly(
            "producer", [](PyQueueItem& self) { return self.item().producer(); },
            "Which share it was pushed with, from 0.")
        .def_property_readonly(
            "attempt", [](PyQueueItem& self) { return self.item().attempt(); },
            "How often it was handed out, this time included.")
        .def_property_readonly(
            "nbytes", [](PyQueueItem& self) { return self.item().bytes(); }, "The bytes of its value.")
        .def("finish", &PyQueueItem::finish,
             "It is done: its space is given back. NotFound (lease lost): somebody else has it.")
        .def("put_back", &PyQueueItem::put_back, "Gives it back undone: it is the next to be handed out.")
        .def("renew", &PyQueueItem::renew, "Shows that this process lives. NotFound: lease lost.")
        .def("__enter__", [](const py::object& self) { return self; })
        .def("__exit__", [](PyQueueItem& self, const py::object& kind, const py::object&, const py::object&) {
            self.exit(kind);
        });
}

}  // namespace

void bind_queues(py::module_& module, DictionaryClass& dictionary) {
    bind_items(module);
    py::class_<PyQueueItems>(module, "QueueItems", py::module_local(), py::custom_type_setup(refuse_new),
                             "An iterator over the items of a queue: Queue.items().")
        .def("__iter__", [](const py::object& self) { return self; })
        .def("__next__", [](PyQueueItems& self) { return self.queue.cast<PyQueue&>().next(self.end); });
    py::class_<PyQueue>(
        module, "Queue", py::module_local(), py::custom_type_setup(refuse_new),
        "A bounded queue in a dictionary: Dictionary.queue(). As an iterator it takes item after item, as "
        "items() does.")
        .def("push", &PyQueue::push, py::arg("value"), py::arg("timeout") = py::none(),
             "Appends a value; waits for a share of the bound, and for space in it.")
        .def("take", &PyQueue::take, py::arg("timeout") = py::none(), py::kw_only(),
             py::arg("until_producers_gone") = false,
             "The next item; waits for one. None: the queue is closed, or its producers have come and gone, "
             "and all items are done. Timeout: none has come in time.")
        .def(
            "items",
            [](const py::object& self, bool until_producers_gone) {
                return PyQueueItems{self, end_of(until_producers_gone)};
            },
            py::kw_only(), py::arg("until_producers_gone") = false,
            "An iterator that takes item after item, until the queue is closed, or its producers have come "
            "and gone, and all items are done, however long that takes. Of a view of within() each item has "
            "to come in that time: Timeout.")
        .def("__iter__", [](const py::object& self) { return self; })
        .def("__next__", [](PyQueue& self) { return self.next(QueueEnd::closed); })
        .def(
            "join", [](PyQueue& self) { return self.call(&Queue::try_join); },
            "Takes a share now; returns which.")
        .def(
            "leave", [](PyQueue& self) { self.call(&Queue::try_leave); }, "Gives the share back.")
        .def(
            "renew", [](PyQueue& self) { self.call(&Queue::try_renew); }, "Shows that this process lives.")
        .def(
            "close", [](PyQueue& self) { self.call(&Queue::try_close); }, "Nothing can be pushed any more.")
        .def(
            "remove", [](PyQueue& self) { self.call(&Queue::try_remove); },
            "Removes the queue with all that is in it.")
        .def("stats", &PyQueue::stats, "What there is in it: a dict.")
        .def_property_readonly("name", &PyQueue::name);
    dictionary.def(
        "queue", queue_of, py::arg("name"), py::kw_only(), py::arg("bytes") = py::none(),
        py::arg("items") = py::none(), py::arg("producers") = py::none(), py::arg("lease") = py::none(),
        py::arg("renew_by_hand") = false,
        "A bounded queue, made by the first who says bytes (1024, '64M'), items or producers; without "
        "them it waits for that. Each of the producers has an equal share of the bound. lease: after how "
        "many seconds without a sign of life a process counts as dead (10).");
}

}  // namespace ddict::python
