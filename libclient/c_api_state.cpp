// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The C API's operations on all keys and on managers.
#include <ddict/ddict_state.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/limits.h"
#include "libclient/c_api.h"

using namespace ddict;
using c_api::Bytes;
using c_api::given;
using c_api::guarded;
using c_api::put_out;

struct ddict_cursor {
    explicit ddict_cursor(Cursor made) : cursor(std::move(made)) {}
    Cursor cursor;
};

struct ddict_frozen {
    explicit ddict_frozen(FrozenValue made) : value(std::move(made)) {}
    FrozenValue value;
};

namespace {

/// An operation on the whole: f is called with the operations. Also what asks only this process is
/// not_attached when it should be, which those of C++ have no way to say.
template <class F>
int on_all(Operation operation, ddict_dictionary* dictionary, ddict_error* error,
           std::initializer_list<c_api::Named> outputs, F&& f) noexcept {
    return guarded(operation, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
        if (const Result<void> good = given(outputs); !good) return good;
        View& view = dictionary->operations();
        if (const Result<void> good = view.check_attached(); !good) return good;
        return f(view);
    });
}

/// Writes how many there are, and as many of them as there is space for.
template <class From, class To, class F>
Result<void> write_all(const std::vector<From>& from, To* to, std::size_t capacity, std::size_t* count,
                       F&& f) {
    if (to == nullptr && capacity > 0)
        return Error(Errc::invalid_argument, "capacity is above 0, but there is no memory to write to");
    *count = from.size();
    for (std::size_t i = 0; i < std::min(capacity, from.size()); ++i)
        f(from[i], to[i]);
    return {};
}

void convert(const ManagerStats& from, ddict_manager_stats& to) {
    to = {};
    to.manager = from.manager;
    to.pid = from.pid;
    to.frozen = from.frozen;
    to.without_kept = from.without_kept;
    c_api::write_text(from.node, to.node, sizeof to.node);
    c_api::write_text(from.transport, to.transport, sizeof to.transport);
    to.keys = from.keys;
    to.pool_bytes = from.pool_bytes;
    to.used_bytes = from.used_bytes;
    to.free_bytes = from.free_bytes;
    to.largest_free_bytes = from.largest_free_bytes;
    to.index_bytes = from.index_bytes;
    to.sessions = from.sessions;
    to.rejected_messages = from.rejected_messages;
    to.puts = from.puts;
    to.gets = from.gets;
    to.hits = from.hits;
    to.contains = from.contains;
    to.erases = from.erases;
    to.clears = from.clears;
    to.scans = from.scans;
    to.local_reads = from.local_reads;
    to.refused_puts = from.refused_puts;
    to.waiting = from.waiting;
    to.broadcasts = from.broadcasts;
    to.broadcast_keys = from.broadcast_keys;
    to.payloads_in_flight = from.payloads_in_flight;
    to.private_bytes = from.private_bytes;
    to.repeated_requests = from.repeated_requests;
    to.unreachable_clients = from.unreachable_clients;
    to.restarts = from.restarts;
    to.tunnels = from.tunnels;
    to.refused_tunnels = from.refused_tunnels;
    to.expired = from.expired;
    to.working_set = from.working_set;
    to.newest_checkpoint = from.newest_checkpoint;
    to.oldest_checkpoint = from.oldest_checkpoint;
    to.old_versions = from.old_versions;
    to.old_version_bytes = from.old_version_bytes;
    to.transient_pairs = from.transient_pairs;
    to.held_requests = from.held_requests;
    to.held_checkpoint = from.held_checkpoint;
    for (const OperationStats& operation : from.operations) {
        if (to.operation_count == std::size(to.operations)) break;
        to.operations[to.operation_count++] = {.operation = name(operation.operation).data(),
                                               .count = operation.count,
                                               .p50_ns = operation.p50_ns,
                                               .p99_ns = operation.p99_ns,
                                               .max_ns = operation.max_ns};
    }
}

}  // namespace

int ddict_size(ddict_dictionary* dictionary, uint64_t* size, ddict_error* error) {
    return on_all(Operation::size, dictionary, error, {{size, "size"}},
                  [&](View& view) { return put_out(view.try_size(), size); });
}

int ddict_partial_size(ddict_dictionary* dictionary, uint64_t* size, ddict_missing_manager* missing,
                       size_t capacity, size_t* missing_count, ddict_error* error) {
    return on_all(Operation::size, dictionary, error, {{size, "size"}, {missing_count, "missing_count"}},
                  [&](View& view) -> Result<void> {
                      const Result<Partial<std::uint64_t>> partial = view.try_partial_size();
                      if (!partial) return partial.error();
                      *size = partial->value;
                      return c_api::write_missing(partial->missing, missing, capacity, missing_count);
                  });
}

int ddict_local_size(ddict_dictionary* dictionary, uint64_t* size, ddict_error* error) {
    return on_all(Operation::size, dictionary, error, {{size, "size"}},
                  [&](View& view) { return put_out(view.try_local_size(), size); });
}

int ddict_clear(ddict_dictionary* dictionary, ddict_error* error) {
    return on_all(Operation::clear, dictionary, error, {}, [](View& view) { return view.try_clear(); });
}

int ddict_count_prefix(ddict_dictionary* dictionary, ddict_slice prefix, uint64_t* count,
                       ddict_error* error) {
    return on_all(Operation::count_prefix, dictionary, error, {{count, "count"}},
                  [&](View& view) -> Result<void> {
                      if (const Result<void> good = c_api::check(prefix, "prefix"); !good) return good;
                      return put_out(view.count_prefix_bytes(c_api::bytes_of(prefix)), count);
                  });
}

int ddict_erase_prefix(ddict_dictionary* dictionary, ddict_slice prefix, uint64_t* erased,
                       ddict_error* error) {
    return on_all(Operation::erase_prefix, dictionary, error, {}, [&](View& view) -> Result<void> {
        if (const Result<void> good = c_api::check(prefix, "prefix"); !good) return good;
        return put_out(view.erase_prefix_bytes(c_api::bytes_of(prefix)), erased);
    });
}

int ddict_scan(ddict_dictionary* dictionary, const ddict_scan_options* options, ddict_cursor** cursor,
               ddict_error* error) {
    return on_all(Operation::scan, dictionary, error, {{cursor, "cursor"}}, [&](View& view) -> Result<void> {
        ScanOptions completed;
        if (options != nullptr) {
            if (options->prefix.data == nullptr) {
                if (const Result<void> good = c_api::check_key(options->prefix, "prefix"); !good) return good;
            }
            completed = {.values = options->values, .local = options->local, .partial = options->partial};
            if (options->prefix.data != nullptr) {
                completed.prefix = c_api::text_of(c_api::key_of(options->prefix).bytes());
                completed.type = options->prefix.type;
            }
        }
        *cursor = new ddict_cursor(view.cursor(completed));
        return {};
    });
}

int ddict_cursor_next(ddict_cursor* cursor, ddict_item* item, ddict_error* error) {
    bool there = true;
    const int code = guarded(Operation::scan, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{cursor, "cursor"}, {item, "item"}}); !good) return good;
        const Result<bool> moved = cursor->cursor.next();
        if (!moved.has_value()) return moved.error();
        there = *moved;
        if (!there) return {};
        const Bytes value = cursor->cursor.value();
        *item = {.key = c_api::key_of(KeyBytes(cursor->cursor.key(), cursor->cursor.key_type())),
                 .value = {value.data(), value.size()},
                 .type = cursor->cursor.value_type(),
                 .manager = cursor->cursor.manager()};
        return {};
    });
    return code == DDICT_OK && !there ? DDICT_NOT_FOUND : code;
}

int ddict_cursor_missing(ddict_cursor* cursor, ddict_missing_manager* missing, size_t capacity, size_t* count,
                         ddict_error* error) {
    return guarded(Operation::scan, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{cursor, "cursor"}, {count, "count"}}); !good) return good;
        return c_api::write_missing(cursor->cursor.missing(), missing, capacity, count);
    });
}

void ddict_cursor_free(ddict_cursor* cursor) {
    delete cursor;
}

int ddict_manager_count(ddict_dictionary* dictionary, uint32_t* count, ddict_error* error) {
    return on_all(Operation::none, dictionary, error, {{count, "count"}}, [&](View& view) -> Result<void> {
        *count = view.manager_count();
        return {};
    });
}

int ddict_which_manager(ddict_dictionary* dictionary, ddict_key key, uint32_t* manager, ddict_error* error) {
    return c_api::on_key(Operation::none, dictionary, key, error,
                         [&](View& view, KeyBytes k) -> Result<void> {
                             if (const Result<void> good = given({{manager, "manager"}}); !good) return good;
                             if (k.empty()) return Error(Errc::invalid_argument, "the key is empty");
                             if (k.size() > limits::key_bytes_max)
                                 return Error(Errc::too_large).set_bytes(k.size(), limits::key_bytes_max);
                             if (const Result<void> good = view.check_attached(); !good) return good;
                             *manager = view.manager_of_bytes(k);
                             return {};
                         });
}

int ddict_local_managers(ddict_dictionary* dictionary, uint32_t* managers, size_t capacity, size_t* count,
                         ddict_error* error) {
    return on_all(Operation::none, dictionary, error, {{count, "count"}}, [&](View& view) {
        return write_all(view.local_managers(), managers, capacity, count,
                         [](std::uint32_t from, std::uint32_t& to) { to = from; });
    });
}

int ddict_empty_managers(ddict_dictionary* dictionary, uint32_t* managers, size_t capacity, size_t* count,
                         ddict_error* error) {
    return on_all(Operation::stats, dictionary, error, {{count, "count"}}, [&](View& view) -> Result<void> {
        const Result<std::vector<ManagerStats>> all = view.try_stats();
        if (!all) return all.error();
        std::vector<std::uint32_t> empty;
        for (const ManagerStats& stats : *all)
            if (stats.without_kept) empty.push_back(stats.manager);
        return write_all(empty, managers, capacity, count,
                         [](std::uint32_t from, std::uint32_t& to) { to = from; });
    });
}

int ddict_local_manager(ddict_dictionary* dictionary, uint32_t* manager, ddict_error* error) {
    return on_all(Operation::none, dictionary, error, {{manager, "manager"}},
                  [&](View& view) -> Result<void> {
                      const std::optional<std::uint32_t> local = view.local_manager();
                      if (!local) return Error(Errc::not_found, "there is no manager on this node");
                      *manager = *local;
                      return {};
                  });
}

int ddict_main_manager(ddict_dictionary* dictionary, uint32_t* manager, ddict_error* error) {
    return on_all(Operation::none, dictionary, error, {{manager, "manager"}},
                  [&](View& view) -> Result<void> {
                      *manager = view.main_manager();
                      return {};
                  });
}

int ddict_manager_node(ddict_dictionary* dictionary, uint32_t manager, char* node, size_t capacity,
                       ddict_error* error) {
    return on_all(Operation::none, dictionary, error, {{node, "node"}}, [&](View& view) -> Result<void> {
        if (capacity == 0) return Error(Errc::invalid_argument, "capacity is 0");
        const Result<std::string> name = view.try_manager_node(manager);
        if (!name) return name.error();
        c_api::write_text(*name, node, capacity);
        return {};
    });
}

int ddict_freeze(ddict_dictionary* dictionary, ddict_error* error) {
    return on_all(Operation::freeze, dictionary, error, {}, [](View& view) { return view.try_freeze(); });
}

int ddict_unfreeze(ddict_dictionary* dictionary, ddict_error* error) {
    return on_all(Operation::freeze, dictionary, error, {}, [](View& view) { return view.try_unfreeze(); });
}

int ddict_is_frozen(ddict_dictionary* dictionary, bool* frozen, ddict_error* error) {
    return on_all(Operation::freeze, dictionary, error, {{frozen, "frozen"}},
                  [&](View& view) { return put_out(view.try_is_frozen(), frozen); });
}

int ddict_view_frozen(ddict_dictionary* dictionary, ddict_key key, uint16_t type, ddict_frozen** frozen,
                      ddict_slice* slice, ddict_error* error) {
    return c_api::on_key(
        Operation::view, dictionary, key, error, [&](View& view, KeyBytes k) -> Result<void> {
            if (const Result<void> good = given({{frozen, "frozen"}, {slice, "slice"}}); !good) return good;
            if (const Result<void> good = c_api::check_type(type); !good) return good;
            const Result<FrozenValue> value = view.view_frozen_bytes(k);
            if (!value) return value.error();
            if (const Result<void> fits = detail::check_type(value->value_type(), type); !fits)
                return value->name_error(fits.error());
            const Result<Bytes> bytes = value->try_bytes();
            if (!bytes) return bytes.error();
            *frozen = new ddict_frozen(*value);
            *slice = {bytes->data(), bytes->size()};
            return {};
        });
}

bool ddict_frozen_valid(const ddict_frozen* frozen) {
    return frozen != nullptr && frozen->value.valid();
}

void ddict_frozen_free(ddict_frozen* frozen) {
    delete frozen;
}

int ddict_stats(ddict_dictionary* dictionary, ddict_manager_stats* all, size_t capacity, size_t* count,
                ddict_error* error) {
    return on_all(Operation::stats, dictionary, error, {{count, "count"}}, [&](View& view) -> Result<void> {
        const Result<std::vector<ManagerStats>> stats = view.try_stats();
        if (!stats) return stats.error();
        return write_all(*stats, all, capacity, count, convert);
    });
}

int ddict_partial_stats(ddict_dictionary* dictionary, ddict_manager_stats* all, size_t capacity,
                        size_t* count, ddict_missing_manager* missing, size_t missing_capacity,
                        size_t* missing_count, ddict_error* error) {
    return on_all(Operation::stats, dictionary, error, {{count, "count"}, {missing_count, "missing_count"}},
                  [&](View& view) -> Result<void> {
                      const Result<Partial<std::vector<ManagerStats>>> stats = view.try_partial_stats();
                      if (!stats) return stats.error();
                      if (const Result<void> written = write_all(stats->value, all, capacity, count, convert);
                          !written)
                          return written;
                      return c_api::write_missing(stats->missing, missing, missing_capacity, missing_count);
                  });
}

int ddict_stats_of(ddict_dictionary* dictionary, uint32_t manager, ddict_manager_stats* stats,
                   ddict_error* error) {
    return on_all(Operation::stats, dictionary, error, {{stats, "stats"}}, [&](View& view) -> Result<void> {
        const Result<ManagerStats> one = view.try_stats(manager);
        if (!one) return one.error();
        convert(*one, *stats);
        return {};
    });
}

int ddict_health(ddict_dictionary* dictionary, ddict_manager_health* all, size_t capacity, size_t* count,
                 ddict_error* error) {
    return on_all(Operation::ping, dictionary, error, {{count, "count"}}, [&](View& view) -> Result<void> {
        const Result<std::vector<ManagerHealth>> health = view.try_health();
        if (!health) return health.error();
        return write_all(*health, all, capacity, count,
                         [](const ManagerHealth& from, ddict_manager_health& to) {
                             to = {};
                             to.manager = from.manager;
                             to.alive = from.alive();
                             c_api::write_text(from.node, to.node, sizeof to.node);
                             to.round_trip_ns = from.round_trip.count();
                             to.restarts = from.restarts;
                             to.restarting = from.restarting;
                             if (from.error) c_api::tell(&to.error, *from.error);
                         });
    });
}

int ddict_profile(ddict_dictionary* dictionary, ddict_client_profile* profile,
                  ddict_operation_profile* operations, size_t capacity, size_t* count, ddict_error* error) {
    return on_all(Operation::none, dictionary, error, {{profile, "profile"}, {count, "count"}},
                  [&](View& view) -> Result<void> {
                      const ClientProfile own = view.profile();
                      *profile = {.threads = own.threads, .local_reads = own.local_reads};
                      return write_all(own.operations, operations, capacity, count,
                                       [](const OperationProfile& from, ddict_operation_profile& to) {
                                           to = {.operation = name(from.operation).data(),
                                                 .count = from.count,
                                                 .errors = from.errors,
                                                 .bytes_sent = from.bytes_sent,
                                                 .bytes_received = from.bytes_received,
                                                 .samples = from.samples,
                                                 .p50_ns = from.p50.count(),
                                                 .p90_ns = from.p90.count(),
                                                 .p99_ns = from.p99.count(),
                                                 .longest_ns = from.longest.count()};
                                       });
                  });
}

int ddict_profile_reset(ddict_dictionary* dictionary, ddict_error* error) {
    return on_all(Operation::none, dictionary, error, {}, [](View& view) -> Result<void> {
        view.profile_reset();
        return {};
    });
}
