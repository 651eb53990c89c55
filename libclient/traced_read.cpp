// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads of this node's memory in a process that traces what it does.
#include <chrono>

#include "libclient/trace.h"
#include "libclient/view_calls.h"

namespace ddict {
namespace {

/// Passes a value on, and knows how large it was.
class CountingSink final : public ValueSink {
  public:
    explicit CountingSink(ValueSink& sink) : sink_(sink) {}
    Result<MutableBytes> prepare(std::uint64_t size, std::uint16_t value_type) override {
        bytes = size;
        return sink_.prepare(size, value_type);
    }
    MutableBytes rest() override { return sink_.rest(); }
    std::uint64_t bytes = 0;

  private:
    ValueSink& sink_;
};

}  // namespace

bool View::Calls::read_traced(const View& view, Operation operation, ShardId shard, KeyBytes key,
                              std::uint64_t hash, ValueSink& sink, Result<void>& outcome) {
    const Time started = std::chrono::steady_clock::now();
    CountingSink counting(sink);
    if (!read_untraced(view, operation, shard, key, hash, counting, outcome)) return false;
    if (const client::Trace* const trace = client::Trace::current(); trace != nullptr)
        trace_read(view, *trace, operation, shard, key, started, counting.bytes, outcome);
    return true;
}

void View::Calls::trace_read(const View& view, const client::Trace& trace, Operation operation, ShardId shard,
                             KeyBytes key, Time started, std::uint64_t bytes, const Result<void>& outcome) {
    trace.write({.operation = operation,
                 .key = key,
                 .manager = number_of(shard),
                 .node = view.attachment_->node(),
                 .is_read_here = true,
                 .checkpoint = checkpoint(view),
                 .bytes_received = outcome ? bytes : 0,
                 .started = started,
                 .error = outcome ? nullptr : &outcome.error()});
}

}  // namespace ddict
