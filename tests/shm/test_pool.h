// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "shm/pool.h"

namespace ddict::shm {

/// A name for a segment that nobody else uses, and that is none of a dictionary.
inline std::string test_segment_name() {
    static int count = 0;
    return "test-shm-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

/// Its name is gone already: nothing can stay behind.
inline Segment nameless_segment(std::uint64_t bytes) {
    const std::string name = test_segment_name();
    Segment segment = Segment::create(name, bytes).value();
    Segment::remove(name);
    return segment;
}

inline PoolIdentity test_identity() {
    PoolIdentity identity{.dictionary_id = 0x1234'5678'9abc'def0, .secret = {}, .manager = 7, .node = "n2"};
    identity.secret[0] = std::byte{1};
    identity.secret[15] = std::byte{2};
    return identity;
}

inline std::unique_ptr<Pool> make_pool(std::uint64_t bytes) {
    Segment segment = nameless_segment(bytes);
    Pool::format(segment, test_identity()).value();
    return Pool::attach(std::move(segment)).value();
}

inline std::string numbered_key(std::uint64_t number, std::size_t bytes = 30) {
    std::string key = "key-" + std::to_string(number) + "-";
    key.resize(std::max(key.size(), bytes), '.');
    return key;
}

inline Result<void> put(Pool& pool, std::string_view key, std::string_view value) {
    return pool.put({bytes_of(key), hash_of(bytes_of(key)), 0, 0, bytes_of(value)});
}
inline const Block* find(const Pool& pool, std::string_view key) {
    return pool.find(bytes_of(key), hash_of(bytes_of(key)));
}
inline bool erase(Pool& pool, std::string_view key) {
    return pool.erase(bytes_of(key), hash_of(bytes_of(key)));
}
/// The value of a key that must be there.
inline std::string value_of(const Pool& pool, std::string_view key) {
    const Block* block = find(pool, key);
    return block == nullptr ? "(no such key)" : std::string(text_of(block->value()));
}

}  // namespace ddict::shm
