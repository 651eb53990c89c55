// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Calls on many keys.
#include <algorithm>
#include <deque>

#include "bindings/python/dictionary.h"

namespace ddict::python {
namespace {

constexpr std::size_t pairs_at_once_max = 4096;
constexpr std::uint64_t bytes_at_once_max = 16 << 20;

/// Keys, and the objects that hold their bytes.
class Keys {
  public:
    explicit Keys(const py::object& keys) {
        objects_ = py::reinterpret_steal<py::tuple>(PySequence_Tuple(keys.ptr()));
        if (!objects_) throw py::error_already_set();
        arguments_.reserve(objects_.size());
        views_.reserve(objects_.size());
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(objects_.ptr()); ++i)
            arguments_.emplace_back(PyTuple_GET_ITEM(objects_.ptr(), i));
        for (const KeyArgument& key : arguments_)
            views_.push_back(key.view());
    }
    std::span<const KeyBytes> views() const { return views_; }
    std::size_t size() const { return views_.size(); }
    py::handle operator[](std::size_t i) const {
        return PyTuple_GET_ITEM(objects_.ptr(), static_cast<Py_ssize_t>(i));
    }

  private:
    py::tuple objects_;
    std::vector<KeyArgument> arguments_;
    std::vector<KeyBytes> views_;
};

/// The values of many keys: small ones side by side, each large one in memory of its own.
class ReceivedItems final : public ItemSink {
  public:
    explicit ReceivedItems(std::size_t count) : items_(count) {}

    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes,
                                         std::uint16_t value_type) override {
        Item& item = items_[index];
        const auto size = static_cast<std::size_t>(bytes);
        item.type = value_type;
        if (size > small_max) {
            item.memory = Memory(size);
            item.bytes = item.memory.bytes();
        } else {
            item.bytes = small(size);
        }
        return item.bytes;
    }
    void done(std::size_t index, const ItemStatus& status) override { items_[index].status = status; }

    const ItemStatus& status(std::size_t index) const { return items_[index].status; }
    py::object take(std::size_t index, const ValueReader& reader) {
        Item& item = items_[index];
        const std::uint16_t kind = item.type & 0xff00;
        const bool may_stay = item.memory && item.type < type_structure && kind >= type_array;
        return reader.object_of(item.bytes, item.type,
                                may_stay ? owner_of(std::move(item.memory)) : py::object());
    }

  private:
    static constexpr std::size_t small_max = 4096;
    static constexpr std::size_t chunk_bytes = 64 * 1024;
    struct Item {
        std::span<std::byte> bytes;
        std::uint16_t type = type_bytes;
        ItemStatus status;
        Memory memory;
    };
    std::span<std::byte> small(std::size_t size) {
        const std::size_t aligned = detail::aligned(size);
        if (left_.size() < aligned) {
            chunks_.emplace_back(chunk_bytes);
            left_ = chunks_.back().bytes();
        }
        const auto taken = left_.first(size);
        left_ = left_.subspan(aligned);
        return taken;
    }

    std::vector<Item> items_;
    std::vector<Memory> chunks_;
    std::span<std::byte> left_;
};

bool returns_errors(const std::string& errors) {
    if (errors == "return") return true;
    if (errors == "raise") return false;
    raise(Error(Errc::invalid_argument, "errors is 'raise' or 'return', not '" + errors + "'"));
}

/// One of the values; where errors are returned, the one that says why it cannot be read.
py::object taken(PyDictionary& self, const Keys& keys, ReceivedItems& items, std::size_t i, bool returns) {
    try {
        return self.read(Operation::batch_get, keys.views()[i], keys[i],
                         [&] { return items.take(i, self.reader()); });
    } catch (const py::error_already_set& error) {
        if (!returns || !error.matches(PyExc_Exception)) throw;
        return error.value();
    }
}

py::object get_many(PyDictionary& self, const py::object& given, const py::object& fallback,
                    const std::string& errors, const py::object& out) {
    const bool returns = returns_errors(errors);
    if (!out.is_none()) return get_rows(self, given, out, fallback, returns);
    const Keys keys(given);
    ReceivedItems items(keys.size());
    const Result<void> got =
        self.call([&](const View& view) { return view.multi_get_bytes(keys.views(), items); });
    if (!got && !returns) raise(got.error());
    auto values = py::reinterpret_steal<py::list>(PyList_New(static_cast<Py_ssize_t>(keys.size())));
    if (!values) throw py::error_already_set();
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const ItemStatus& status = items.status(i);
        py::object value;
        if (status.ok()) {
            value = taken(self, keys, items, i, returns);
        } else if (status.code == Errc::not_found) {
            value = fallback;
        } else {
            value = exception_of(status, Operation::batch_get, keys[i]);
        }
        PyList_SET_ITEM(values.ptr(), static_cast<Py_ssize_t>(i), value.release().ptr());
    }
    return values;
}

/// Large values in pieces, sent from where they lie beside a batch: some at once.
class PutsBeside {
  public:
    PutsBeside(const View& view, std::span<ItemStatus> statuses) : view_(view), statuses_(statuses) {}
    void begin(std::size_t index, KeyBytes key, ValueArgument& value) {
        if (begun_.size() == begun_max) settle();
        if (is_over_) {  // none of it is sent
            if (!statuses_.empty()) statuses_[index] = {.code = Errc::timeout};
            return;
        }
        begun_.emplace_back(index, view_.start_put_parts(key, value.parts(), value.type()));
    }
    /// Waits for all; the first error.
    std::optional<Error> finish() {
        while (!begun_.empty())
            settle();
        return first_;
    }

  private:
    static constexpr std::size_t begun_max = 16;
    void settle() {
        auto [index, handle] = std::move(begun_.front());
        begun_.pop_front();
        const Result<std::uint64_t> put = handle.wait(std::nullopt);
        if (put.has_value()) return;
        const Error& error = put.error();
        if (!statuses_.empty())
            statuses_[index] = {.code = error.code, .manager = error.manager, .in_doubt = error.in_doubt};
        if (!first_) first_ = error;
        if (error.code != Errc::timeout) return;
        // Interrupted, or too late for the others too.
        is_over_ = true;
        handle.cancel();
        for (auto& [ignored, other] : begun_)
            other.cancel();
    }

    const View& view_;
    std::span<ItemStatus> statuses_;
    std::deque<std::pair<std::size_t, detail::OperationHandle>> begun_;
    std::optional<Error> first_;
    bool is_over_ = false;
};

/// Pairs on their way into a batch.
class Pairs {
  public:
    void add(const py::object& key, const py::object& value, bool allow_pickle) {
        KeyArgument key_argument(key.ptr());
        ValueArgument value_argument(value.ptr(), allow_pickle);
        bytes_ += value_argument.size();
        keys_.push_back(std::move(key_argument));
        values_.push_back(std::move(value_argument));
        objects_.push_back(key);
        objects_.push_back(value);
    }
    std::size_t size() const { return keys_.size(); }
    bool is_full() const { return size() >= pairs_at_once_max || bytes_ >= bytes_at_once_max; }
    py::handle key(std::size_t i) const { return objects_[2 * i]; }
    /// Stores them; the first error, in full.
    Result<void> store(PyDictionary& self, std::span<ItemStatus> statuses) {
        return self.call([&](const View& view) -> Result<void> {
            if (has_large_pieces()) return store_with_pieces(view, statuses);
            return store_batch(view, {}, statuses);
        });
    }
    void clear() {
        keys_.clear();
        values_.clear();
        objects_.clear();
        bytes_ = 0;
    }

  private:
    static bool is_large_in_pieces(const ValueArgument& value) {
        return value.is_in_pieces() && value.size() > 16 * 1024;
    }
    bool has_large_pieces() const { return std::any_of(values_.begin(), values_.end(), is_large_in_pieces); }
    Result<void> store_with_pieces(const View& view, std::span<ItemStatus> statuses) {
        PutsBeside beside(view, statuses);
        std::vector<std::size_t> others;
        for (std::size_t i = 0; i < size(); ++i) {
            if (is_large_in_pieces(values_[i]))
                beside.begin(i, keys_[i].view(), values_[i]);
            else
                others.push_back(i);
        }
        std::vector<ItemStatus> of_others(statuses.empty() ? 0 : others.size());
        const Result<void> put = others.empty() ? Result<void>() : store_batch(view, others, of_others);
        for (std::size_t i = 0; i < of_others.size(); ++i)
            statuses[others[i]] = of_others[i];
        const std::optional<Error> failed = beside.finish();
        if (put && failed) return *failed;
        return put;
    }
    /// All of them, or those that are named.
    Result<void> store_batch(const View& view, std::span<const std::size_t> named,
                             std::span<ItemStatus> statuses) {
        const std::size_t count = named.empty() ? size() : named.size();
        std::vector<PutItem> items;
        items.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t one = named.empty() ? i : named[i];
            items.push_back({keys_[one].view(), values_[one].bytes(), values_[one].type()});
        }
        return view.multi_put_bytes(items, statuses);
    }

    std::vector<KeyArgument> keys_;
    std::vector<ValueArgument> values_;
    std::vector<py::object> objects_;
    std::uint64_t bytes_ = 0;
};

/// Calls f(key, value) for the pairs of a mapping, or of an iterable of pairs.
template <class F>
void for_each_pair(const py::object& pairs, F&& f) {
    if (PyDict_CheckExact(pairs.ptr())) {
        const auto items = py::reinterpret_steal<py::object>(PyDict_Items(pairs.ptr()));
        for (const py::handle pair : py::list(items))
            f(py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(pair.ptr(), 0)),
              py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(pair.ptr(), 1)));
    } else if (py::hasattr(pairs, "keys")) {
        const py::object keys = pairs.attr("keys")();
        for (const py::handle key : keys)
            f(py::reinterpret_borrow<py::object>(key), py::object(pairs[key]));
    } else {
        for (const py::handle pair : pairs) {
            const auto both = py::reinterpret_steal<py::tuple>(PySequence_Tuple(pair.ptr()));
            if (!both) throw py::error_already_set();
            if (both.size() != 2) throw py::value_error("a pair has a key and a value, nothing else");
            f(both[0], both[1]);
        }
    }
}

py::list put_many(PyDictionary& self, const py::object& given, const std::string& errors) {
    const bool returns = returns_errors(errors);
    Pairs pairs;
    for_each_pair(given, [&](const py::object& key, const py::object& value) {
        pairs.add(key, value, self.recipe().allow_pickle);
    });
    std::vector<ItemStatus> statuses(pairs.size());
    const Result<void> put = pairs.store(self, statuses);
    if (!put && !returns) raise(put.error());
    py::list outcomes(pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i)
        outcomes[i] = statuses[i].ok() ? py::object(py::none())
                                       : exception_of(statuses[i], Operation::batch_put, pairs.key(i));
    return outcomes;
}

py::list erase_many(PyDictionary& self, const py::object& given, const std::string& errors) {
    const bool returns = returns_errors(errors);
    const Keys keys(given);
    std::vector<ItemStatus> statuses(keys.size());
    const auto erased =
        self.call([&](const View& view) { return view.multi_erase_bytes(keys.views(), statuses); });
    if (!erased && !returns) raise(erased.error());
    py::list outcomes(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const bool is_answer = statuses[i].ok() || statuses[i].code == Errc::not_found;
        outcomes[i] = is_answer ? py::object(py::bool_(statuses[i].ok()))
                                : exception_of(statuses[i], Operation::batch_erase, keys[i]);
    }
    return outcomes;
}

/// Stores what is full; the first error comes when all others are stored.
void update(PyDictionary& self, const py::object& given, const py::kwargs& named) {
    Pairs pairs;
    std::optional<Error> first;
    const auto store = [&] {
        if (pairs.size() == 0) return;
        if (const Result<void> put = pairs.store(self, {}); !put && !first) first = put.error();
        pairs.clear();
    };
    const auto add = [&](const py::object& key, const py::object& value) {
        pairs.add(key, value, self.recipe().allow_pickle);
        if (pairs.is_full()) store();
    };
    if (!given.is_none()) for_each_pair(given, add);
    for_each_pair(named, add);
    store();
    if (first) raise(*first);
}

}  // namespace

void bind_many(DictionaryClass& dictionary) {
    dictionary
        .def("get_many", get_many, py::arg("keys"), py::arg("default") = py::none(), py::kw_only(),
             py::arg("errors") = "raise", py::arg("out") = py::none(),
             "The values of many keys, in their order; the default where there is no such key. "
             "errors='return': an "
             "exception stands in the place of a value that could not be had, and none is raised. out=array: "
             "into "
             "its rows, as get_batch, and the array is returned (with errors='return', for each row None or "
             "the "
             "exception); a key that is missing gets the default as its row, or without one is an error.")
        .def("put_many", put_many, py::arg("pairs"), py::kw_only(), py::arg("errors") = "raise",
             "Stores the pairs of a mapping, or of an iterable of pairs. Returns None for each; "
             "errors='return': the "
             "exception for each that failed, and none is raised. The others are stored all the same.")
        .def("erase_many", erase_many, py::arg("keys"), py::kw_only(), py::arg("errors") = "raise",
             "Removes many keys; returns for each whether it was there, or with errors='return' why that is "
             "not known.")
        .def("update", update, py::arg("pairs") = py::none(), py::pos_only(),
             "Stores the pairs of a mapping, or of an iterable of pairs, that need not fit into memory. Not "
             "atomic. "
             "The first error is raised when all others are stored.")
        .def("__ior__", [](const py::object& self, const py::object& pairs) {
            update(self.cast<PyDictionary&>(), pairs, py::kwargs());
            return self;
        });
}

}  // namespace ddict::python
