// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What a fuzzer calls, and how it takes decisions out of its bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace ddict::fuzz {

/// What must hold whatever the bytes are. `file` and `line` are those of the caller.
inline void require(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    if (holds) return;
    std::fprintf(stderr, "%s:%d: this must hold, and does not\n", file, line);
    std::abort();
}
/// The same of a function that says what is wrong with an object, or nothing.
inline void require_none(const std::string& wrong, const char* file = __builtin_FILE(),
                         int line = __builtin_LINE()) {
    if (wrong.empty()) return;
    std::fprintf(stderr, "%s:%d: %s\n", file, line, wrong.c_str());
    std::abort();
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
    std::span<const std::byte> take_raw(std::size_t most) { return std::as_bytes(take_bytes(most)); }
    std::span<const std::byte> take_rest() { return take_raw(rest_.size()); }
    /// One byte of the input. Requires 0 < end <= 256.
    std::size_t below(std::size_t end) { return take<std::uint8_t>() % end; }
    bool flip() { return below(2) != 0; }
    /// One of these, which are not to be empty.
    template <class T, std::size_t N>
    const T& pick(const std::array<T, N>& choices) {
        return choices[below(N)];
    }
    /// A number as it may stand in a field: small, near a power of two, or any.
    std::uint64_t number() {
        switch (below(4)) {
            case 0:
                return take<std::uint64_t>();
            case 1:
                return (std::uint64_t{1} << below(64)) - below(3) + 1;
            default:
                return take<std::uint8_t>();
        }
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
