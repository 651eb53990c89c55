// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/checked_client.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <stdexcept>

namespace ddict::faults {
namespace {

using std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what);
}

/// What is written before comes first, whatever instruction the process is killed at.
void order() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

void raise(std::atomic<std::uint64_t>& longest, std::uint64_t us) {
    if (us > longest) longest = us;
}

}  // namespace

std::string shared_counter_name(std::size_t number) {
    return "shared counter " + std::to_string(number);
}

void KnownKey::begin(std::uint32_t of_life, std::uint32_t its_number, bool counts) noexcept {
    life = 0;
    order();
    number = its_number;
    is_counter = counts ? 1 : 0;
    versions[0] = versions[1] = 0;
    count = 1;
    order();
    life = of_life;
}

void KnownKey::become(std::uint64_t version) noexcept {
    versions[0] = version;
    order();
    count = 1;
}

bool KnownKey::may_become(std::uint64_t version) noexcept {
    if (can_be(version)) return false;
    versions[count] = version;
    order();
    ++count;
    order();
    return true;
}

bool KnownKey::can_be(std::uint64_t version) const noexcept {
    const auto* end = versions.begin() + count;
    return std::find(versions.begin(), end, version) != end;
}

bool KnownKey::can_be_there() const noexcept {
    return std::any_of(versions.begin(), versions.begin() + count,
                       [](std::uint64_t version) { return version != 0; });
}

CheckedClient::CheckedClient(const Dictionary& dict, ClientRecord& record, std::string name,
                             std::uint64_t seed, Options options)
    : dict_(dict), record_(record), name_(std::move(name)), random_(seed), options_(std::move(options)) {
    take_over();
}

std::string CheckedClient::name_of(const KnownKey& key) const {
    return name_ + std::to_string(key.life) + "/" +
           (key.is_counter != 0 ? "sum" : std::to_string(key.number));
}

void CheckedClient::take_over() {
    ++record_.lives;
    order();
    for (std::uint32_t i = 0; i < own_keys; ++i) {
        take_over(record_.keys[i]);
        record_.keys[i].begin(record_.lives, i, false);
    }
    take_over(record_.sum);
    record_.sum.begin(record_.lives, 0, true);
}

/// A request of the one before may still be on its way: what it was about is not written any more.
void CheckedClient::take_over(KnownKey& key) {
    if (key.life == 0) return;
    begin_ = steady_clock::now();
    bool is_gone = false;
    if (options_.avoids && options_.avoids(name_of(key))) {
        // nothing can be said of it
    } else if (key.is_counter != 0) {
        look_at_counter(key);
    } else if (key.count == 1) {
        get(key);
        is_gone = erase(key);
    }
    if (is_gone) return;
    if (record_.left_count == ClientRecord::left_max) fail(name_ + ": too many lives");
    record_.left[record_.left_count] = key;
    order();
    ++record_.left_count;
    order();
}

bool CheckedClient::is_allowed(const Error& error, const std::string& what) {
    if (!options_.may_fail || !options_.may_fail(error, begin_)) fail(what + ": " + error.message());
    was_refused_ = true;
    return true;
}

/// False if it has failed, as it may.
template <class T>
bool CheckedClient::succeeded(const Result<T>& result, const std::string& what) {
    return result.has_value() || !is_allowed(result.error(), what);
}

/// The same of a change, for which the key already says that it may be made.
template <class T>
bool CheckedClient::changed(const Result<T>& result, KnownKey& key, bool is_new, const std::string& what) {
    if (succeeded(result, what)) return true;
    if (!result.error().in_doubt && is_new) key.will_not_become_latest();
    return false;
}

std::size_t CheckedClient::any_size() {
    constexpr std::array<std::size_t, 6> sizes{0, 40, 300, 5'000, 40'000, 300'000};
    return sizes[below(20) == 0 ? 5 : below(8) == 0 ? 4 : below(4)];
}

void CheckedClient::step() {
    KnownKey& key = record_.keys[below(own_keys)];
    const std::uint64_t what = below(10);
    if (what < 7 && options_.avoids && options_.avoids(name_of(key))) return;
    begin_ = steady_clock::now();
    was_refused_ = false;
    switch (what) {
        case 0:
        case 1:
            key.takes_changes() ? put(key) : get(key);
            break;
        case 2:
        case 3:
        case 4:
            get(key);
            break;
        case 5:
            key.takes_changes() ? static_cast<void>(erase(key)) : get(key);
            break;
        case 6:
            key.takes_changes() ? pop(key) : get(key);
            break;
        case 7:
            add_own();
            break;
        case 8:
            add_shared();
            break;
        default:
            put_several();
    }
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - begin_);
    const auto us = static_cast<std::uint64_t>(took.count());
    raise(was_refused_ ? record_.longest_refused_us : record_.longest_us, us);
    if (was_refused_) record_.refused.fetch_add(1, std::memory_order_relaxed);
    record_.operations.fetch_add(1, std::memory_order_relaxed);
}

void CheckedClient::put(KnownKey& key) {
    const std::string name = name_of(key);
    const std::uint64_t version = ++record_.last_version;
    const bool is_new = key.may_become(version);
    const Result<void> stored = dict_.try_put(name, checked_value(name, version, any_size()));
    if (changed(stored, key, is_new, "put of " + name)) key.become(version);
}

void CheckedClient::put_several() {
    Batch batch = dict_.batch();
    std::map<std::string, KnownKey*> put;
    for (std::uint64_t i = 2 + below(20); i > 0; --i) {
        KnownKey& key = record_.keys[below(own_keys)];
        const std::string name = name_of(key);
        if (key.takes_changes() && !(options_.avoids && options_.avoids(name))) put[name] = &key;
    }
    std::map<std::string, std::uint64_t> versions;
    for (const auto& [name, key] : put) {
        versions[name] = ++record_.last_version;
        key->may_become(versions[name]);
        batch.put(name, checked_value(name, versions[name], below(300)));
    }
    const Result<BatchReport> report = batch.try_commit();
    if (!report) fail("batch: " + report.error().message());
    for (const BatchReport::Failure& failure : report->failures) {
        const auto name = failure.key.as<std::string>();
        is_allowed(failure.error, "batch, " + name);
        if (!failure.error.in_doubt) put.at(name)->will_not_become_latest();
        put.erase(name);
    }
    for (const auto& [name, key] : put)
        key->become(versions[name]);
}

void CheckedClient::get(KnownKey& key) {
    const std::string name = name_of(key);
    const Result<std::optional<Value>> value = dict_.try_find<Value>(name);
    if (!succeeded(value, "get of " + name)) return;
    if (!value->has_value()) {
        if (!key.can_be(0)) fail("get of " + name + ": it is lost");
        return key.become(0);
    }
    const auto version = version_of(name, **value);
    if (!version) fail("get of " + name + ": a value that nobody has put");
    if (!key.can_be_there()) fail("get of " + name + ": it is there again");
    if (!key.can_be(*version))
        fail("get of " + name + ": an older value, or a change that was not to be made");
    key.become(*version);
}

/// True if it is not there afterwards, for sure.
bool CheckedClient::erase(KnownKey& key) {
    const std::string name = name_of(key);
    const KnownKey before = key;
    const bool is_new = key.may_become(0);
    const Result<bool> was = dict_.try_erase(name);
    if (!changed(was, key, is_new, "erase of " + name)) return false;
    if (*was ? !before.can_be_there() : !before.can_be(0)) fail("erase of " + name + ": made twice, or lost");
    key.become(0);
    return true;
}

void CheckedClient::pop(KnownKey& key) {
    const std::string name = name_of(key);
    const KnownKey before = key;
    const bool is_new = key.may_become(0);
    const Result<std::optional<Value>> taken = dict_.try_pop<Value>(name);
    if (!changed(taken, key, is_new, "pop of " + name)) return;
    if (taken->has_value() ? !before.can_be_there() : !before.can_be(0))
        fail("pop of " + name + ": made twice, or lost");
    if (taken->has_value()) {
        const auto version = version_of(name, **taken);
        if (!version || !before.can_be(*version)) fail("pop of " + name + ": another value");
    }
    key.become(0);
}

void CheckedClient::add_own() {
    KnownKey& sum = record_.sum;
    const std::string name = name_of(sum);
    if (options_.avoids && options_.avoids(name)) return;
    ++sum.versions[1];
    order();
    const Result<std::uint64_t> before = dict_.try_fetch_add<std::uint64_t>(name);
    if (!succeeded(before, "fetch_add of " + name)) {
        if (!before.error().in_doubt) --sum.versions[1];
        return;
    }
    if (*before < sum.versions[0] || *before >= sum.versions[1])
        fail("fetch_add of " + name + ": " + std::to_string(*before) + ", between " +
             std::to_string(sum.versions[0]) + " and " + std::to_string(sum.versions[1] - 1) + " was added");
    sum.versions[0] = *before + 1;
    order();
    sum.versions[1] = *before + 1;
}

void CheckedClient::add_shared() {
    const std::size_t which = below(shared_counters);
    const std::string name = shared_counter_name(which);
    if (options_.avoids && options_.avoids(name)) return;
    ++record_.maybe_added[which];
    order();
    const Result<std::uint64_t> added = dict_.try_fetch_add<std::uint64_t>(name);
    const bool is_made = succeeded(added, "fetch_add of " + name);
    if (is_made) ++record_.added[which];
    order();
    if (is_made || !added.error().in_doubt) --record_.maybe_added[which];
}

void CheckedClient::look_at_counter(const KnownKey& key) {
    const std::string name = name_of(key);
    const Result<std::optional<std::uint64_t>> sum = dict_.try_find<std::uint64_t>(name);
    if (!succeeded(sum, "get of " + name)) return;
    if (sum->value_or(0) < key.versions[0] || sum->value_or(0) > key.versions[1])
        fail(name + ": " + std::to_string(sum->value_or(0)) + ", between " + std::to_string(key.versions[0]) +
             " and " + std::to_string(key.versions[1]) + " was added");
}

void CheckedClient::check_all() {
    std::map<std::string, KnownKey> all;
    const auto add = [&](const KnownKey& key) { all[name_of(key)] = key; };
    std::for_each(record_.left.begin(),
                  record_.left.begin() + static_cast<std::ptrdiff_t>(record_.left_count), add);
    std::for_each(record_.keys.begin(), record_.keys.end(), add);
    add(record_.sum);
    std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>>
        there;  // by manager, at least and at most
    for (auto& [name, key] : all) {
        if (options_.avoids && options_.avoids(name)) continue;
        begin_ = steady_clock::now();
        const bool is_counter = key.is_counter != 0;
        is_counter ? look_at_counter(key) : get(key);
        auto& [least, most] = there[dict_.which_manager(name)];
        if (is_counter ? key.versions[0] > 0 : !key.can_be(0)) ++least;
        if (is_counter ? key.versions[1] > 0 : key.can_be_there()) ++most;
    }
    for (const auto& [manager, bounds] : there) {
        const Result<std::uint64_t> count = dict_.manager(manager).try_count_prefix(name_);
        if (!count) fail("count on manager " + std::to_string(manager) + ": " + count.error().message());
        if (*count < bounds.first || *count > bounds.second)
            fail(name_ + ": there are other keys on manager " + std::to_string(manager) +
                 " than those that were put");
    }
}

void check_shared_counters(const Dictionary& dict, const std::vector<const ClientRecord*>& records,
                           const std::function<bool(const std::string&)>& avoids) {
    for (std::size_t i = 0; i < shared_counters; ++i) {
        const std::string name = shared_counter_name(i);
        if (avoids && avoids(name)) continue;
        std::uint64_t least = 0;
        std::uint64_t most = 0;
        for (const ClientRecord* record : records) {
            least += record->added[i];
            most += record->added[i] + record->maybe_added[i];
        }
        const std::uint64_t sum = dict.find<std::uint64_t>(name).value_or(0);
        if (sum < least || sum > most)
            fail(name + " is " + std::to_string(sum) + "; what was added is " + std::to_string(least) +
                 " to " + std::to_string(most));
    }
}

}  // namespace ddict::faults
