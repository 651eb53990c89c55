// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Operations that run while the program does something else: ddict.Future, over the library's own handles.
// There is no thread: they move along inside calls of the thread that began them, or by the descriptor that
// ddict/_async.py has the event loop watch.
#include <ddict/async.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

using Clock = std::chrono::steady_clock;

// An answer within the host is there by then; to be woken up for it costs an event loop more.
constexpr std::chrono::microseconds spin_time{20};

py::object cancelled_error(const Error& error) {
    return py::module_::import("concurrent.futures").attr("CancelledError")(error.message());
}

/// Invariant: while an operation is under way, `kept_` has what it reads from.
/// Threads: the one that has begun it; who else asks is told so, unless it is done.
class Future {
  public:
    Future(PyDictionary self, Operation operation, const py::object& key)
        : self_(std::move(self)), operation_(operation), key_(key) {}
    Future(const Future&) = delete;
    Future& operator=(const Future&) = delete;
    ~Future() {
        const py::error_scope outer;
        abandon();
    }

    template <class Start>
    void begin(Start&& start) {
        const KeyArgument bytes(key_.ptr());
        handle_ = self_.call([&](const View& view) { return start(view, bytes.view()); });
    }
    ValueArgument& keep(const py::object& value) {
        kept_ = std::make_unique<Kept>(value, self_.recipe().allow_pickle);
        return kept_->argument;
    }

    bool done() {
        if (is_done()) return true;
        refuse_in_handler();
        const PyDictionary::NotedCall noted(self_);
        const Result<bool> ready = self_.link().call([&] { return handle_.ready(); });
        if (!ready.has_value()) raise(ready.error(), key_);
        if (*ready) settle();
        return is_done();
    }
    /// Whether it is done, after a moment.
    bool spin() {
        if (is_done()) return true;
        const PyDictionary::NotedCall noted(self_);
        const bool ended = without_gil([&] {
            const auto latest = Clock::now() + spin_time;
            for (;;) {
                const Result<bool> ready = handle_.ready();
                if (!ready.has_value() || *ready || Clock::now() >= latest)
                    return !ready.has_value() || *ready;
            }
        });
        return ended && done();
    }
    bool has_ended() const { return is_done() || handle_.has_ended_here(); }

    py::object result(const py::object& timeout) {
        wait(timeout);
        if (exception_) raise(exception_);
        return result_;
    }
    py::object exception(const py::object& timeout) {
        wait(timeout);
        if (is_cancelled_) raise(exception_);
        return exception_ ? exception_ : py::none();
    }
    bool cancel() {
        if (done()) return is_cancelled_;
        const PyDictionary::NotedCall noted(self_);
        const auto outcome = self_.link().call([&] {
            handle_.cancel();
            return handle_.wait(std::nullopt);
        });
        if (!handle_.has_ended_here()) raise(outcome.error(), key_);
        if (!outcome.has_value() && outcome.error().code == Errc::timeout) {
            is_cancelled_ = true;
            end({}, cancelled_error(outcome.error()));
        } else {
            settle();
        }
        return is_cancelled_;
    }
    bool cancelled() const { return is_cancelled_; }
    bool running() { return !done(); }
    void add_done_callback(const py::object& self, const py::object& function) {
        if (done()) {
            call_back(self, function);
        } else {
            callbacks_.emplace_back(py::weakref(self), function);
        }
    }
    py::str shown() const {
        const char* const state = is_cancelled_ ? "cancelled"
                                  : exception_  ? "failed"
                                  : result_     ? "done"
                                                : "under way";
        return py::str("<ddict.Future of {} {!r}, {}>").format(std::string(name(operation_)), key_, state);
    }
    const PyDictionary& dictionary() const { return self_; }
    bool is_short() const { return operation_ != Operation::wait_for; }

  private:
    struct Kept {
        Kept(const py::object& given, bool allow_pickle)
            : value(given), argument(given.ptr(), allow_pickle) {}
        py::object value;
        ValueArgument argument;
    };

    bool is_done() const { return result_ || exception_; }

    void wait(const py::object& timeout) {
        if (is_done()) return;
        refuse_in_handler();
        const auto seconds = seconds_of(timeout, "timeout");
        std::optional<Clock::time_point> deadline;
        if (seconds) deadline = Clock::now() + *seconds;
        const PyDictionary::NotedCall noted(self_);
        const auto outcome = self_.link().call([&] { return handle_.wait(deadline); });
        if (!handle_.has_ended_here()) raise(outcome.error(), key_);
        settle();
    }
    /// Takes the outcome, which is there.
    void settle() {
        const Result<std::uint64_t> outcome = handle_.wait(std::nullopt);
        if (!handle_.has_ended_here()) return;
        if (!outcome.has_value()) {
            if (operation_ == Operation::erase && outcome.error().code == Errc::not_found)
                return end(py::bool_(false), {});
            return end({}, exception_of(outcome.error(), key_));
        }
        if (operation_ == Operation::put) return end(py::none(), {});
        if (operation_ == Operation::erase) return end(py::bool_(true), {});
        try {
            const KeyArgument bytes(key_.ptr());
            auto& value = *static_cast<ReceivedValue*>(handle_.sink());
            end(self_.read(operation_, bytes.view(), key_, [&] { return self_.reader().object_of(value); }),
                {});
        } catch (const py::error_already_set& error) {
            if (!error.matches(PyExc_Exception)) throw;
            end({}, error.value());
        }
    }
    void end(py::object result, py::object exception) {
        result_ = std::move(result);
        exception_ = std::move(exception);
        handle_ = {};
        kept_.reset();
        const auto callbacks = std::move(callbacks_);
        for (const auto& [self, function] : callbacks) {
            if (const py::object future = self(); !future.is_none()) call_back(future, function);
        }
    }
    /// What it raises is shown, as concurrent.futures does it.
    static void call_back(const py::object& self, const py::object& function) {
        try {
            function(self);
        } catch (py::error_already_set& error) {
            error.discard_as_unraisable(function);
        }
    }
    /// Nobody will ask. A change is waited for, at its deadline at the latest; what was asked for is not.
    void abandon() noexcept {
        if (!handle_.valid()) return;
        const bool is_here = pthread_equal(thread_, pthread_self()) != 0 && generation_ == process_generation;
        if (!is_here && !handle_.has_ended_here()) static_cast<void>(kept_.release());
        PyThreadState* const state = PyEval_SaveThread();
        state_without_gil = state;
        try {
            if (is_here && kept_ == nullptr && operation_ != Operation::erase) handle_.cancel();
        } catch (const std::bad_alloc&) {
        }
        handle_ = {};
        state_without_gil = nullptr;
        take_gil(state);
    }

    PyDictionary self_;
    Operation operation_;
    py::object key_;
    detail::OperationHandle handle_;
    std::unique_ptr<Kept> kept_;
    py::object result_;
    py::object exception_;
    bool is_cancelled_ = false;
    std::vector<std::pair<py::weakref, py::object>> callbacks_;
    pthread_t thread_ = pthread_self();
    std::uint64_t generation_ = process_generation;
};

std::unique_ptr<Future> put_async(PyDictionary& self, const py::object& key, const py::object& value) {
    auto future = std::make_unique<Future>(self, Operation::put, key);
    ValueArgument& stored = future->keep(value);
    future->begin([&](const View& view, KeyBytes bytes) {
        return view.start_put_parts(bytes, stored.parts(), stored.type());
    });
    return future;
}

std::unique_ptr<Future> get_async(PyDictionary& self, const py::object& key) {
    auto future = std::make_unique<Future>(self, Operation::get, key);
    future->begin([](const View& view, KeyBytes bytes) {
        return view.start_get(bytes, detail::sink_type<ReceivedValue>());
    });
    return future;
}

std::unique_ptr<Future> erase_async(PyDictionary& self, const py::object& key) {
    auto future = std::make_unique<Future>(self, Operation::erase, key);
    future->begin([](const View& view, KeyBytes bytes) { return view.start_erase(bytes); });
    return future;
}

std::unique_ptr<Future> wait_async(PyDictionary& self, const py::object& key, const py::object& timeout) {
    auto future = std::make_unique<Future>(self.within(timeout), Operation::wait_for, key);
    future->begin([](const View& view, KeyBytes bytes) {
        return view.start_wait(bytes, detail::sink_type<ReceivedValue>());
    });
    return future;
}

/// How many seconds until it wants to be called again; 0: at once.
double move_along(PyDictionary& self) {
    const auto next = self.call_unnoted([](const View& view) { return view.move_along(); });
    if (!next.has_value()) raise(next.error());
    return std::max(0.0, std::chrono::duration<double>(*next - Clock::now()).count());
}

}  // namespace

void PyDictionary::note_call() const noexcept {
    const py::error_scope outer;
    try {
        py::module_::import("ddict._async").attr("note_call")(reinterpret_cast<std::uintptr_t>(link_.get()));
    } catch (py::error_already_set& error) {
        error.discard_as_unraisable("ddict: a call while something is awaited");
    }
}

void bind_futures(py::module_& module, DictionaryClass& dictionary) {
    py::class_<Future>(
        module, "Future", py::module_local(), py::custom_type_setup(refuse_new),
        "An operation under way, or what came of it, as of concurrent.futures; also to be awaited. "
        "For the thread that began it: it moves along in that thread's calls to the dictionary, or "
        "in its event loop. A put that nobody holds any more is waited for.")
        .def("result", &Future::result, py::arg("timeout") = py::none(),
             "What came of it, waiting for so many seconds at the most (Timeout): the value of a get or a "
             "wait, "
             "None of a put, of an erase whether the key was there. Raises what it failed with.")
        .def("exception", &Future::exception, py::arg("timeout") = py::none(),
             "The exception that it failed with, or None.")
        .def("done", &Future::done, "Whether result() would return at once. Moves things along.")
        .def("running", &Future::running, "Whether it is still under way.")
        .def("cancel", &Future::cancel,
             "Ends it, as if its deadline were now; False if it was done. A put may have been made all the "
             "same.")
        .def("cancelled", &Future::cancelled, "Whether cancel() has ended it.")
        .def(
            "add_done_callback",
            [](const py::object& self, const py::object& function) {
                self.cast<Future&>().add_done_callback(self, function);
            },
            py::arg("fn"), "Calls fn(self) in the call that finds it done; at once if it is.")
        .def("__repr__", &Future::shown)
        .def("_spin", &Future::spin)
        .def("_has_ended", &Future::has_ended)
        .def_property_readonly("_is_short", &Future::is_short)
        .def_property_readonly("_dictionary", [](const Future& self) { return self.dictionary(); })
        .attr("__module__") = "ddict";
    dictionary
        .def("put_async", put_async, py::arg("key"), py::arg("value"),
             "Begins to store a pair, and returns a Future. A large array is sent from where it lies: it "
             "must stay "
             "as it is until that is done.")
        .def("get_async", get_async, py::arg("key"), "Begins to read a value, and returns a Future.")
        .def("erase_async", erase_async, py::arg("key"),
             "Begins to remove a key, and returns a Future: whether it was there.")
        .def("wait_async", wait_async, py::arg("key"), py::arg("timeout") = py::none(),
             "Begins to wait for a key, as wait(), and returns a Future.")
        .def("_async_descriptor",
             [](PyDictionary& self) {
                 return self.value_of([](const View& view) { return view.async_descriptor(); });
             })
        .def("_move_along", move_along)
        .def_property_readonly(
            "_link", [](PyDictionary& self) { return reinterpret_cast<std::uintptr_t>(&self.link()); });
    module.def("_await", [](int more) { loops_that_await += static_cast<std::uint64_t>(more); });
}

}  // namespace ddict::python
