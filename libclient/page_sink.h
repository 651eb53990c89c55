// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include <ddict/value_sink.h>

#include "base/bytes.h"
#include "base/limits.h"

namespace ddict::client {

/// Receives packed records (keys, directory entries, statistics), a page at a time.
class PageSink final : public ValueSink {
  public:
    Result<MutableBytes> prepare(std::uint64_t bytes, std::uint16_t) override {
        if (bytes > 2 * limits::page_bytes_max)
            return Error(Errc::protocol, "the page that it sent is longer than any page may be");
        page_.resize(bytes);
        return MutableBytes(page_);
    }
    Bytes page() const { return page_; }
    void clear() { page_.clear(); }

  private:
    std::vector<std::byte> page_;
};

}  // namespace ddict::client
