// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Where values arrive: the same memory again and again, as a program with a buffer of its own does it. What
// ddict is compared with copies into the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include <ddict/batch.h>
#include <ddict/value_sink.h>

#include "bench/workload.h"

namespace ddict::bench {

/// For one value.
class ValueBuffer final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t) override {
        return buffer(static_cast<std::size_t>(bytes));
    }
    void copy_from(const char* data, std::size_t bytes) {
        const std::span<std::byte> there = buffer(bytes);
        if (bytes != 0) std::memcpy(there.data(), data, bytes);
    }
    /// Throws if it is not the value of `pair`.
    void check(std::uint64_t pair, std::uint64_t value_bytes) const {
        if (bytes_ != value_bytes || !Workload::stamped(std::span(memory_).first(bytes_), pair)) wrong();
    }
    [[noreturn]] static void wrong() {
        throw std::runtime_error("get brought another value than the one that was put");
    }

  private:
    std::span<std::byte> buffer(std::size_t bytes) {
        bytes_ = bytes;
        if (memory_.size() < bytes) memory_.resize(bytes);
        return std::span(memory_).first(bytes);
    }

    std::vector<std::byte> memory_;
    std::size_t bytes_ = 0;
};

/// For the values of a batch, all of the same size.
class BatchBuffer final : public ItemSink {
  public:
    void expect(std::size_t items, std::uint64_t value_bytes) {
        value_bytes_ = static_cast<std::size_t>(value_bytes);
        memory_.resize(items * value_bytes_);
    }
    Result<std::span<std::byte>> prepare(std::size_t index, std::uint64_t bytes, std::uint16_t) override {
        if (bytes != value_bytes_) ValueBuffer::wrong();
        return value(index);
    }
    void done(std::size_t, const ItemStatus& status) override {
        if (!status.ok()) throw std::runtime_error("an item of a batch was not there");
    }
    void check(std::size_t index, std::uint64_t pair) {
        if (!Workload::stamped(value(index), pair)) ValueBuffer::wrong();
    }

  private:
    std::span<std::byte> value(std::size_t index) {
        return std::span(memory_).subspan(index * value_bytes_, value_bytes_);
    }

    std::size_t value_bytes_ = 0;
    std::vector<std::byte> memory_;
};

}  // namespace ddict::bench
