// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Changes single words of a pool where they matter: its header, the directory of the index, buckets, blocks.
// Words anywhere would mostly be those of values and of free memory.
#pragma once

#include <cstring>

#include "base/bytes.h"
#include "shm/layout.h"
#include "tests/fuzz/fuzz_target.h"

namespace ddict::fuzz {

inline std::uint64_t word_at(MutableBytes memory, std::uint64_t offset) {
    std::uint64_t word = 0;
    if (offset + sizeof word <= memory.size()) std::memcpy(&word, memory.data() + offset, sizeof word);
    return word;
}

/// Gives the word at this offset another value. Nothing happens beyond the end.
inline void change_word(Input& input, MutableBytes memory, std::uint64_t offset) {
    offset &= ~std::uint64_t{7};
    if (offset >= memory.size() || memory.size() - offset < sizeof offset) return;
    std::uint64_t word = word_at(memory, offset);
    switch (input.below(6)) {
        case 0:
            word = input.take<std::uint64_t>();
            break;
        case 1:
            word ^= std::uint64_t{1} << input.below(64);
            break;
        case 2:
            word += input.below(3) - 1;
            break;
        case 3:
            word = word_at(memory, input.take<std::uint32_t>() % memory.size() & ~std::uint64_t{7});
            break;
        case 4:
            word = memory.size() - 16 * input.below(8);
            break;
        default:
            word = input.number();
    }
    std::memcpy(memory.data() + offset, &word, sizeof word);
}

class PoolDamage {
  public:
    PoolDamage(Input& input, MutableBytes pool) : input_(input), pool_(pool) {}

    void change_one() { change_word(input_, pool_, chosen_offset()); }

  private:
    std::uint64_t chosen_offset() {
        using namespace shm;
        constexpr std::uint64_t root = offsetof(PoolHeader, index_root);
        constexpr std::uint64_t segment_words = sizeof(IndexSegment) / 8;
        switch (input_.below(8)) {
            case 0:
                return 8 * input_.below(sizeof(PoolHeader) / 8);
            case 1:
                return root + 8 * input_.below((offsetof(PoolHeader, node) - root) / 8);
            case 2:
                return initial_directory_offset + 8 * input_.below(sizeof(InitialDirectory) / 8);
            case 3:
                return directory_entry() - sizeof(DirectoryHeader) +
                       8 * input_.below(sizeof(DirectoryHeader) / 8);
            case 4:
                return directory_entry() + 8 * input_.below(256);
            case 5:
                return segment() + 8 * (input_.take<std::uint16_t>() % segment_words);
            case 6: {
                const std::uint64_t bucket =
                    segment() + sizeof(Bucket) * (1 + input_.below(buckets_per_segment));
                return slot_block(word_at(pool_, bucket + 8 * (1 + input_.below(slots_per_bucket)))) +
                       8 * input_.below(8);
            }
            default:
                return input_.take<std::uint32_t>() % pool_.size();
        }
    }
    std::uint64_t directory_entry() {
        return shm::root_entries(word_at(pool_, offsetof(shm::PoolHeader, index_root)));
    }
    /// One of those that the directory leads to.
    std::uint64_t segment() { return word_at(pool_, directory_entry() + 8 * input_.below(256)); }

    Input& input_;
    MutableBytes pool_;
};

}  // namespace ddict::fuzz
