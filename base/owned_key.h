// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A key that has its own bytes, and tables by key that are searched without a copy.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include <ddict/key_bytes.h>

#include "base/bytes.h"
#include "base/hash.h"

namespace ddict {

struct OwnedKey {
    std::string bytes;
    std::uint16_t type = type_text;

    OwnedKey() = default;
    explicit OwnedKey(KeyBytes key) : bytes(text_of(key)), type(key.type()) {}
    KeyBytes view() const noexcept { return {bytes_of(bytes), type}; }
};

struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(KeyBytes key) const noexcept { return hash_of(key); }
    std::size_t operator()(const OwnedKey& key) const noexcept { return hash_of(key.view()); }
};

struct KeyEqual {
    using is_transparent = void;
    static KeyBytes view(KeyBytes key) noexcept { return key; }
    static KeyBytes view(const OwnedKey& key) noexcept { return key.view(); }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const noexcept {
        return view(a) == view(b);
    }
};

template <class T>
using MapByKey = std::unordered_map<OwnedKey, T, KeyHash, KeyEqual>;

}  // namespace ddict
