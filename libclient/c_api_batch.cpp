// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The C API's puts that are collected.
#include <algorithm>

#include "libclient/c_api.h"

using namespace ddict;
using c_api::Bytes;
using c_api::given;
using c_api::guarded;

struct ddict_batch {
    Batch batch;
};

namespace {

Result<void> tell_counts(const Result<BatchReport>& report, std::uint64_t* stored, std::uint64_t* failed) {
    if (!report) return report.error();
    if (stored != nullptr) *stored = report->stored;
    if (failed != nullptr) *failed = report->failed;
    if (!report->failures.empty()) return report->failures.front().error;
    return {};
}

Result<void> tell_report(const Result<BatchReport>& ended, ddict_batch_report& report) {
    if (!ended) return ended.error();
    // One piece of memory: the failures, then their keys.
    const std::size_t count = ended->failures.size();
    std::size_t bytes = count * sizeof(ddict_failure);
    for (const BatchReport::Failure& failure : ended->failures)
        bytes += failure.key.bytes().size();
    auto* const failures = static_cast<ddict_failure*>(count == 0 ? nullptr : std::malloc(bytes));
    if (count > 0 && failures == nullptr) {
        Error full(Errc::system, "out of memory for the report; the batch has ended");
        full.in_doubt = true;
        return full;
    }
    auto* key = reinterpret_cast<std::byte*>(failures + count);
    for (std::size_t i = 0; i < count; ++i) {
        const BatchReport::Failure& failure = ended->failures[i];
        const Bytes bytes_of_key = failure.key.bytes();
        std::copy(bytes_of_key.begin(), bytes_of_key.end(), key);
        failures[i].key = {key, bytes_of_key.size(), 0, failure.key.type()};
        c_api::tell(&failures[i].error, failure.error);
        key += bytes_of_key.size();
    }
    report = {ended->stored, ended->failed, failures, count};
    return {};
}

/// Adds a put; f is called with the key and the value.
template <class F>
int add(Operation operation, ddict_batch* batch, const ddict_key& key, const ddict_slice& value,
        std::uint16_t type, ddict_error* error, F&& f) noexcept {
    return guarded(operation, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{batch, "batch"}}); !good) return good;
        if (const Result<void> good = c_api::check_key(key, "key"); !good) return good;
        if (const Result<void> good = c_api::check(value, "value"); !good) return good;
        if (const Result<void> good = c_api::check_type(type); !good) return good;
        return f(c_api::key_of(key), c_api::bytes_of(value));
    });
}

}  // namespace

int ddict_start_batch_put(ddict_dictionary* dictionary, ddict_error* error) {
    return guarded(Operation::batch_put, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
        return dictionary->operations().try_start_batch_put();
    });
}

int ddict_end_batch_put(ddict_dictionary* dictionary, uint64_t* stored, uint64_t* failed,
                        ddict_error* error) {
    if (stored != nullptr) *stored = 0;
    if (failed != nullptr) *failed = 0;
    return guarded(Operation::batch_put, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}}); !good) return good;
        return tell_counts(dictionary->operations().try_end_batch_put(), stored, failed);
    });
}

int ddict_end_batch_put_report(ddict_dictionary* dictionary, ddict_batch_report* report, ddict_error* error) {
    return guarded(Operation::batch_put, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}, {report, "report"}}); !good)
            return good;
        return tell_report(dictionary->operations().try_end_batch_put(), *report);
    });
}

void ddict_batch_report_free(ddict_batch_report* report) {
    if (report == nullptr) return;
    std::free(const_cast<ddict_failure*>(report->failures));
    *report = {};
}

int ddict_batch_new(ddict_dictionary* dictionary, ddict_batch** batch, ddict_error* error) {
    return guarded(Operation::batch_put, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{dictionary, "dictionary"}, {batch, "batch"}}); !good)
            return good;
        Result<Batch> made = dictionary->operations().try_batch();
        if (!made) return made.error();
        *batch = new ddict_batch{*std::move(made)};
        return {};
    });
}

int ddict_batch_put(ddict_batch* batch, ddict_key key, ddict_slice value, uint16_t type, ddict_error* error) {
    return add(Operation::put, batch, key, value, type, error,
               [&](KeyBytes k, Bytes v) { return batch->batch.put_bytes(k, v, type); });
}

int ddict_batch_bput(ddict_batch* batch, ddict_key key, ddict_slice value, uint16_t type,
                     ddict_error* error) {
    return add(Operation::broadcast_put, batch, key, value, type, error,
               [&](KeyBytes k, Bytes v) { return batch->batch.broadcast_put_bytes(k, v, type); });
}

int ddict_batch_commit(ddict_batch* batch, uint64_t* stored, uint64_t* failed, ddict_error* error) {
    if (stored != nullptr) *stored = 0;
    if (failed != nullptr) *failed = 0;
    return guarded(Operation::batch_put, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{batch, "batch"}}); !good) return good;
        return tell_counts(batch->batch.try_commit(), stored, failed);
    });
}

int ddict_batch_commit_report(ddict_batch* batch, ddict_batch_report* report, ddict_error* error) {
    return guarded(Operation::batch_put, error, [&]() -> Result<void> {
        if (const Result<void> good = given({{batch, "batch"}, {report, "report"}}); !good) return good;
        return tell_report(batch->batch.try_commit(), *report);
    });
}

void ddict_batch_free(ddict_batch* batch) {
    delete batch;
}
