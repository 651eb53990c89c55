// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The module ddict._ddict, from which the package takes its classes and functions.
#include <chrono>
#include <memory>

#include <pybind11/stl.h>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

using std::chrono::milliseconds;

std::optional<milliseconds> milliseconds_of(const py::object& seconds, const char* name) {
    const auto time = seconds_of(seconds, name);
    if (!time) return std::nullopt;
    return std::chrono::ceil<milliseconds>(*time);
}

AttachOptions options_of(const py::object& timeout, const py::object& attach_timeout, bool local_reads) {
    AttachOptions options;
    options.timeout = milliseconds_of(timeout, "timeout");
    if (const auto time = milliseconds_of(attach_timeout, "attach_timeout")) options.attach_timeout = *time;
    options.local_reads = local_reads;
    return options;
}

PyDictionary made(Result<Dictionary> dictionary, const AttachOptions& options, bool allow_pickle) {
    throw_if_interrupted();
    if (!dictionary) raise(dictionary.error());
    const auto link = std::make_shared<Link>(*std::move(dictionary), options);
    Link::remember(link);
    return {link, {.allow_pickle = allow_pickle}};
}

/// Any text: one that is no handle is for the library to refuse.
std::string handle_in(const py::object& handle) {
    if (!PyUnicode_Check(handle.ptr()))
        raise_type_error(std::string("a handle is a str, not a '") + Py_TYPE(handle.ptr())->tp_name + "'");
    const auto bytes =
        py::reinterpret_steal<py::bytes>(PyUnicode_AsEncodedString(handle.ptr(), "utf-8", "surrogatepass"));
    if (!bytes) throw py::error_already_set();
    return bytes;
}

PyDictionary attach(const py::object& given, const py::object& timeout, const py::object& attach_timeout,
                    bool local_reads, bool allow_pickle) {
    const AttachOptions options = options_of(timeout, attach_timeout, local_reads);
    std::optional<std::string> handle;
    if (!given.is_none()) handle = handle_in(given);
    refuse_in_handler();
    return made(without_gil([&] {
                    return handle ? Dictionary::try_attach(*handle, options)
                                  : Dictionary::try_attach(options);
                }),
                options, allow_pickle);
}

PyDictionary create(std::uint32_t nodes, std::uint32_t managers_per_node, const py::object& total_mem,
                    const std::string& name, const std::string& nodelist, const py::object& launch_timeout,
                    bool restart, bool resume, bool allow_empty, std::uint32_t working_set,
                    bool wait_for_keys, bool wait_for_writers, const py::object& persist_path,
                    std::uint32_t persist_count, std::uint32_t persist_freq,
                    std::optional<std::uint32_t> restore_from, bool read_only, const py::object& timeout,
                    bool local_reads, bool allow_pickle) {
    CreateOptions options;
    if (!persist_path.is_none()) options.persist_path = path_of(persist_path);
    options.persist_count = persist_count;
    options.persist_freq = persist_freq;
    options.restore_from = restore_from;
    options.read_only = read_only;
    options.working_set = working_set;
    options.wait_for_keys = wait_for_keys;
    options.wait_for_writers = wait_for_writers;
    options.restart = restart;
    options.resume = resume;
    options.allow_empty = allow_empty;
    options.nodes = nodes;
    options.managers_per_node = managers_per_node;
    options.total_mem = py::module_::import("ddict._sizes").attr("bytes_of")(total_mem).cast<std::uint64_t>();
    options.name = name;
    options.nodelist = nodelist;
    if (const auto time = milliseconds_of(launch_timeout, "launch_timeout")) options.launch_timeout = *time;
    options.attach = options_of(timeout, py::none(), local_reads);
    refuse_in_handler();
    return made(without_gil([&] { return Dictionary::try_create(options); }), options.attach, allow_pickle);
}

PyDictionary from_pickle(const std::string& handle, const py::object& timeout,
                         const py::object& attach_timeout, bool local_reads, const py::object& view_timeout,
                         const std::optional<std::uint32_t>& manager, bool allow_pickle,
                         const py::object& placement, bool names_manager, std::uint32_t checkpoint,
                         bool is_of_checkpoint, bool persistent, bool at_once, bool when_space,
                         const py::object& ttl) {
    const AttachOptions options = options_of(timeout, attach_timeout, local_reads);
    const std::shared_ptr<Link> link = Link::of_handle(handle, options);
    ViewRecipe recipe{.timeout = seconds_of(view_timeout, "timeout"),
                      .manager = manager,
                      .allow_pickle = allow_pickle,
                      .persistent = persistent,
                      .at_once = at_once,
                      .when_space = when_space,
                      .ttl = seconds_of(ttl, "ttl")};
    // Where this process is at another one already, it is a view.
    if (is_of_checkpoint || !link->begins_at(checkpoint)) recipe.checkpoint = checkpoint;
    const PyDictionary dictionary(link, recipe);
    return dictionary.with_placement(placement, names_manager);
}

void bind_functions(py::module_& module) {
    module.def("attach", attach, py::arg("handle") = py::none(), py::kw_only(),
               py::arg("timeout") = py::none(), py::arg("attach_timeout") = 10.0,
               py::arg("local_reads") = true, py::arg("allow_pickle") = true,
               "Attaches to the dictionary of a handle; without one, to that of the environment "
               "(DDICT_HANDLE), which "
               "ddict-launch has set. timeout: how many seconds a call may take (30).");
    module.def(
        "create", create, py::kw_only(), py::arg("nodes") = 0, py::arg("managers_per_node") = 0,
        py::arg("total_mem") = py::none(), py::arg("name") = "", py::arg("nodelist") = "",
        py::arg("launch_timeout") = 60.0, py::arg("restart") = true, py::arg("resume") = false,
        py::arg("allow_empty") = false, py::arg("working_set") = 0, py::arg("wait_for_keys") = false,
        py::arg("wait_for_writers") = false, py::arg("persist_path") = py::none(),
        py::arg("persist_count") = 0, py::arg("persist_freq") = 0, py::arg("restore_from") = py::none(),
        py::arg("read_only") = false, py::arg("timeout") = py::none(), py::arg("local_reads") = true,
        py::arg("allow_pickle") = true,
        "Starts a dictionary on the nodes of this Slurm job, or on this machine, and attaches to it. "
        "It lives "
        "until destroy(), or until this process ends. total_mem: bytes, or a text such as '64G'. What "
        "is left "
        "out is taken from the environment (DDICT_TOTAL_MEM, ...). resume: goes on with what "
        "destroy(keep=True) has left on these nodes under this name; NotFound if there is nothing, or "
        "not of all managers: allow_empty has those begin empty. working_set: how many checkpoints are "
        "kept in memory, at most 8. wait_for_keys, wait_for_writers: what the oldest of them waits for "
        "before it is retired (docs/checkpoints.md); with wait_for_keys, d[key] waits for a key that is to "
        "come. persist_path: the folder that persist() and restore() are about; persist_count: how many "
        "checkpoints stay there, 0: all; persist_freq: every how many one is persisted by itself, 0: none; "
        "restore_from: the id of one to begin with; read_only: only "
        "restore() and advance() change it.");
    module.attr("NEWEST") = newest_checkpoint;
    module.def("_from_pickle", from_pickle);
}

}  // namespace
}  // namespace ddict::python

PYBIND11_MODULE(_ddict, module) {
    using namespace ddict::python;
    module.doc() = "The native part of the package ddict.";
    py::options options;
    options.disable_function_signatures();
    bind_memory(module);
    DictionaryClass dictionary(
        module, "Dictionary", py::custom_type_setup(set_mapping_slots), py::module_local(),
        "A dictionary that the programs of a job share: a MutableMapping. attach() and create() "
        "give one. Any number of threads may use it at once, and it may be pickled: whoever "
        "unpickles it is attached at its first use.");
    bind_mapping(dictionary);
    bind_state(dictionary);
    bind_checkpoints(module, dictionary);
    bind_scans(module, dictionary);
    bind_many(dictionary);
    bind_atomics(dictionary);
    bind_waits(dictionary);
    bind_arrays(dictionary);
    bind_futures(module, dictionary);
    bind_queues(module, dictionary);
    bind_functions(module);
    watch_interpreter();
    watch_processes();
}
