// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Values to bytes and back as the dictionary does it, without a dictionary.
#pragma once

#include <ddict/codec.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace ddict::codec_test {

inline std::vector<std::byte> stored(std::span<const std::byte> bytes) {
    return {bytes.begin(), bytes.end()};
}

template <class T>
std::vector<std::byte> encoded(const T& value) {
    return detail::with_bytes(value, [](std::span<const std::byte> bytes) { return stored(bytes); });
}

/// What a reader that asks for a T gets of stored bytes and their type.
template <class T>
Result<T> decoded(const std::vector<std::byte>& bytes, std::uint16_t type) {
    detail::SinkFor<T> sink;
    const Result<std::span<std::byte>> buffer = sink.prepare(bytes.size(), type);
    if (!buffer) return buffer.error();
    EXPECT_EQ(buffer->size(), bytes.size());
    std::copy(bytes.begin(), bytes.end(), buffer->begin());
    return std::move(sink).take();
}

template <class T>
void expect_round_trip(const T& value) {
    const Result<T> back = decoded<T>(encoded(value), Codec<T>::type);
    ASSERT_TRUE(back.has_value()) << back.error().message();
    EXPECT_TRUE(*back == value);
}

}  // namespace ddict::codec_test
