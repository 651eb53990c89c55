// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a fuzzer calls, and how it takes decisions out of its bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace ddict::fuzz {

/// What must hold whatever the bytes are.
inline void require(bool holds) {
    if (!holds) std::abort();
}

class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    bool is_empty() const { return rest_.empty(); }
    /// Missing bytes are 0.
    template <class T>
    T take() {
        T value{};
        const auto bytes = take_bytes(sizeof value);
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }
    std::span<const std::uint8_t> take_bytes(std::size_t most) {
        const auto taken = rest_.first(std::min(most, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

  private:
    std::span<const std::uint8_t> rest_;
};

/// Writes the next bytes of the input somewhere into this memory: offset (4 bytes), how many (1), bytes.
inline void scribble(Input& input, std::span<std::byte> memory) {
    const std::size_t offset = input.take<std::uint32_t>() % memory.size();
    const auto bytes = input.take_bytes(input.take<std::uint8_t>());
    const std::size_t count = std::min(bytes.size(), memory.size() - offset);
    if (count != 0) std::memcpy(memory.data() + offset, bytes.data(), count);
}

}  // namespace ddict::fuzz
