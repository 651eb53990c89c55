// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Other views, the life of a dictionary, and what it says of itself.
#include <chrono>
#include <cmath>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

using std::chrono::nanoseconds;

py::object made_from_pickle() {
    return py::module_::import("ddict._mapping").attr("from_pickle");
}

py::object function_of(const UserPlacement& placement) {
    if (!placement.function) return py::none();
    return py::reinterpret_borrow<py::object>(placement.function.get());
}

/// The handle, and what makes this view of it.
py::tuple reduce(PyDictionary& self) {
    const AttachOptions& options = self.link().options();
    const ViewRecipe& recipe = self.recipe();
    const auto seconds = [](auto time) -> py::object {
        if (!time) return py::none();
        return py::float_(std::chrono::duration<double>(*time).count());
    };
    const py::object manager =
        recipe.manager ? py::object(py::int_(*recipe.manager)) : py::object(py::none());
    return py::make_tuple(
        made_from_pickle(),
        py::make_tuple(self.link().handle(), seconds(options.timeout),
                       seconds(std::optional(options.attach_timeout)), options.local_reads,
                       seconds(recipe.timeout), manager, recipe.allow_pickle, function_of(recipe.placement),
                       recipe.placement.names_manager, self.checkpoint_id(), recipe.checkpoint.has_value(),
                       recipe.persistent, recipe.at_once, recipe.when_space, seconds(recipe.ttl)));
}

std::string shown(PyDictionary& self) {
    std::string text = "<ddict.Dictionary";
    if (self.link().is_detached()) return text + ", detached>";
    text += " '" + self.link().name() + "', " +
            std::to_string(self.call([](const View& view) { return view.manager_count(); })) + " managers";
    if (self.recipe().manager) text += ", manager " + std::to_string(*self.recipe().manager);
    if (self.recipe().placement.function)
        text += std::string(", placed ") + (self.recipe().placement.names_manager ? "at " : "by ") +
                py::repr(function_of(self.recipe().placement)).cast<std::string>();
    if (self.recipe().timeout) {
        const double seconds = std::chrono::duration<double>(*self.recipe().timeout).count();
        text += ", within " + py::str(py::float_(seconds)).cast<std::string>() + " s";
    }
    if (self.recipe().ttl) {
        const double seconds = std::chrono::duration<double>(*self.recipe().ttl).count();
        text += ", ttl " + py::str(py::float_(seconds)).cast<std::string>() + " s";
    }
    return text + ">";
}

py::dict operation_stats(const OperationStats& stats) {
    py::dict dict;
    dict["count"] = stats.count;
    dict["p50_ns"] = stats.p50_ns;
    dict["p99_ns"] = stats.p99_ns;
    dict["max_ns"] = stats.max_ns;
    return dict;
}

py::dict stats_of(const ManagerStats& stats) {
    py::dict dict;
    dict["manager"] = stats.manager;
    dict["node"] = stats.node;
    dict["pid"] = stats.pid;
    dict["keys"] = stats.keys;
    dict["pool_bytes"] = stats.pool_bytes;
    dict["used_bytes"] = stats.used_bytes;
    dict["free_bytes"] = stats.free_bytes;
    dict["largest_free_bytes"] = stats.largest_free_bytes;
    dict["index_bytes"] = stats.index_bytes;
    dict["sessions"] = stats.sessions;
    dict["rejected_messages"] = stats.rejected_messages;
    dict["puts"] = stats.puts;
    dict["gets"] = stats.gets;
    dict["hits"] = stats.hits;
    dict["contains"] = stats.contains;
    dict["erases"] = stats.erases;
    dict["clears"] = stats.clears;
    dict["scans"] = stats.scans;
    dict["local_reads"] = stats.local_reads;
    dict["refused_puts"] = stats.refused_puts;
    dict["waiting"] = stats.waiting;
    dict["broadcasts"] = stats.broadcasts;
    dict["broadcast_keys"] = stats.broadcast_keys;
    dict["payloads_in_flight"] = stats.payloads_in_flight;
    dict["private_bytes"] = stats.private_bytes;
    dict["repeated_requests"] = stats.repeated_requests;
    dict["unreachable_clients"] = stats.unreachable_clients;
    dict["restarts"] = stats.restarts;
    dict["tunnels"] = stats.tunnels;
    dict["refused_tunnels"] = stats.refused_tunnels;
    dict["expired"] = stats.expired;
    dict["working_set"] = stats.working_set;
    dict["newest_checkpoint"] = stats.newest_checkpoint;
    dict["oldest_checkpoint"] = stats.oldest_checkpoint;
    dict["old_versions"] = stats.old_versions;
    dict["old_version_bytes"] = stats.old_version_bytes;
    dict["transient_pairs"] = stats.transient_pairs;
    dict["held_requests"] = stats.held_requests;
    dict["waits_for_keys"] = stats.waits_for_keys;
    dict["waits_for_writers"] = stats.waits_for_writers;
    dict["held_checkpoint"] = stats.held_checkpoint;
    dict["frozen"] = stats.frozen;
    dict["without_kept"] = stats.without_kept;
    dict["transport"] = stats.transport;
    py::dict operations;
    for (const OperationStats& operation : stats.operations)
        operations[py::str(std::string(name(operation.operation)))] = operation_stats(operation);
    dict["operations"] = operations;
    return dict;
}

py::list stats(PyDictionary& self) {
    const auto all = self.value_of([](const View& view) { return view.try_stats(); });
    py::list list;
    for (const ManagerStats& manager : all)
        list.append(stats_of(manager));
    return list;
}

py::list health(PyDictionary& self) {
    const auto all = self.value_of([](const View& view) { return view.try_health(); });
    py::list list;
    for (const ManagerHealth& manager : all) {
        py::dict dict;
        dict["manager"] = manager.manager;
        dict["node"] = manager.node.empty() ? py::object(py::none()) : py::object(py::str(manager.node));
        dict["alive"] = manager.alive();
        dict["round_trip"] = std::chrono::duration<double>(manager.round_trip).count();
        dict["error"] = manager.error ? exception_of(*manager.error) : py::object(py::none());
        dict["restarts"] = manager.restarts;
        dict["restarting"] = manager.restarting;
        list.append(dict);
    }
    return list;
}

py::dict profile(PyDictionary& self) {
    const ClientProfile all = self.call([](const View& view) { return view.profile(); });
    const auto seconds = [](nanoseconds time) { return std::chrono::duration<double>(time).count(); };
    py::dict operations;
    for (const OperationProfile& operation : all.operations) {
        py::dict dict;
        dict["count"] = operation.count;
        dict["errors"] = operation.errors;
        dict["bytes_sent"] = operation.bytes_sent;
        dict["bytes_received"] = operation.bytes_received;
        dict["samples"] = operation.samples;
        dict["p50"] = seconds(operation.p50);
        dict["p90"] = seconds(operation.p90);
        dict["p99"] = seconds(operation.p99);
        dict["longest"] = seconds(operation.longest);
        operations[py::str(std::string(name(operation.operation)))] = dict;
    }
    py::dict dict;
    dict["threads"] = all.threads;
    dict["local_reads"] = all.local_reads;
    dict["operations"] = operations;
    return dict;
}

py::list numbers(const std::vector<std::uint32_t>& ids) {
    py::list list;
    for (const std::uint32_t id : ids)
        list.append(id);
    return list;
}

void bind_views(DictionaryClass& dictionary) {
    dictionary
        .def(
            "within",
            [](PyDictionary& self, const py::object& seconds) {
                return self.with(
                    [&](ViewRecipe& recipe) { recipe.timeout = seconds_of(seconds, "timeout"); });
            },
            py::arg("timeout"),
            "The same dictionary, each of whose calls takes this many seconds at the most.")
        .def(
            "manager",
            [](PyDictionary& self, std::uint32_t id) {
                self.value_of([&](const View& view) { return view.try_manager(id); });
                return self.with([&](ViewRecipe& recipe) { recipe.manager = id; });
            },
            py::arg("id"),
            "The same dictionary, all of whose keys live on one manager, whatever their hash; len, clear, "
            "iterations, "
            "stats and freeze are of that manager only.")
        .def(
            "persistent",
            [](PyDictionary& self) {
                return self.with([](ViewRecipe& recipe) { recipe.persistent = true; });
            },
            "The same dictionary; what is put through it is seen at later checkpoints as well, also where "
            "checkpoints wait for keys (create(wait_for_keys=True)).")
        .def(
            "at_once",
            [](PyDictionary& self) { return self.with([](ViewRecipe& recipe) { recipe.at_once = true; }); },
            "The same dictionary; d[key] and pop(key) of a key that is not there raise KeyError, also where "
            "checkpoints wait for keys.")
        .def(
            "when_space",
            [](PyDictionary& self) {
                return self.with([](ViewRecipe& recipe) { recipe.when_space = true; });
            },
            "The same dictionary; a put that is refused with NoSpace waits until there is space, and is "
            "Timeout if there is none in time. What can never fit is TooLarge at once.")
        .def(
            "with_ttl",
            [](PyDictionary& self, const py::object& ttl) {
                const auto time = seconds_of(ttl, "ttl");
                return self.with([&](ViewRecipe& recipe) { recipe.ttl = time; });
            },
            py::arg("ttl"),
            "The same dictionary; what is stored through it is erased by its manager so many seconds after "
            "it "
            "was stored, whatever has become of this program. None: it stays until it is removed.")
        .def(
            "touch",
            [](PyDictionary& self, const py::object& key, const py::object& ttl) {
                const KeyArgument bytes(key.ptr());
                const auto time = seconds_of(ttl, "ttl");
                return self.value_of([&](const View& view) { return view.touch_bytes(bytes.view(), time); },
                                     key);
            },
            py::arg("key"), py::arg("ttl"),
            "The pair that is there is erased so many seconds from now; None: it stays until it is removed. "
            "Says whether there is one.")
        .def(
            "time_to_live",
            [](PyDictionary& self, const py::object& key) -> py::object {
                const KeyArgument bytes(key.ptr());
                const auto left = self.value_of(
                    [&](const View& view) { return view.time_to_live_bytes(bytes.view()); }, key);
                if (!left) return py::none();
                return py::float_(std::chrono::duration<double>(*left).count());
            },
            py::arg("key"),
            "How many seconds are left of a pair's time to live; None if it stays until it is removed.")
        .def(
            "at",
            [](PyDictionary& self, std::uint32_t checkpoint) {
                self.value_of([&](const View& view) { return view.try_at(checkpoint); });
                return self.with([&](ViewRecipe& recipe) { recipe.checkpoint = checkpoint; });
            },
            py::arg("checkpoint"),
            "The dictionary as it is at a checkpoint: each key has the value that was written to it last at "
            "this one or "
            "an earlier one. Changes are made at it. ddict.NEWEST: whichever is the newest. One that is "
            "older "
            "than those "
            "that are kept (create(working_set=...)) is CheckpointRetired.")
        .def_property(
            "checkpoint_id", [](PyDictionary& self) { return self.checkpoint_id(); },
            [](PyDictionary& self, std::uint32_t checkpoint) {
                self.require_no_checkpoint();
                self.link().set_checkpoint_id(checkpoint);
            },
            "The id of the checkpoint of its calls, 0 at first; to be set on what at() has not made.")
        .def(
            "checkpoint",
            [](PyDictionary& self) {
                self.require_no_checkpoint();
                return self.link().checkpoint();
            },
            "Goes on to the next checkpoint, in this process, and returns its id. No message: what is "
            "written first at a "
            "new one makes it the newest, and retires the oldest.")
        .def(
            "rollback",
            [](PyDictionary& self) {
                self.require_no_checkpoint();
                return self.link().rollback();
            },
            "Goes back to the checkpoint before, 0 at the least, and returns its id.")
        .def(
            "newest_checkpoint_id",
            [](PyDictionary& self) {
                return self.value_of([](const View& view) { return view.try_newest_checkpoint_id(); });
            },
            "The id of the newest checkpoint that a manager has seen.")
        .def(
            "sync_to_newest_checkpoint",
            [](PyDictionary& self) {
                self.require_no_checkpoint();
                const auto newest =
                    self.value_of([](const View& view) { return view.try_newest_checkpoint_id(); });
                self.link().set_checkpoint_id(newest);
                return newest;
            },
            "Goes on at the newest checkpoint that a manager has seen, and returns its id.")
        .def(
            "placed_by",
            [](PyDictionary& self, const py::object& function) {
                return self.with_placement(function, false);
            },
            py::arg("function"),
            "The same dictionary, where function(key) decides where a key lives, instead of the key's own "
            "hash: an "
            "int of which 64 bits count, the upper ones first. It has to give the same for a key in every "
            "process, "
            "which hash() of a str does not. None: by the key's own hash again.")
        .def(
            "placed_at",
            [](PyDictionary& self, const py::object& function) {
                return self.with_placement(function, true);
            },
            py::arg("function"),
            "The same dictionary, where function(key) says on which manager a key lives: an int, taken "
            "modulo their "
            "number; the same in every process. None: by the key's own hash again.")
        .def_property_readonly(
            "manager_count",
            [](PyDictionary& self) {
                return self.call([](const View& view) { return view.manager_count(); });
            },
            "The number of managers of the whole dictionary.")
        .def(
            "which_manager",
            [](PyDictionary& self, const py::object& key) {
                const KeyArgument bytes(key.ptr());
                return self.call([&](const View& view) { return view.manager_of_bytes(bytes.view()); });
            },
            py::arg("key"), "The manager that owns a key. No message.")
        .def_property_readonly(
            "local_managers",
            [](PyDictionary& self) {
                return numbers(self.call([](const View& view) { return view.local_managers(); }));
            },
            "The managers on this node, in order.")
        .def_property_readonly(
            "main_manager",
            [](PyDictionary& self) {
                return self.call([](const View& view) { return view.main_manager(); });
            },
            "A manager of this node, or if there is none, one of all; always the same in one process.")
        .def(
            "manager_nodes",
            [](PyDictionary& self) {
                py::list list;
                for (const auto& node :
                     self.value_of([](const View& view) { return view.try_manager_nodes(); }))
                    list.append(node);
                return list;
            },
            "The host names of the managers' nodes, by manager.")
        .def(
            "empty_managers",
            [](PyDictionary& self) {
                py::list list;
                for (const ManagerStats& manager :
                     self.value_of([](const View& view) { return view.try_stats(); }))
                    if (manager.without_kept) list.append(manager.manager);
                return list;
            },
            "After create(resume=True): the managers of which nothing was kept, which began empty.");
}

/// Those who await something in an event loop are told.
void note_end(PyDictionary& self) {
    if (loops_that_await == 0) return;
    py::module_::import("ddict._async").attr("note_end")(reinterpret_cast<std::uintptr_t>(&self.link()));
}

void bind_life(DictionaryClass& dictionary) {
    dictionary.def("__repr__", shown)
        .def("__reduce__", reduce)
        .def_property_readonly(
            "handle", [](PyDictionary& self) { return self.link().handle(); },
            "Whoever has it can attach. Treat it like a password.")
        .def(
            "serialize", [](PyDictionary& self) { return self.link().handle(); },
            "The handle, as the reference calls it.")
        .def_property_readonly("name", [](PyDictionary& self) { return self.link().name(); })
        .def_property_readonly("allow_pickle", [](PyDictionary& self) { return self.recipe().allow_pickle; })
        .def(
            "detach",
            [](PyDictionary& self) {
                self.link().detach();
                note_end(self);
            },
            "Gives up this process's connections: calls after it are NotAttached, also of what was made from "
            "this. Calls "
            "that other threads are in end with the same, or with Timeout.")
        .def(
            "restart", [](PyDictionary& self, std::uint32_t manager) { self.link().restart(manager); },
            py::arg("manager"),
            "Has another process take the place of a manager, and all its pairs over; clients go on.")
        .def(
            "destroy",
            [](PyDictionary& self, bool keep) {
                self.link().destroy(keep);
                note_end(self);
            },
            py::kw_only(), py::arg("keep") = false,
            "Ends the dictionary for everybody, and gives its memory back. keep=True: its pools stay in the "
            "shared memory of its nodes, for create(resume=True) with the same name, until 'ddict-launch "
            "discard'.");
}

}  // namespace

std::optional<nanoseconds> seconds_of(const py::object& seconds, const char* name) {
    if (seconds.is_none()) return std::nullopt;
    const double number = PyFloat_AsDouble(seconds.ptr());
    if (number == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (std::isnan(number)) {
        raise(Error(Errc::invalid_argument, std::string(name) + " is nan: a number of seconds is needed"));
    }
    return detail::TimeoutBudget::clamped(std::chrono::duration<double>(number));
}

PyDictionary PyDictionary::with_placement(const py::object& function, bool names_manager) const {
    return with([&](ViewRecipe& recipe) {
        recipe.placement = function.is_none() ? UserPlacement{} : user_placement(function, names_manager);
    });
}

PyDictionary PyDictionary::within(const py::object& timeout) const {
    return with([&](ViewRecipe& recipe) {
        if (const auto time = seconds_of(timeout, "timeout")) recipe.timeout = time;
    });
}

std::uint32_t PyDictionary::checkpoint_id() {
    if (recipe_.checkpoint) return *recipe_.checkpoint;
    return call_unnoted([](const View& view) { return view.checkpoint_id(); });
}

void PyDictionary::require_no_checkpoint() const {
    if (!recipe_.checkpoint) return;
    raise(
        Error(Errc::invalid_argument, "this is of one checkpoint, that of at(): use what it was made from"));
}

void PyDictionary::make_view() {
    View view = link_->root();
    if (generation_ == process_generation) return;  // another thread has, while this one attached
    if (recipe_.timeout) view = view.within(*recipe_.timeout);
    if (recipe_.manager) {
        Result<View> one = view.try_manager(*recipe_.manager);
        if (!one) raise(one.error());
        view = *std::move(one);
    }
    if (recipe_.checkpoint) view = view.at(*recipe_.checkpoint);
    if (recipe_.persistent) view = view.persistent();
    if (recipe_.at_once) view = view.at_once();
    if (recipe_.when_space) view = view.when_space();
    if (recipe_.ttl) view = view.with_ttl(*recipe_.ttl);
    view_ = placed(view, recipe_.placement);
    generation_ = process_generation;
}

void PyDictionary::name_error(py::error_already_set& error, Operation operation, KeyBytes bytes,
                              py::handle key) {
    const py::object exception = error.value();
    const py::object kind = py::module_::import("ddict._errors").attr("Error");
    if (!py::isinstance(exception, kind) || !exception.attr("operation").is_none()) return;
    const py::object detail = exception.attr("detail");
    const Error bare(Errc::wrong_type, py::str(detail.is_none() ? exception : detail).cast<std::string>());
    const py::object named = exception_of(view_.name_error(bare, operation, bytes), key);
    for (const char* const part : {"operation", "key", "manager", "node", "args"})
        exception.attr(part) = named.attr(part);
}

void bind_state(DictionaryClass& dictionary) {
    bind_views(dictionary);
    bind_life(dictionary);
    dictionary.def("stats", stats, "What every manager says of itself: a list of dicts.")
        .def("health", health, "Asks every manager for a sign of life, within 2 s: a list of dicts.")
        .def("profile", profile, "What this process has done with the dictionary, and how long it took.")
        .def(
            "profile_reset",
            [](PyDictionary& self) {
                self.call([](const View& view) {
                    view.profile_reset();
                    return 0;
                });
            },
            "Begins to count anew.")
        .def(
            "freeze",
            [](PyDictionary& self) { self.value_of([](const View& view) { return view.try_freeze(); }); },
            "Until unfreeze(), all that would change the dictionary is Frozen, for everybody.")
        .def(
            "unfreeze",
            [](PyDictionary& self) { self.value_of([](const View& view) { return view.try_unfreeze(); }); },
            "Allows changes again.")
        .def_property_readonly("is_frozen", [](PyDictionary& self) {
            return self.value_of([](const View& view) { return view.try_is_frozen(); });
        });
}

}  // namespace ddict::python
