// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Reading memory that another process may be writing at the same time. What comes out may be a mixture of old
// and new bytes: it is worth something only to a caller who finds out afterwards whether anything has changed
// (layout.h), and nothing must be done with it before that could do harm if it is wrong.
//
// By the letter of C++ that is a data race, and the thread sanitizer would rightly say so. It is a race by
// design: a value cannot be made of atomic words without copying it word by word. So these functions, and no
// others, are hidden from the sanitizer. There they also keep away from memcpy and memcmp, which it watches
// on its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"

#if defined(__SANITIZE_THREAD__)
#define DDICT_RACY_BY_DESIGN __attribute__((no_sanitize("thread"), noinline))
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DDICT_RACY_BY_DESIGN __attribute__((no_sanitize("thread"), noinline))
#endif
#endif

namespace ddict::shm {

#ifdef DDICT_RACY_BY_DESIGN

DDICT_RACY_BY_DESIGN inline std::uint64_t racy_word(const std::byte* at) noexcept {
    return *reinterpret_cast<const volatile std::uint64_t*>(at);
}
DDICT_RACY_BY_DESIGN inline void racy_copy(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    for (std::size_t i = 0; i < bytes; ++i)
        to[i] = *reinterpret_cast<const volatile std::byte*>(from + i);
}
DDICT_RACY_BY_DESIGN inline bool racy_equal(const std::byte* at, Bytes key) noexcept {
    for (std::size_t i = 0; i < key.size(); ++i)
        if (*reinterpret_cast<const volatile std::byte*>(at + i) != key[i]) return false;
    return true;
}

#else

/// An aligned word, read in one piece.
inline std::uint64_t racy_word(const std::byte* at) noexcept {
    return *reinterpret_cast<const volatile std::uint64_t*>(at);
}
inline void racy_copy(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    std::memcpy(to, from, bytes);
}
inline bool racy_equal(const std::byte* at, Bytes key) noexcept {
    return std::memcmp(at, key.data(), key.size()) == 0;
}

#endif

}  // namespace ddict::shm
