// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Saving to disk, and loading.
#include <ddict/checkpoint.h>
#include <ddict/dictionary.h>

#include <chrono>
#include <thread>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

std::string path_of(const py::object& given) {
    const auto path = py::reinterpret_steal<py::object>(PyOS_FSPath(given.ptr()));
    if (!path) throw py::error_already_set();
    PyObject* bytes = nullptr;
    if (PyUnicode_FSConverter(path.ptr(), &bytes) == 0) throw py::error_already_set();
    return py::reinterpret_steal<py::bytes>(bytes);
}

py::object object_of(const CheckpointInfo& info) {
    const auto seconds = [](std::chrono::system_clock::time_point time) {
        return std::chrono::duration<double>(time.time_since_epoch()).count();
    };
    const bool has_error = info.error.detail[0] != '\0';
    const auto path = py::reinterpret_steal<py::object>(
        PyUnicode_DecodeFSDefaultAndSize(info.path.data(), static_cast<Py_ssize_t>(info.path.size())));
    if (!path) throw py::error_already_set();
    return py::module_::import("ddict._checkpoints")
        .attr("made")(path, std::string(name(info.state)), info.name, info.generation, info.managers,
                      info.pairs, info.value_bytes, info.bytes, seconds(info.began), seconds(info.ended),
                      has_error ? exception_of(info.error) : py::object(py::none()));
}

/// Tells the program how far a save or a load is, in the thread that has called it: the others that work for
/// it are none of Python's.
class Watch {
  public:
    explicit Watch(py::object function) : function_(std::move(function)) {}

    OnCheckpointProgress on_progress() {
        return [this](const CheckpointProgress& progress) {
            return std::this_thread::get_id() != caller_ || goes_on(progress);
        };
    }
    /// Throws what the program's function has raised.
    void rethrow() {
        if (raised_) throw py::error_already_set(*std::move(raised_));
    }

  private:
    bool goes_on(const CheckpointProgress& progress) {
        const auto now = std::chrono::steady_clock::now();
        if (raised_) return false;
        if (now < next_) return true;
        next_ = now + std::chrono::milliseconds(100);
        if (is_call_to_end()) return false;
        if (function_.is_none()) return true;
        const InnerPython inner;
        try {
            function_(progress.pairs, progress.bytes, progress.bytes_in_all);
        } catch (py::error_already_set& error) {
            raised_.emplace(std::move(error));
        }
        return !raised_;
    }

    const py::object function_;
    const std::thread::id caller_ = std::this_thread::get_id();
    std::chrono::steady_clock::time_point next_{};
    std::optional<py::error_already_set> raised_;
};

/// What f(dictionary, watch) does with all of the dictionary.
template <class F>
py::object on_whole(PyDictionary& self, Operation operation, const py::object& progress, F&& f) {
    if (self.recipe().manager || self.recipe().timeout || self.recipe().placement.function)
        raise(Error(Errc::invalid_argument,
                    "the dictionary itself is saved and loaded, without within(), manager(), placed_by() or "
                    "placed_at()")
                  .set_operation(operation));
    const Dictionary& whole = self.link().whole();
    Watch watch(progress);
    const PyDictionary::NotedCall noted(self);
    const Result<CheckpointInfo> done = self.link().call([&] { return f(whole, watch); });
    watch.rethrow();
    if (!done) raise(done.error());
    return object_of(*done);
}

py::object save(PyDictionary& self, const py::object& dir, unsigned keep, const py::object& progress,
                unsigned threads) {
    const std::string path = path_of(dir);
    return on_whole(self, Operation::save, progress, [&](const Dictionary& whole, Watch& watch) {
        return whole.try_save(path, {.progress = watch.on_progress(), .threads = threads, .keep = keep});
    });
}

py::object load(PyDictionary& self, const py::object& from, const py::object& progress, unsigned threads,
                bool exclusive) {
    const std::string path = path_of(from);
    return on_whole(self, Operation::load, progress, [&](const Dictionary& whole, Watch& watch) {
        return whole.try_load(
            path,
            {.progress = watch.on_progress(), .threads = threads, .exclusive = exclusive, .on_damaged = {}});
    });
}

/// The one that is loaded, and those that were passed over.
py::tuple load_latest(PyDictionary& self, const py::object& dir, const py::object& progress, unsigned threads,
                      bool exclusive) {
    const std::string path = path_of(dir);
    std::vector<CheckpointInfo> damaged;
    const py::object loaded =
        on_whole(self, Operation::load, progress, [&](const Dictionary& whole, Watch& watch) {
            const auto note = [&](const CheckpointInfo& info) { damaged.push_back(info); };
            return whole.try_load_latest(path, {.progress = watch.on_progress(),
                                                .threads = threads,
                                                .exclusive = exclusive,
                                                .on_damaged = note});
        });
    py::list passed_over;
    for (const CheckpointInfo& info : damaged)
        passed_over.append(object_of(info));
    return py::make_tuple(loaded, passed_over);
}

py::list checkpoints(const py::object& at) {
    const std::string path = path_of(at);
    const auto listed = without_gil([&] { return Checkpoints::list(path); });
    if (!listed) raise(listed.error());
    py::list list;
    for (const CheckpointInfo& info : *listed)
        list.append(object_of(info));
    return list;
}

}  // namespace

void bind_checkpoints(py::module_& module, DictionaryClass& dictionary) {
    dictionary
        .def("save", save, py::arg("dir"), py::kw_only(), py::arg("keep") = 0,
             py::arg("progress") = py::none(), py::arg("threads") = 0,
             "Saves all pairs to a new folder dir/NAME/GENERATION, which is there when this returns, and not "
             "before. Others may go on meanwhile. keep: how many of this dictionary stay, the new one "
             "included; 0: all. progress(pairs, bytes, bytes_in_all) is called now and then, and ends it by "
             "an exception.")
        .def(
            "load", load, py::arg("path"), py::kw_only(), py::arg("progress") = py::none(),
            py::arg("threads") = 0, py::arg("exclusive") = false,
            "Stores all pairs of the newest checkpoint at a path: DIR, DIR/NAME or DIR/NAME/GENERATION. What "
            "cannot fit is refused (NoSpace) before anything is changed. exclusive: nobody else uses the "
            "dictionary before this returns; if it is empty, the files are read once rather than twice, and "
            "if anything fails, it is empty again.")
        .def("_load_latest", load_latest, py::arg("dir"), py::arg("progress"), py::arg("threads"),
             py::arg("exclusive"));
    module.def("checkpoints", checkpoints, py::arg("path"),
               "All checkpoints at a path, in the order of names and generations, also those that are not "
               "complete. Needs no dictionary.");
}

}  // namespace ddict::python
