// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Saving to disk, and loading.
#include <ddict/checkpoint.h>
#include <ddict/dictionary.h>

#include <chrono>
#include <thread>

#include <pybind11/stl.h>

#include "bindings/python/checkpoint_store.h"
#include "bindings/python/dictionary.h"

namespace ddict::python {

std::string path_of(const py::object& given) {
    const auto path = py::reinterpret_steal<py::object>(PyOS_FSPath(given.ptr()));
    if (!path) throw py::error_already_set();
    PyObject* bytes = nullptr;
    if (PyUnicode_FSConverter(path.ptr(), &bytes) == 0) throw py::error_already_set();
    return py::reinterpret_steal<py::bytes>(bytes);
}

namespace {

py::object object_of(const CheckpointInfo& info) {
    const auto seconds = [](std::chrono::system_clock::time_point time) {
        return std::chrono::duration<double>(time.time_since_epoch()).count();
    };
    const bool has_error = info.error.detail[0] != '\0';
    const auto path = py::reinterpret_steal<py::object>(
        PyUnicode_DecodeFSDefaultAndSize(info.path.data(), static_cast<Py_ssize_t>(info.path.size())));
    if (!path) throw py::error_already_set();
    return py::module_::import("ddict._checkpoints")
        .attr("made")(path, std::string(name(info.state)), info.name, info.generation, info.checkpoint,
                      info.managers, info.pairs, info.value_bytes, info.bytes, seconds(info.began),
                      seconds(info.ended), has_error ? exception_of(info.error) : py::object(py::none()));
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
                unsigned threads, std::optional<bool> compress) {
    const std::string path = path_of(dir);
    return on_whole(self, Operation::save, progress, [&](const Dictionary& whole, Watch& watch) {
        return whole.try_save(path, {.progress = watch.on_progress(),
                                     .threads = threads,
                                     .keep = keep,
                                     .checkpoint = self.recipe().checkpoint,
                                     .compress = compress});
    });
}

py::object persist(PyDictionary& self, const py::object& progress, unsigned threads,
                   std::optional<bool> compress) {
    return on_whole(self, Operation::persist, progress, [&](const Dictionary& whole, Watch& watch) {
        return whole.try_persist({.progress = watch.on_progress(),
                                  .threads = threads,
                                  .checkpoint = self.recipe().checkpoint,
                                  .compress = compress});
    });
}

py::object status_object(const PersistStatus& status) {
    py::object error = status.error ? exception_of(*status.error) : py::object(py::none());
    return py::module_::import("ddict._checkpoints")
        .attr("PersistStatus")(status.running, status.every, status.persisted, status.overtaken,
                               status.failed, status.last_persisted, status.last_missed, error);
}

py::object persist_status(PyDictionary& self) {
    const Dictionary& whole = self.link().whole();
    const Result<PersistStatus> status = self.link().call([&] { return whole.try_persist_status(); });
    if (!status) raise(status.error());
    return status_object(*status);
}

/// Orders are asked for by the thread that has called.
py::object persist_every(PyDictionary& self, std::uint32_t every, const py::object& order, unsigned threads,
                         std::optional<bool> compress) {
    using Order = PersistEveryOptions::Order;
    const Dictionary& whole = self.link().whole();
    std::optional<py::error_already_set> raised;
    PersistEveryOptions options{.every = every, .threads = threads, .compress = compress};
    options.order = [&]() -> Order {
        if (raised || is_call_to_end()) return Order::stop;
        if (order.is_none()) return Order::go_on;
        const InnerPython inner;
        try {
            const auto word = order().cast<std::string>();
            if (word == "finish") return Order::finish;
            if (word == "go_on") return Order::go_on;
            if (word != "stop") throw py::value_error("order() returns 'go_on', 'finish' or 'stop'");
        } catch (py::error_already_set& error) {
            raised.emplace(std::move(error));
        } catch (const py::builtin_exception& error) {
            error.set_error();
            raised.emplace();
        }
        return Order::stop;
    };
    const PyDictionary::NotedCall noted(self);
    const Result<PersistStatus> done = self.link().call([&] { return whole.try_persist_every(options); });
    if (raised) throw py::error_already_set(*std::move(raised));
    if (!done) raise(done.error());
    return status_object(*done);
}

py::object restore(PyDictionary& self, std::uint32_t checkpoint, const py::object& progress, unsigned threads,
                   bool exclusive) {
    Link& link = self.link();
    const py::object restored =
        on_whole(self, Operation::restore, progress, [&](const Dictionary&, Watch& watch) {
            return link.restore(checkpoint, {.progress = watch.on_progress(),
                                             .threads = threads,
                                             .exclusive = exclusive,
                                             .on_damaged = {}});
        });
    link.set_checkpoint_id(checkpoint);
    return restored;
}

py::object advance(PyDictionary& self, const py::object& progress, unsigned threads) {
    Link& link = self.link();
    const py::object restored =
        on_whole(self, Operation::restore, progress, [&](const Dictionary&, Watch& watch) {
            return link.advance({.progress = watch.on_progress(), .threads = threads, .on_damaged = {}});
        });
    link.set_checkpoint_id(restored.attr("checkpoint").cast<std::uint32_t>());
    return restored;
}

std::vector<std::uint32_t> persisted_ids(PyDictionary& self) {
    const Dictionary& whole = self.link().whole();
    const Result<std::vector<std::uint32_t>> ids =
        self.link().call([&] { return whole.try_persisted_ids(); });
    if (!ids) raise(ids.error());
    return *ids;
}

py::object persist_path(PyDictionary& self) {
    const std::string path = self.link().whole().persist_path();
    return py::reinterpret_steal<py::object>(
        PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
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

void clone_to(PyDictionary& self, PyDictionary& target, unsigned threads) {
    self.link().whole();
    target.link().whole();
    const PyDictionary::NotedCall noted(self);
    const Result<void> done = self.link().call([&] {
        return self.link().clone_to(
            target.link(), {.threads = threads, .checkpoint = self.recipe().checkpoint, .on_damaged = {}});
    });
    if (!done) raise(done.error());
    target.link().set_checkpoint_id(target.link().whole().checkpoint_id());
}

void synchronize_from(PyDictionary& self, PyDictionary& source, unsigned threads) {
    const Dictionary& whole = self.link().whole();
    const Dictionary& other = source.link().whole();
    const Result<void> done = self.link().call([&] {
        return whole.try_synchronize_from(
            other, {.threads = threads, .checkpoint = source.recipe().checkpoint, .on_damaged = {}});
    });
    if (!done) raise(done.error());
}

/// Whose name, nodes and memory are those of the options, where these say something.
PyDictionary copy_of(PyDictionary& self, const std::string& name, const py::object& total_mem,
                     std::uint32_t managers_per_node) {
    CreateOptions options;
    options.name = name;
    options.managers_per_node = managers_per_node;
    options.total_mem = py::module_::import("ddict._sizes").attr("bytes_of")(total_mem).cast<std::uint64_t>();
    options.attach = self.link().options();
    self.link().whole();
    const LoadOptions load{.checkpoint = self.recipe().checkpoint, .on_damaged = {}};
    Result<Dictionary> copy = self.link().call([&] { return self.link().copy(options, load); });
    if (!copy) raise(copy.error());
    const std::uint32_t at = copy->checkpoint_id();
    auto link = std::make_shared<Link>(*std::move(copy), options.attach);
    Link::remember(link);
    link->set_checkpoint_id(at);
    return PyDictionary(link, {.allow_pickle = self.recipe().allow_pickle});
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
             py::arg("progress") = py::none(), py::arg("threads") = 0, py::arg("compress") = py::none(),
             "Saves all pairs to a new folder dir/NAME/GENERATION, which is there when this returns, and not "
             "before. Others may go on meanwhile. keep: how many of this dictionary stay, the new one "
             "included; 0: all. compress: by zstd, where that makes it smaller; None: if the environment has "
             "DDICT_COMPRESS=1. progress(pairs, bytes, bytes_in_all) is called now and then, and ends it by "
             "an exception.")
        .def(
            "load", load, py::arg("path"), py::kw_only(), py::arg("progress") = py::none(),
            py::arg("threads") = 0, py::arg("exclusive") = false,
            "Stores all pairs of the newest checkpoint at a path: DIR, DIR/NAME or DIR/NAME/GENERATION. What "
            "cannot fit is refused (NoSpace) before anything is changed. exclusive: nobody else uses the "
            "dictionary before this returns; if it is empty, the files are read once rather than twice, and "
            "if anything fails, it is empty again.")
        .def("persist", persist, py::kw_only(), py::arg("progress") = py::none(), py::arg("threads") = 0,
             py::arg("compress") = py::none(),
             "Saves all that is seen at this object's checkpoint to the persist path "
             "(create(persist_path=...)). What was persisted of the same checkpoint before is removed when "
             "this one is complete, and so is what is more than persist_count. compress: as of save().")
        .def(
            "set_checkpoint_store",
            [](PyDictionary& self, const py::object& store) {
                self.link().whole();  // it is there
                self.link().set_checkpoint_store(store_of(store));
            },
            py::arg("store"),
            "From now on save(), load(), persist(), restore() and their like of this process go to this "
            "object (CheckpointStore) rather than to the file system; None: the file system again.")
        .def("persist_status", persist_status,
             "How checkpoints are persisted by themselves (create(persist_freq=...)): a PersistStatus.")
        .def("persist_every", persist_every, py::arg("every"), py::arg("order") = py::none(), py::kw_only(),
             py::arg("threads") = 0, py::arg("compress") = py::none(),
             "Persists every n-th checkpoint once newer ones have retired it, in this thread, until order() "
             "returns 'finish' (also what is due and not retired yet) or 'stop' rather than 'go_on'. Returns "
             "a PersistStatus. compress: as of save().")
        .def("clone_to", clone_to, py::arg("target"), py::kw_only(), py::arg("threads") = 0,
             "What is seen at this object's checkpoint takes the place of all pairs of another dictionary, "
             "with whatever number of managers, and that object goes on at it. What cannot fit (NoSpace) is "
             "refused before anything is changed.")
        .def("synchronize_from", synchronize_from, py::arg("source"), py::kw_only(), py::arg("threads") = 0,
             "Stores on empty_managers() what belongs there of another dictionary that has had the same "
             "pairs.")
        .def("copy", copy_of, py::kw_only(), py::arg("name") = "", py::arg("total_mem") = py::none(),
             py::arg("managers_per_node") = 0,
             "A new dictionary like this one, with all that is seen at this object's checkpoint.")
        .def("persisted_ids", persisted_ids,
             "The ids of the checkpoints in the persist path that are complete, in order.")
        .def("restore", restore, py::arg("checkpoint"), py::kw_only(), py::arg("progress") = py::none(),
             py::arg("threads") = 0, py::arg("exclusive") = false,
             "What was persisted under this id takes the place of all pairs, at every checkpoint, and the "
             "dictionary goes on at it. What is not there (NotFound), cannot fit (NoSpace) or is damaged is "
             "refused before anything is changed. exclusive: as of load.")
        .def("advance", advance, py::kw_only(), py::arg("progress") = py::none(), py::arg("threads") = 0,
             "Of a dictionary that is read-only: restore() of the persisted checkpoint that follows the one "
             "that "
             "it is at; NotFound if there is none yet.")
        .def_property_readonly(
            "is_read_only", [](PyDictionary& self) { return self.link().whole().is_read_only(); },
            "Whether pairs are changed by restore() and advance() alone (create(read_only=True)).")
        .def_property_readonly("persist_path", persist_path,
                               "Where it is persisted: an absolute path; '' if nowhere.")
        .def("_load_latest", load_latest, py::arg("dir"), py::arg("progress"), py::arg("threads"),
             py::arg("exclusive"));
    module.def("checkpoints", checkpoints, py::arg("path"),
               "All checkpoints at a path, in the order of names and generations, also those that are not "
               "complete. Needs no dictionary.");
}

}  // namespace ddict::python
