// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Makes a pool whose manager was killed one that can be written to again. layout.h lists what a kill leaves
// behind. The index is repaired where it is: what it leads to is what there is, and each step only takes out
// what is no entry, or writes a number anew, so that it can be killed and begun again. The heap's words are
// written anew from what the index leads to.
//
// Nothing that is read is trusted: memory may have been damaged too. An entry whose block is not sound (its
// place, its lengths, the hash of its key) is taken out and counted. Where the directory itself makes no
// sense, all sound blocks that can be found are put into a new index. What cannot be noticed: other bytes in
// a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "shm/block.h"
#include "shm/heap.h"
#include "shm/index.h"
#include "shm/layout.h"

namespace ddict::shm {

struct RecoveryReport {
    std::uint64_t pairs = 0;           // that are there
    std::uint64_t unsound = 0;         // entries that were taken out since their blocks were damaged
    std::uint64_t missing = 0;         // pairs that were there before, and are not there now: at least these
    std::vector<const Block*> marked;  // those that broadcasts have stored
    std::vector<const Block*> with_ttl;  // those that are visible and have a time to live
};

/// A question about a block that was there before: whether the index leads to it, and, if not and it is to be
/// held, whether it could be: it then has one pin.
struct Claim {
    std::uint64_t block = 0;
    bool hold = false;
    bool visible = false;  // the answers
    bool held = false;
};

/// The offsets of blocks, one bit for each that there can be. Memory is used where there are some only.
class BlockMap {
  public:
    BlockMap(std::uint64_t begin, std::uint64_t end);

    /// False if it was there already. Threads: any, at the same time.
    bool insert(std::uint64_t block) noexcept;
    void erase(std::uint64_t block) noexcept;
    bool contains(std::uint64_t block) const noexcept;
    void prefetch(std::uint64_t block) const noexcept {
        __builtin_prefetch(map_.get() + (block - begin_) / block_alignment / 64, 1);
    }
    /// The first at this offset or behind it; 0 if there is none.
    std::uint64_t next(std::uint64_t from) const noexcept;

  private:
    struct Free {
        void operator()(std::uint64_t* words) const noexcept { std::free(words); }
    };
    using Words = std::unique_ptr<std::uint64_t[], Free>;
    static Words zeros(std::uint64_t words);

    std::uint64_t begin_;
    std::uint64_t words_;
    Words map_;
    Words summary_;  // one bit for each word of the map that is not 0, or has not been
};

/// Used once: repair_index(), answer(), next() until there are no more, found(), finish(). Where there are
/// many pairs, repair_index() takes up to four threads of its own for the time that it lasts.
class Recovery {
  public:
    /// The header has been checked. `heap_end`: no block reaches behind it.
    Recovery(std::byte* pool, PoolHeader& header, std::uint64_t heap_end);

    /// From here on readers are sent to ask. False if there is no telling what was in the pool.
    bool repair_index(RecoveryReport& report);
    void answer(std::span<Claim> claims);
    /// For the heap: what is in use.
    bool next(Heap::Used& used);
    Index::Found found(const Heap& heap) const;
    /// Takes out what has turned out to overlap, and puts in what is in no index any more; then readers may
    /// read again. Calls free(block) for what finds no place.
    void finish(Index& index, std::span<Claim> claims, const std::function<void(std::uint64_t)>& free,
                RecoveryReport& report);

  private:
    /// A segment that the directory mentions, and what it says of itself.
    struct Part {
        std::uint64_t offset = 0;
        std::uint64_t prefix = 0;
        unsigned depth = 0;
    };
    struct Overlapping {
        std::uint64_t block;
        std::uint64_t hash;
    };
    /// What has been found in segments of the index.
    struct Findings {
        std::vector<Heap::Used> parts;  // of the index, in the heap
        std::vector<std::uint64_t> marked;
        std::vector<std::uint64_t> with_ttl;
        std::uint64_t pairs = 0;
        std::uint64_t unsound = 0;
    };

    template <class T>
    T& at(std::uint64_t offset) const noexcept {
        return *reinterpret_cast<T*>(pool_ + offset);
    }
    bool inside_heap(std::uint64_t offset, std::uint64_t bytes) const noexcept {
        return offset >= heap_begin_ && offset <= heap_end_ && bytes <= heap_end_ - offset;
    }
    bool read_root();
    bool is_part(std::uint64_t offset, std::uint64_t bytes, std::uint64_t initial_offset) const noexcept;
    bool collect_segments();
    bool assign_entries();
    bool assign_runs();
    bool sound(std::uint64_t block) const noexcept;
    void repair_segments();
    void repair_segment(const Part& part, Findings& findings);
    void take(Findings&& findings);
    void gather_segment(std::uint64_t offset);
    std::uint64_t add_part(std::uint64_t offset, std::uint64_t index_block, std::uint64_t bytes,
                           std::vector<Heap::Used>& parts) const;
    void lay_out_empty();
    std::uint64_t pair_bytes(std::uint64_t block) const noexcept;
    bool is_held(std::uint64_t block) const noexcept;
    void look_ahead();
    void drop(std::uint64_t block);

    std::byte* pool_;
    PoolHeader& header_;
    std::uint64_t heap_begin_;
    std::uint64_t heap_end_;
    std::uint64_t entries_ = 0;  // offset of the directory's entries
    unsigned depth_ = 0;
    std::vector<Part> segments_;
    std::vector<std::uint64_t> assigned_;  // for each entry of the directory its segment
    BlockMap blocks_;
    Findings all_;
    std::size_t next_part_ = 0;
    std::uint64_t next_block_ = 0;
    Heap::Used ahead_;  // what is to be given next; bytes 0: there is no more
    std::vector<Overlapping> overlapping_;
    std::vector<std::uint64_t> held_;
    bool rebuilds_ = false;  // the index is new and empty
};

}  // namespace ddict::shm
