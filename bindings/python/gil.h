// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The interpreter's lock around calls of the library: released while one waits or copies, and taken again so
// that Ctrl-C and the end of the interpreter are survived.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace ddict::python {

namespace py = pybind11;

/// Begins to watch for signals and for the end of the interpreter. Once, when the module is imported.
void watch_interpreter();

/// Takes the lock again. A thread that is not the main one does not come back once the interpreter ends:
/// Python would end it in the middle of its frames otherwise.
void take_gil(PyThreadState* state);

/// Whether the call that this thread is in is to end: a signal handler has raised, or its dictionary is
/// detached. Without the lock.
bool is_call_to_end();

/// Throws what a signal handler has raised during a call (KeyboardInterrupt).
void throw_if_interrupted();

/// Throws Busy in Python's code that runs in the middle of a call of this thread: a signal handler, or what
/// an InnerPython is for.
void refuse_in_handler();

/// A function of the program's is called in the middle of a call of the library: has the lock for that,
/// whether the call has it or not. At its end the interpreter waits for such functions, for some seconds, and
/// then ends their threads wherever they want the lock.
class InnerPython {
  public:
    InnerPython();
    ~InnerPython();
    InnerPython(const InnerPython&) = delete;
    InnerPython& operator=(const InnerPython&) = delete;

  private:
    PyThreadState* state_;  // null: the lock was there
};

/// Of this thread, while a call has given the lock away.
inline thread_local PyThreadState* state_without_gil = nullptr;

/// Whether a thread's call is to end because its dictionary is detached.
using EndsCall = bool (*)();
void set_ends_call(EndsCall ends);

/// Calls f without the lock. f touches no Python object. (The lock is taken by a statement, not by a
/// destructor: the interpreter may unwind the thread from there.)
template <class F>
auto without_gil(F&& f) {
    using R = std::invoke_result_t<F>;
    std::exception_ptr failure;
    std::optional<R> result;
    PyThreadState* const state = PyEval_SaveThread();
    state_without_gil = state;
    try {
        result.emplace(f());
    } catch (...) {
        failure = std::current_exception();
    }
    state_without_gil = nullptr;
    take_gil(state);
    if (failure) std::rethrow_exception(failure);
    return *std::move(result);
}

/// Runs a slot of a type: what is thrown becomes Python's error. Everything but the interpreter's own
/// unwinding of a thread, which passes.
template <class R, class F>
R guarded(R failed, F&& f) {
    try {
        return f();
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (py::builtin_exception& error) {
        error.set_error();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return failed;
}

}  // namespace ddict::python
