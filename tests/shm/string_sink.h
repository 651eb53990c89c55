// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <new>
#include <optional>
#include <string>

#include <ddict/value_sink.h>

namespace ddict::shm {

/// Keeps the last value that it was given.
class StringSink final : public ValueSink {
  public:
    Result<std::span<std::byte>> prepare(std::uint64_t bytes, std::uint16_t value_type) override {
        if (fails_) throw std::bad_alloc();
        if (refusal_) return *refusal_;
        value_.resize(bytes);
        value_type_ = value_type;
        return std::as_writable_bytes(std::span(value_));
    }
    const std::string& value() const { return value_; }
    std::uint16_t value_type() const { return value_type_; }

    void refuse(const Error& why) { refusal_ = why; }
    void accept() { refusal_.reset(); }
    void fail_with_exception(bool fails) { fails_ = fails; }

  private:
    std::string value_;
    std::uint16_t value_type_ = 0;
    std::optional<Error> refusal_;
    bool fails_ = false;
};

}  // namespace ddict::shm
