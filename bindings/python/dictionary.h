// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The class Dictionary of Python: a view of a link's keys, with a deadline and a manager of its own, perhaps.
#pragma once

#include <ddict/view.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bindings/python/errors.h"
#include "bindings/python/gil.h"
#include "bindings/python/keys.h"
#include "bindings/python/link.h"
#include "bindings/python/placement.h"
#include "bindings/python/values.h"

namespace ddict::python {

namespace py = pybind11;

/// Of all threads, as ddict/_async.py counts them.
inline std::uint64_t loops_that_await = 0;

/// What makes a view out of the link's.
struct ViewRecipe {
    std::optional<std::chrono::nanoseconds> timeout{};
    std::optional<std::uint32_t> manager{};
    std::optional<std::uint32_t> checkpoint{};  // none: the link's
    UserPlacement placement{};
    bool allow_pickle = true;
    bool persistent = false;  // see View
    bool at_once = false;
    bool when_space = false;
    std::optional<std::chrono::nanoseconds> ttl{};
};

/// Threads: any number, with the interpreter's lock; its calls release it.
class PyDictionary {
  public:
    PyDictionary(std::shared_ptr<Link> link, const ViewRecipe& recipe)
        : link_(std::move(link)), recipe_(recipe) {}

    Link& link() const { return *link_; }
    const std::shared_ptr<Link>& shared_link() const { return link_; }
    const ViewRecipe& recipe() const { return recipe_; }
    /// One that differs by what `change` sets in the recipe.
    template <class Change>
    PyDictionary with(Change change) const {
        ViewRecipe recipe = recipe_;
        change(recipe);
        return {link_, recipe};
    }
    /// With a time-out for one call; None is its own.
    PyDictionary within(const py::object& timeout) const;
    /// See user_placement(); None for none.
    PyDictionary with_placement(const py::object& function, bool names_manager) const;
    /// That of at(), or the link's.
    std::uint32_t checkpoint_id();
    /// Throws InvalidArgument if at() has made it.
    void require_no_checkpoint() const;
    ValueReader reader() const { return {recipe_.allow_pickle}; }

    /// What f(view) returns, called without the interpreter's lock. Throws what a signal's handler has
    /// raised.
    template <class F>
    auto call(F&& f) {
        const NotedCall noted(*this);
        return call_unnoted(std::forward<F>(f));
    }
    /// The same of a call that takes nothing from those that await something.
    template <class F>
    auto call_unnoted(F&& f) {
        refuse_in_handler();
        if (generation_ != process_generation) [[unlikely]]
            make_view();
        link_->require_attached();
        return link_->call([&] { return f(static_cast<const View&>(view_)); });
    }
    /// The same of a Result, whose error is raised.
    template <class F>
    auto value_of(F&& f, py::handle key = {}) {
        auto result = call(std::forward<F>(f));
        if (!result.has_value()) raise(result.error(), key);
        if constexpr (!std::is_same_v<decltype(result), Result<void>>) return *std::move(result);
    }

    /// What f() reads from bytes that have come. Where they are not what their type says, the error names
    /// what was read, and where it lies.
    template <class F>
    py::object read(Operation operation, KeyBytes bytes, py::handle key, F&& f) {
        try {
            return f();
        } catch (py::error_already_set& error) {
            name_error(error, operation, bytes, key);
            throw;
        }
    }

    /// A call of a thread whose event loop awaits something: it may have taken what the loop waits for.
    class NotedCall {
      public:
        explicit NotedCall(const PyDictionary& self) : self_(self) {}
        ~NotedCall() {
            if (loops_that_await != 0) [[unlikely]]
                self_.note_call();
        }
        NotedCall(const NotedCall&) = delete;
        NotedCall& operator=(const NotedCall&) = delete;

      private:
        const PyDictionary& self_;
    };

  private:
    void note_call() const noexcept;
    void make_view();
    void name_error(py::error_already_set& error, Operation operation, KeyBytes bytes, py::handle key);

    std::shared_ptr<Link> link_;
    ViewRecipe recipe_;
    std::uint64_t generation_ = 0;  // of the process whose attachment view_ is of
    View view_;
};

/// Seconds as the program has them; None for `fallback`. Throws for what is no time.
std::optional<std::chrono::nanoseconds> seconds_of(const py::object& seconds, const char* name);

/// Receives the value of a call that may be made again (a get).
template <class F>
py::object received_again(PyDictionary& self, PyObject* key, F&& receive, PyObject* fallback = nullptr,
                          Operation operation = Operation::get) {
    const KeyArgument bytes(key);
    ReceivedValue value;
    value.may_ask_again(true);
    Result<void> got = self.call([&](const View& view) { return receive(view, bytes.view(), value); });
    for (int i = 0; !got && value.wants_object() && i < 4; ++i) {
        value.make_object();
        if (i == 3) value.may_ask_again(false);  // its size changes all the time
        got = self.call([&](const View& view) { return receive(view, bytes.view(), value); });
    }
    if (!got) {
        if (fallback != nullptr && got.error().code == Errc::not_found)
            return py::reinterpret_borrow<py::object>(fallback);
        raise(got.error(), key);
    }
    return self.read(operation, bytes.view(), key, [&] { return self.reader().object_of(value); });
}

/// Receives the values of many keys into the rows of `out`; a key that is missing has `missing` there.
/// Returns `out`, or with `returns_errors` for each key None or the exception.
py::object get_rows(PyDictionary& self, const py::object& keys, const py::object& out,
                    const py::object& missing, bool returns_errors);

using DictionaryClass = py::class_<PyDictionary>;

/// For a class that only this module makes objects of: Class.__new__(Class) would have none of the parts.
void refuse_new(PyHeapTypeObject* type);

// Each adds its methods to the class.
void bind_mapping(DictionaryClass& dictionary);
void bind_atomics(DictionaryClass& dictionary);
void bind_waits(DictionaryClass& dictionary);
void bind_many(DictionaryClass& dictionary);
void bind_scans(py::module_& module, DictionaryClass& dictionary);
void bind_arrays(DictionaryClass& dictionary);
void bind_futures(py::module_& module, DictionaryClass& dictionary);
void bind_state(DictionaryClass& dictionary);
/// Of a str, bytes or os.PathLike.
std::string path_of(const py::object& given);
void bind_checkpoints(py::module_& module, DictionaryClass& dictionary);
void bind_queues(py::module_& module, DictionaryClass& dictionary);
/// The slots that make it a mapping: before the class is made.
void set_mapping_slots(PyHeapTypeObject* type);

}  // namespace ddict::python
