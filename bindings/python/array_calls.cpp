// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values received into arrays of the program, and arrays over the memory of a frozen dictionary.
#include <algorithm>
#include <array>

#include "bindings/python/arrays.h"
#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

using Bytes = std::span<const std::byte>;

/// Memory of the program that a value can be received into.
struct Target {
    py::object owner;
    std::byte* data = nullptr;
    std::size_t size = 0;
    std::uint16_t element = 0;  // 0: plain bytes
    std::vector<std::uint64_t> shape;
};

[[noreturn]] void refuse(const std::string& why) {
    raise(Error(Errc::invalid_argument, why));
}

/// numpy below 2 makes what __dlpack__ gives read-only, whatever it is. The protocol had no word for that
/// then: who could not be written to gave nothing.
bool is_writable_tensor(const py::object& out, const py::array& array) {
    if (out.ptr() == array.ptr() || !py::hasattr(out, "__dlpack__") || PyObject_CheckBuffer(out.ptr()) != 0)
        return false;
    const auto version = py::module_::import("numpy").attr("__version__").cast<std::string>();
    return version.starts_with("1.");
}

Target target_of(const py::object& out) {
    Target target;
    py::object given = out;
    if (!is_array(out.ptr())) {
        given = py::hasattr(out, "__array_interface__") ? py::module_::import("numpy").attr("asarray")(out)
                                                        : array_from(out.ptr());
        if (!given) {
            PyErr_Format(PyExc_TypeError, "out is an array, or has a buffer or __dlpack__; a '%s' has none",
                         Py_TYPE(out.ptr())->tp_name);
            throw py::error_already_set();
        }
    }
    const auto array = py::reinterpret_borrow<py::array>(given);
    if (!array.writeable() && !is_writable_tensor(out, array)) refuse("out is read-only");
    if ((array.flags() & py::array::c_style) == 0)
        refuse("out is not contiguous: its rows do not follow each other");
    target.element = element_of(array.dtype());
    if (target.element == 0) {
        refuse("out has elements of another kind than numbers of this machine: " +
               py::str(array.dtype()).cast<std::string>());
    }
    target.owner = given;
    target.data = static_cast<std::byte*>(const_cast<void*>(array.data()));
    target.size = static_cast<std::size_t>(array.nbytes());
    for (py::ssize_t i = 0; i < array.ndim(); ++i)
        target.shape.push_back(static_cast<std::uint64_t>(array.shape(i)));
    return target;
}

std::string shape_text(std::span<const std::uint64_t> shape) {
    std::string text = "(";
    for (const std::uint64_t extent : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
    return text + ")";
}

/// Whether a value of these bytes and this type goes into the target, and how many of them come before its
/// elements.
Result<std::size_t> header_in(const Target& target, std::uint64_t bytes, std::uint16_t type) {
    const std::uint16_t element = type & 0xff;
    const std::uint16_t kind = type & 0xff00;
    const bool is_array_value = kind == type_array && target.shape.size() <= array_rank_max;
    const std::size_t header = is_array_value ? detail::ArrayHeader::bytes(target.shape.size()) : 0;
    const bool fits_type =
        type == type_bytes || ((kind == type_vector || is_array_value) && element == target.element);
    if (!fits_type) {
        return Error(Errc::wrong_type, "stored: " + type_in_words(type) + ", out: array of " +
                                           type_in_words(type_scalar | target.element));
    }
    if (bytes != header + target.size) {
        Error error(Errc::invalid_argument,
                    "the value has " + std::to_string(bytes - std::min<std::uint64_t>(header, bytes)) +
                        " bytes of elements, out has " + std::to_string(target.size));
        return error.set_bytes(bytes, header + target.size);
    }
    return header;
}

/// The shape of an array that has come is the target's.
Result<void> check_shape(const Target& target, Bytes header) {
    const auto rank = detail::number_at<std::uint32_t>(header, 0);
    std::vector<std::uint64_t> shape;
    for (std::size_t i = 0; rank == target.shape.size() && i < rank; ++i)
        shape.push_back(detail::number_at<std::uint64_t>(header, 8 + 8 * i));
    if (rank == target.shape.size() && shape == target.shape) return {};
    return Error(Errc::wrong_type,
                 "the stored array has another shape than out: " +
                     (shape.empty() ? std::to_string(rank) + " dimensions" : shape_text(shape)) +
                     ", out: " + shape_text(target.shape));
}

/// Receives into the target, in place; what comes before the elements of an array is received here.
class TargetSink final : public ValueSink {
  public:
    explicit TargetSink(const Target& target) : target_(target) {}
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        const Result<std::size_t> header = header_in(target_, bytes, value_type);
        if (!header) return header.error();
        header_ = *header;
        if (header_ == 0) return std::span(target_.data, target_.size);
        return std::span(before_).first(header_);
    }
    std::span<std::byte> rest() override { return {target_.data, target_.size}; }
    Result<void> finish() {
        return header_ == 0 ? Result<void>() : check_shape(target_, std::span(before_).first(header_));
    }

  private:
    const Target& target_;
    std::size_t header_ = 0;
    alignas(16) std::array<std::byte, detail::ArrayHeader::bytes(array_rank_max)> before_;
};

py::object get_into(PyDictionary& self, const py::object& key, const py::object& out) {
    const KeyArgument bytes(key.ptr());
    const Target target = target_of(out);
    self.value_of(
        [&](const View& view) -> Result<void> {
            TargetSink sink(target);
            if (const Result<void> got = view.get_bytes(bytes.view(), sink); !got) return got;
            Result<void> finished = sink.finish();
            if (!finished) finished.error() = view.name_error(finished.error(), Operation::get, bytes.view());
            return finished;
        },
        key);
    return out;
}

/// Each item into a row of one array.
class RowsSink final : public ItemSink {
  public:
    RowsSink(const Target& rows, std::size_t count) : statuses_(count), scratch_(count) {
        const std::size_t row_bytes = count == 0 ? 0 : rows.size / count;
        for (std::size_t i = 0; i < count; ++i) {
            Target row;
            row.data = rows.data + i * row_bytes;
            row.size = row_bytes;
            row.element = rows.element;
            targets_.push_back(std::move(row));
        }
        shape_.assign(rows.shape.begin() + 1, rows.shape.end());
    }
    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes,
                                         std::uint16_t value_type) override {
        Target& row = targets_[index];
        row.shape = shape_;
        const Result<std::size_t> header = header_in(row, bytes, value_type);
        if (!header) return header.error();
        if (*header == 0) {
            scratch_[index].memory = Memory();
            return std::span(row.data, row.size);
        }
        scratch_[index].header = *header;
        scratch_[index].memory = Memory(static_cast<std::size_t>(bytes));
        return scratch_[index].memory.bytes();
    }
    void done(std::size_t index, const ItemStatus& status) override {
        statuses_[index] = status;
        Scratch& scratch = scratch_[index];
        if (!status.ok() || !scratch.memory) return;
        if (const Result<void> fits = check_shape(targets_[index], scratch.memory.bytes()); !fits) {
            statuses_[index].code = fits.error().code;
            scratch.wrong = fits.error();
        } else if (targets_[index].size != 0) {
            std::memcpy(targets_[index].data, scratch.memory.data() + scratch.header, targets_[index].size);
        }
        scratch.memory = Memory();
    }
    const std::vector<ItemStatus>& statuses() const { return statuses_; }
    /// What is wrong with a value that has come.
    const std::optional<Error>& wrong(std::size_t i) const { return scratch_[i].wrong; }

  private:
    struct Scratch {
        std::size_t header = 0;
        Memory memory;
        std::optional<Error> wrong;
    };
    std::vector<ItemStatus> statuses_;
    std::vector<Scratch> scratch_;
    std::vector<Target> targets_;
    std::vector<std::uint64_t> shape_;
};

}  // namespace

py::object get_rows(PyDictionary& self, const py::object& given, const py::object& out,
                    const py::object& missing, bool returns_errors) {
    const auto objects = py::reinterpret_steal<py::tuple>(PySequence_Tuple(given.ptr()));
    if (!objects) throw py::error_already_set();
    std::vector<KeyArgument> arguments;
    arguments.reserve(objects.size());
    std::vector<KeyBytes> keys;
    for (const py::handle key : objects)
        keys.push_back(arguments.emplace_back(key.ptr()).view());
    const Target target = target_of(out);
    if (target.shape.empty() || target.shape[0] != keys.size()) {
        refuse("out has the shape " + shape_text(target.shape) + ": a row for each of the " +
               std::to_string(keys.size()) + " keys is needed");
    }
    RowsSink rows(target, keys.size());
    const Result<void> got = self.call([&](const View& view) { return view.multi_get_bytes(keys, rows); });
    if (!got && !returns_errors) raise(got.error());
    py::list outcomes(keys.size());
    py::object first;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        py::object outcome = py::none();
        const ItemStatus& status = rows.statuses()[i];
        if (const std::optional<Error>& wrong = rows.wrong(i)) {
            const Error named = self.call_unnoted(
                [&](const View& view) { return view.name_error(*wrong, Operation::batch_get, keys[i]); });
            outcome = exception_of(named, objects[i]);
        } else if (status.code == Errc::not_found && !missing.is_none()) {
            out[py::int_(i)] = missing;
        } else if (!status.ok()) {
            outcome = exception_of(status, Operation::batch_get, objects[i]);
        }
        if (!first && !outcome.is_none()) first = outcome;
        outcomes[i] = std::move(outcome);
    }
    if (returns_errors) return outcomes;
    if (first) raise(first);
    return out;
}

namespace {

py::object get_batch(PyDictionary& self, const py::object& keys, const py::object& out) {
    return get_rows(self, keys, out, py::none(), false);
}

/// The value where it lies. Its memory stays for as long as the array; it is right while the freeze lasts.
py::object view_of(PyDictionary& self, const py::object& key) {
    const KeyArgument bytes(key.ptr());
    FrozenValue value =
        self.value_of([&](const View& view) { return view.view_frozen_bytes(bytes.view()); }, key);
    const Result<Bytes> lies = value.try_bytes();
    if (!lies) raise(lies.error(), key);
    const std::uint16_t type = value.value_type();
    const std::uint16_t kind = type & 0xff00;
    const std::uint16_t element = type & 0xff;
    auto owner =
        py::capsule(new FrozenValue(value), [](void* held) { delete static_cast<FrozenValue*>(held); });
    const py::object array = self.read(Operation::view, bytes.view(), key, [&]() -> py::object {
        if (kind == type_array) return array_of(*lies, element, owner);
        if (kind == type_vector) return elements_as_array(*lies, element, owner);
        if (type == type_numpy_array) return numpy_array_of(*lies, owner);
        if (type == type_bytes || type == type_text) return elements_as_array(*lies, 0x20, owner);
        raise(Error(Errc::wrong_type,
                    "only arrays, vectors, bytes and text can be used where they lie; stored: " +
                        type_in_words(type)));
    });
    if (is_array(array.ptr())) array.attr("setflags")(py::arg("write") = false);
    return array;
}

}  // namespace

void bind_arrays(DictionaryClass& dictionary) {
    dictionary
        .def(
            "get_into", get_into, py::arg("key"), py::arg("out"),
            "Receives an array, vector or bytes into an array that is there: of the same elements and shape, "
            "contiguous and writable, of numpy, or with a buffer or __dlpack__. Returns it. After an error "
            "it may "
            "hold anything.")
        .def("get_batch", get_batch, py::arg("keys"), py::arg("out"),
             "Receives the values of many keys into the rows of one array, all at once. Returns it. The "
             "first key that "
             "is missing, or does not fit, is raised; the other rows are filled.")
        .def("view", view_of, py::arg("key"),
             "A read-only array over the value of a frozen dictionary where it lies: no message, no copy. "
             "The key's "
             "manager must be on this node. It is right while the freeze lasts, which is_frozen tells "
             "afterwards.");
}

}  // namespace ddict::python
