// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a manager keeps outside its pool for requests: operands on their way in, pages on their way out,
// values that somebody waits for. Bounded in total by limits::private_bytes_max.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"

namespace ddict::manager {

class PrivateMemory {
  public:
    class Buffer {
      public:
        Buffer() = default;
        Buffer(Buffer&& other) noexcept
            : owner_(other.owner_), data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
        Buffer& operator=(Buffer&& other) noexcept {
            std::swap(owner_, other.owner_);
            std::swap(data_, other.data_);
            std::swap(size_, other.size_);
            return *this;
        }
        ~Buffer() {
            if (data_ != nullptr) owner_->give_back(std::move(data_), size_);
        }

        explicit operator bool() const noexcept { return data_ != nullptr; }
        MutableBytes bytes() const noexcept { return {data_.get(), size_}; }

      private:
        friend class PrivateMemory;
        Buffer(PrivateMemory& owner, std::unique_ptr<std::byte[]> data, std::size_t size) noexcept
            : owner_(&owner), data_(std::move(data)), size_(size) {}

        PrivateMemory* owner_ = nullptr;
        std::unique_ptr<std::byte[]> data_;
        std::size_t size_ = 0;
    };

    PrivateMemory() { spare_.reserve(spare_max); }
    PrivateMemory(const PrivateMemory&) = delete;
    PrivateMemory& operator=(const PrivateMemory&) = delete;

    /// Holds a batch, the results of one, or a page of a scan, with its header.
    static constexpr std::size_t page_capacity = 2 * limits::page_bytes_max;
    static constexpr std::size_t page_buffer_bytes = 64 + page_capacity;

    /// `bytes` bytes of anything; an empty Buffer if more than `most` were in use then. The memory must
    /// outlive its buffers.
    Buffer take(std::size_t bytes, std::size_t most = limits::private_bytes_max) {
        if (used_ > most || bytes > most - used_) return {};
        used_ += bytes;
        return Buffer(*this, std::make_unique_for_overwrite<std::byte[]>(bytes), bytes);
    }
    /// page_buffer_bytes of them. Does not allocate when one has been given back before.
    Buffer take_page() {
        if (spare_.empty()) return take(page_buffer_bytes);
        if (page_buffer_bytes > limits::private_bytes_max - used_) return {};
        used_ += page_buffer_bytes;
        std::unique_ptr<std::byte[]> data = std::move(spare_.back());
        spare_.pop_back();
        return Buffer(*this, std::move(data), page_buffer_bytes);
    }

    std::size_t used_bytes() const noexcept { return used_; }

  private:
    static constexpr std::size_t spare_max = 16;

    void give_back(std::unique_ptr<std::byte[]> data, std::size_t size) noexcept {
        used_ -= size;
        if (size == page_buffer_bytes && spare_.size() < spare_max) spare_.push_back(std::move(data));
    }

    std::size_t used_ = 0;
    std::vector<std::unique_ptr<std::byte[]>> spare_;
};

}  // namespace ddict::manager
