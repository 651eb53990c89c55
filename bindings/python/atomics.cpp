// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One key, atomically; and copies on every manager.
#include <bit>
#include <cstring>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

/// What is expected or desired: None is no key at all.
class OptionalValue {
  public:
    OptionalValue(const py::object& value, const py::object& absent, bool allow_pickle) {
        if (value.ptr() != absent.ptr()) value_.emplace(value.ptr(), allow_pickle);
    }
    std::optional<std::span<const std::byte>> bytes() {
        if (!value_) return std::nullopt;
        return value_->bytes();
    }
    std::optional<std::uint16_t> type() const {
        if (!value_) return std::nullopt;
        return value_->type();
    }

  private:
    std::optional<ValueArgument> value_;
};

bool compare_and_swap(PyDictionary& self, const py::object& key, const py::object& expected,
                      const py::object& desired) {
    const py::object absent = py::module_::import("ddict._absent").attr("ABSENT");
    const KeyArgument bytes(key.ptr());
    OptionalValue from(expected, absent, self.recipe().allow_pickle);
    OptionalValue to(desired, absent, self.recipe().allow_pickle);
    if (from.type() && to.type() && *from.type() != *to.type()) {
        raise_type_error("expected and desired are of one type, not " + type_in_words(*from.type()) +
                         " and " + type_in_words(*to.type()));
    }
    const std::uint16_t type = to.type().value_or(from.type().value_or(type_bytes));
    return self.value_of(
        [&](const View& view) { return view.swap_bytes(bytes.view(), from.bytes(), to.bytes(), type); }, key);
}

std::int64_t integer_in(const py::object& number, const char* name) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
    if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (overflow != 0) {
        raise(Error(Errc::invalid_argument,
                    std::string(name) + " is outside of what a counter can be: -2^63 to 2^63 - 1"));
    }
    return value;
}

/// A number from 2^63 on, which is stored without a sign. It counts on exactly, as long as 64 bits hold it.
class LargeCounter {
  public:
    LargeCounter(PyDictionary& self, KeyBytes key) : key_(key) {
        ReceivedValue value;
        const Result<void> got = self.call([&](const View& view) { return view.find_bytes(key_, value); });
        is_there_ = got && value.type() == type && value.bytes().size() == sizeof value_;
        if (is_there_) std::memcpy(&value_, value.bytes().data(), sizeof value_);
    }
    bool is_there() const { return is_there_; }
    /// What it was; nothing if it has changed in between.
    std::optional<std::uint64_t> add(PyDictionary& self, const py::object& key, std::int64_t delta) const {
        const std::uint64_t sum = value_ + static_cast<std::uint64_t>(delta);
        if (delta < 0 ? sum > value_ : sum < value_) {
            Error error(Errc::invalid_argument,
                        "the counter is " + std::to_string(value_) + ", and would leave 0 to 2^64 - 1");
            raise(error.set_operation(Operation::fetch_add).set_key(key_), key);
        }
        const auto swapped = [&](const View& view) {
            return view.swap_bytes(key_, bytes_of(value_), bytes_of(sum), type);
        };
        return self.value_of(swapped, key) ? std::optional(value_) : std::nullopt;
    }

  private:
    static constexpr std::uint16_t type = Codec<std::uint64_t>::type;
    static std::span<const std::byte> bytes_of(const std::uint64_t& number) {
        return std::as_bytes(std::span(&number, 1));
    }
    KeyBytes key_;
    std::uint64_t value_ = 0;
    bool is_there_ = false;
};

/// The number before the addition.
py::object fetch_add(PyDictionary& self, const py::object& key, const py::object& delta,
                     const py::object& initial) {
    const KeyArgument bytes(key.ptr());
    const auto add = [&](std::uint16_t type, std::uint64_t delta_bits, std::uint64_t initial_bits) {
        return self.value_of(
            [&](const View& view) { return view.add_bits(bytes.view(), type, delta_bits, initial_bits); },
            key);
    };
    if (PyFloat_Check(delta.ptr()) || PyFloat_Check(initial.ptr())) {
        return py::float_(
            std::bit_cast<double>(add(Codec<double>::type, std::bit_cast<std::uint64_t>(delta.cast<double>()),
                                      std::bit_cast<std::uint64_t>(initial.cast<double>()))));
    }
    const std::int64_t added = integer_in(delta, "the number to add");
    const std::int64_t first = integer_in(initial, "initial");
    for (;;) {
        const Result<std::uint64_t> before = self.call([&](const View& view) {
            return view.add_bits(bytes.view(), Codec<std::int64_t>::type, static_cast<std::uint64_t>(added),
                                 static_cast<std::uint64_t>(first));
        });
        if (before.has_value()) return py::int_(static_cast<std::int64_t>(*before));
        if (before.error().code != Errc::wrong_type) raise(before.error(), key);
        const LargeCounter counter(self, bytes.view());
        if (!counter.is_there()) raise(before.error(), key);
        if (const auto counted = counter.add(self, key, added)) return py::int_(*counted);
    }
}

/// The number after it.
py::object incr(PyDictionary& self, const py::object& key, const py::object& delta,
                const py::object& initial) {
    const py::object before = fetch_add(self, key, delta, initial);
    if (PyFloat_Check(before.ptr())) return py::float_(before.cast<double>() + delta.cast<double>());
    // As the counter itself: around, at the end.
    const auto added = static_cast<std::uint64_t>(delta.cast<std::int64_t>());
    int is_large = 0;
    const long long small = PyLong_AsLongLongAndOverflow(before.ptr(), &is_large);
    if (is_large != 0) return py::int_(before.cast<std::uint64_t>() + added);
    return py::int_(static_cast<std::int64_t>(static_cast<std::uint64_t>(small) + added));
}

std::uint64_t append(PyDictionary& self, const py::object& key, const py::object& value) {
    const KeyArgument bytes(key.ptr());
    ValueArgument stored(value.ptr(), false);
    return self.value_of(
        [&](const View& view) { return view.append_bytes(bytes.view(), stored.bytes(), stored.type()); },
        key);
}

void bput(PyDictionary& self, const py::object& key, const py::object& value) {
    const KeyArgument bytes(key.ptr());
    ValueArgument stored(value.ptr(), self.recipe().allow_pickle);
    self.value_of(
        [&](const View& view) {
            if (stored.is_in_pieces())
                return view.broadcast_put_parts(bytes.view(), stored.parts(), stored.type());
            return view.broadcast_put_bytes(bytes.view(), stored.bytes(), stored.type());
        },
        key);
}

py::object bget(PyDictionary& self, const py::object& key) {
    return received_again(
        self, key.ptr(),
        [](const View& view, KeyBytes bytes, ValueSink& sink) {
            return view.broadcast_get_bytes(bytes, sink);
        },
        nullptr, Operation::broadcast_get);
}

}  // namespace

void bind_atomics(DictionaryClass& dictionary) {
    dictionary
        .def("compare_and_swap", compare_and_swap, py::arg("key"), py::arg("expected"), py::arg("desired"),
             "If the value of the key is `expected`, of the same type and byte for byte, makes it `desired`; "
             "says "
             "whether it did. ddict.ABSENT as expected: there must be no such key; as desired: the key is "
             "removed.")
        .def(
            "fetch_add", fetch_add, py::arg("key"), py::arg("delta") = 1, py::arg("initial") = 0,
            "Adds to a number and returns what it was before; an absent key counts as initial. Ints are from "
            "-2^63 to 2^63 - 1 and wrap around; one that was stored as more counts up to 2^64 - 1. A float "
            "delta makes it a float.")
        .def("incr", incr, py::arg("key"), py::arg("delta") = 1, py::arg("initial") = 0,
             "Adds to a number and returns what it is then. Of all who count at once, each gets another "
             "number.")
        .def("append", append, py::arg("key"), py::arg("value"),
             "Appends a str, bytes or list of numbers to a value of the same type; an absent key counts as "
             "empty. "
             "Returns the number of its bytes afterwards.")
        .def("bput", bput, py::arg("key"), py::arg("value"),
             "Stores a copy on every manager, for values that many read. Only bput and berase may change it.")
        .def("bget", bget, py::arg("key"), "The value from the nearest copy that bput has made.")
        .def(
            "berase",
            [](PyDictionary& self, const py::object& key) {
                const KeyArgument bytes(key.ptr());
                return self.value_of(
                    [&](const View& view) { return view.broadcast_erase_bytes(bytes.view()); }, key);
            },
            py::arg("key"), "Removes all copies; says whether there were any.");
}

}  // namespace ddict::python
