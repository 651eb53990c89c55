// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bindings/python/gil.h"

#include <ddict/interrupt.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>

#include "bindings/python/errors.h"

namespace ddict::python {
namespace {

std::atomic<bool> interpreter_ends{false};
std::atomic<std::uint64_t> taking{0};  // threads that are about to take the lock
std::atomic<std::uint64_t> inside{0};  // that are in an InnerPython
thread_local unsigned depth_inside = 0;
std::atomic<EndsCall> ends_call{nullptr};
pthread_t main_thread;                   // of the interpreter; in a child of fork() the one that forked
bool was_interrupted = false;            // of the main thread; guarded by the lock
bool is_handling_signals = false;        // the same
InterruptCheck check_outside = nullptr;  // of the program that has the interpreter

bool is_main_thread() {
    return pthread_equal(pthread_self(), main_thread) != 0;
}

/// Asked by the library in a thread that waits.
bool is_to_end() {
    if (const EndsCall ends = ends_call.load(std::memory_order_relaxed); ends != nullptr && ends())
        return true;
    if (!is_main_thread()) return false;
    const PyGILState_STATE state = PyGILState_Ensure();
    if (!was_interrupted) {
        is_handling_signals = true;
        was_interrupted = PyErr_CheckSignals() != 0;
        is_handling_signals = false;
    }
    const bool ends = was_interrupted;
    PyGILState_Release(state);
    return ends;
}

/// Afterwards no other thread waits for the lock in a call of ours: Python would unwind it there, without the
/// lock, and what its frames hold would be released all the same.
void end_of_interpreter() {
    constexpr std::chrono::seconds functions_end_within{5};
    interpreter_ends.store(true);
    const auto deadline = std::chrono::steady_clock::now() + functions_end_within;
    const auto is_inside = [&] {
        return inside.load() > depth_inside && std::chrono::steady_clock::now() < deadline;
    };
    while (taking.load() != 0 || is_inside()) {
        PyThreadState* const state = PyEval_SaveThread();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        PyEval_RestoreThread(state);
    }
}

}  // namespace

void watch_interpreter() {
    // Imported by another thread, the module asks who is the main one.
    const auto threading = py::module_::import("threading");
    main_thread = threading.attr("main_thread")().attr("ident").cast<pthread_t>();
    pthread_atfork(nullptr, nullptr, [] {
        main_thread = pthread_self();
        taking = 0;  // other threads are not there any more, nor what they were in
        inside = depth_inside;
        was_interrupted = is_handling_signals = false;
    });
    py::module_::import("atexit").attr("register")(py::cpp_function(end_of_interpreter));
    // A program that has embedded the interpreter may go on with the library when that has ended.
    interpreter_ends = false;
    const InterruptCheck outer = set_interrupt_check(is_to_end);
    if (outer != is_to_end) check_outside = outer;
    if (Py_AtExit([] { set_interrupt_check(check_outside); }) != 0) set_interrupt_check(check_outside);
}

bool is_call_to_end() {
    return is_to_end();
}

void take_gil(PyThreadState* state) {
    ++taking;
    if (interpreter_ends.load() && !is_main_thread()) [[unlikely]] {
        --taking;
        for (;;)
            pause();
    }
    PyEval_RestoreThread(state);
    --taking;
}

InnerPython::InnerPython() : state_(std::exchange(state_without_gil, nullptr)) {
    if (state_ != nullptr) take_gil(state_);
    ++inside;
    ++depth_inside;
}

InnerPython::~InnerPython() {
    --depth_inside;
    if (state_ != nullptr) {
        PyEval_SaveThread();
        state_without_gil = state_;
    }
    --inside;
}

void throw_if_interrupted() {
    if (!was_interrupted || !is_main_thread()) return;
    was_interrupted = false;
    throw py::error_already_set();
}

void refuse_in_handler() {
    if (depth_inside != 0) {
        raise(Error(Errc::busy,
                    "a function that is called in the middle of a call of this thread must not make "
                    "another"));
    }
    if (!is_handling_signals || !is_main_thread()) return;
    raise(Error(Errc::busy,
                "a signal handler has interrupted a call of this thread, and must not make another: let "
                "it set a flag or raise an exception"));
}

void set_ends_call(EndsCall ends) {
    ends_call.store(ends);
}

}  // namespace ddict::python
