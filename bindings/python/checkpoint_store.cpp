// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A class of the program's, in Python, in place of the file system.
#include "bindings/python/checkpoint_store.h"

#include <optional>
#include <utility>

#include <pybind11/stl.h>

#include "bindings/python/gil.h"

namespace ddict::python {
namespace {

/// The interpreter's lock, in a thread that has called the library or in one of the library's.
class Lock {
  public:
    Lock() {
        if (state_without_gil != nullptr || PyGILState_Check() != 0)
            inner_.emplace();
        else
            acquired_.emplace();
    }

  private:
    std::optional<InnerPython> inner_;
    std::optional<py::gil_scoped_acquire> acquired_;
};

/// Only what says that there is no such object is not_found.
Error error_of(py::error_already_set& raised) {
    const bool is_absence = raised.matches(PyExc_KeyError) || raised.matches(PyExc_FileNotFoundError);
    const bool is_there = raised.matches(PyExc_FileExistsError);
    std::string text = raised.what();
    if (const std::size_t end = text.find('\n'); end != std::string::npos) text.resize(end);
    return Error(is_absence ? Errc::not_found
                 : is_there ? Errc::busy
                            : Errc::system,
                 "the checkpoint store: " + text);
}

/// What f() returns; what it raises is an error.
template <class T, class F>
Result<T> in_python(F&& f) {
    const Lock lock;
    try {
        return f();
    } catch (py::error_already_set& raised) {
        return error_of(raised);
    } catch (const std::exception& error) {  // what it has returned is of another type
        return Error(Errc::system, std::string("the checkpoint store: ") + error.what());
    }
}

class PythonObject final : public CheckpointStore::Object {
  public:
    explicit PythonObject(py::object object) : object_(std::move(object)) {}
    ~PythonObject() override {
        const Lock lock;
        try {
            if (object_ && !is_committed_ && py::hasattr(object_, "abort")) object_.attr("abort")();
        } catch (py::error_already_set& raised) {
            raised.discard_as_unraisable("CheckpointStore");
        }
        object_ = py::object();
    }

    Result<void> write(std::span<const std::byte> bytes) override {
        return in_python<void>([&]() -> Result<void> {
            object_.attr("write")(py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
            return {};
        });
    }
    Result<void> commit() override {
        return in_python<void>([&]() -> Result<void> {
            object_.attr("commit")();
            is_committed_ = true;
            return {};
        });
    }

  private:
    py::object object_;
    bool is_committed_ = false;
};

class PythonStore final : public CheckpointStore {
  public:
    explicit PythonStore(py::object store) : store_(std::move(store)) {}
    ~PythonStore() override {
        const Lock lock;
        store_ = py::object();
    }

    Result<std::unique_ptr<Object>> create(const std::string& name) override {
        return in_python<std::unique_ptr<Object>>([&]() -> Result<std::unique_ptr<Object>> {
            return std::unique_ptr<Object>(std::make_unique<PythonObject>(store_.attr("create")(name)));
        });
    }
    Result<std::uint64_t> size(const std::string& name) override {
        return in_python<std::uint64_t>(
            [&]() -> Result<std::uint64_t> { return store_.attr("size")(name).cast<std::uint64_t>(); });
    }
    Result<void> read(const std::string& name, std::uint64_t offset, std::span<std::byte> into) override {
        return in_python<void>([&]() -> Result<void> {
            const py::object read = store_.attr("read")(name, offset, into.size());
            const py::buffer_info bytes = py::buffer(read).request();
            const auto size = static_cast<std::size_t>(bytes.size * bytes.itemsize);
            if (size != into.size())
                return Error(Errc::system, "the checkpoint store: read() of " + name + " gave " +
                                               std::to_string(size) + " bytes rather than " +
                                               std::to_string(into.size()));
            std::memcpy(into.data(), bytes.ptr, size);
            return {};
        });
    }
    Result<std::vector<std::string>> list(const std::string& prefix) override {
        return in_python<std::vector<std::string>>([&]() -> Result<std::vector<std::string>> {
            std::vector<std::string> names;
            for (const py::handle name : store_.attr("list")(prefix))
                names.push_back(name.cast<std::string>());
            return names;
        });
    }
    Result<void> remove(const std::string& name) override {
        return in_python<void>([&]() -> Result<void> {
            store_.attr("remove")(name);
            return {};
        });
    }

  private:
    py::object store_;
};

}  // namespace

std::shared_ptr<CheckpointStore> store_of(const py::object& store) {
    if (store.is_none()) return nullptr;
    for (const char* method : {"create", "size", "read", "list", "remove"})
        if (!py::hasattr(store, method))
            throw py::type_error(std::string("a checkpoint store has a method ") + method +
                                 "(): see ddict.CheckpointStore");
    return std::make_shared<PythonStore>(store);
}

}  // namespace ddict::python
