// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// An array store: a simulation's field of three dimensions, stored by many clients as blocks, and read again
// as any part of it. Each block is a value under "name/i/j/k"; "name" holds the shapes.
//
//   ddict-launch --managers-per-node 2 -- ./array_store
#include <ddict/array.h>
#include <ddict/dictionary.h>
#include <ddict/record.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Index = std::array<std::uint64_t, 3>;
using Block = ddict::Array<double>;

/// A field that is stored as blocks of one size; those at its upper edges may be smaller.
class ArrayStore {
  public:
    /// Makes a field, of which nothing is stored yet.
    static ArrayStore create(const ddict::View& dict, const std::string& name, Index shape, Index block) {
        dict.put(name, std::pair(shape, block));
        return ArrayStore(dict, name, shape, block);
    }
    /// Waits until somebody has made it.
    static ArrayStore open(const ddict::View& dict, const std::string& name) {
        const auto [shape, block] = dict.wait_for<std::pair<Index, Index>>(name);
        return ArrayStore(dict, name, shape, block);
    }

    Index blocks() const {
        Index count{};
        for (std::size_t d = 0; d < 3; ++d)
            count[d] = (shape_[d] + block_[d] - 1) / block_[d];
        return count;
    }
    Index first(Index at) const { return {at[0] * block_[0], at[1] * block_[1], at[2] * block_[2]}; }
    Index extent(Index at) const {
        Index extent{};
        for (std::size_t d = 0; d < 3; ++d)
            extent[d] = std::min(block_[d], shape_[d] - at[d] * block_[d]);
        return extent;
    }
    void put(Index at, const Block& block) const { dict_.put(key(at), block); }

    /// The part of the field from `begin` up to, but not including, `end`. Its blocks come in one batch.
    Block part(Index begin, Index end) const {
        std::vector<Index> needed;
        std::vector<std::string> keys;
        Index at{};
        for (at[0] = begin[0] / block_[0]; at[0] * block_[0] < end[0]; ++at[0])
            for (at[1] = begin[1] / block_[1]; at[1] * block_[1] < end[1]; ++at[1])
                for (at[2] = begin[2] / block_[2]; at[2] * block_[2] < end[2]; ++at[2]) {
                    needed.push_back(at);
                    keys.push_back(key(at));
                }
        const auto blocks = dict_.multi_get<Block>(keys);
        Block part({end[0] - begin[0], end[1] - begin[1], end[2] - begin[2]});
        for (std::size_t i = 0; i < needed.size(); ++i)
            copy(blocks[i].value(), first(needed[i]), part, begin);
        return part;
    }

  private:
    ArrayStore(const ddict::View& dict, std::string name, Index shape, Index block)
        : dict_(dict), name_(std::move(name)), shape_(shape), block_(block) {}

    std::string key(Index at) const {
        return name_ + '/' + std::to_string(at[0]) + '/' + std::to_string(at[1]) + '/' +
               std::to_string(at[2]);
    }
    /// Copies what two boxes of the field have in common, row by row.
    static void copy(const Block& from, Index from_first, Block& to, Index to_first) {
        Index begin{};
        Index end{};
        for (std::size_t d = 0; d < 3; ++d) {
            begin[d] = std::max(from_first[d], to_first[d]);
            end[d] = std::min(from_first[d] + from.extent(d), to_first[d] + to.extent(d));
        }
        for (std::uint64_t i = begin[0]; i < end[0]; ++i)
            for (std::uint64_t j = begin[1]; j < end[1]; ++j)
                std::copy_n(&from(i - from_first[0], j - from_first[1], begin[2] - from_first[2]),
                            end[2] - begin[2], &to(i - to_first[0], j - to_first[1], begin[2] - to_first[2]));
    }

    ddict::View dict_;
    std::string name_;
    Index shape_;
    Index block_;
};

double field_at(std::uint64_t i, std::uint64_t j, std::uint64_t k) {
    return static_cast<double>(i * 10'000 + j * 100 + k);
}

/// What one of several writers does: every `writers`-th block.
void write_blocks(const ddict::View& dict, std::uint64_t writer, std::uint64_t writers) {
    const ArrayStore store = ArrayStore::open(dict, "field");
    const Index count = store.blocks();
    for (std::uint64_t n = writer; n < count[0] * count[1] * count[2]; n += writers) {
        const Index at{n / (count[1] * count[2]), n / count[2] % count[1], n % count[2]};
        const Index first = store.first(at);
        const Index extent = store.extent(at);
        Block block(extent);
        for (std::uint64_t i = 0; i < extent[0]; ++i)
            for (std::uint64_t j = 0; j < extent[1]; ++j)
                for (std::uint64_t k = 0; k < extent[2]; ++k)
                    block(i, j, k) = field_at(first[0] + i, first[1] + j, first[2] + k);
        store.put(at, block);
    }
}

/// Whether a part of the field is what was written.
bool is_right(const ArrayStore& store, Index begin, Index end) {
    const Block part = store.part(begin, end);
    for (std::uint64_t i = begin[0]; i < end[0]; ++i)
        for (std::uint64_t j = begin[1]; j < end[1]; ++j)
            for (std::uint64_t k = begin[2]; k < end[2]; ++k)
                if (part(i - begin[0], j - begin[1], k - begin[2]) != field_at(i, j, k)) return false;
    return true;
}

}  // namespace

int main() {
    try {
        auto dict = ddict::Dictionary::attach();
        std::vector<std::thread> writers;
        for (std::uint64_t writer = 0; writer < 2; ++writer)
            writers.emplace_back([&dict, writer] { write_blocks(dict, writer, 2); });
        const ArrayStore store = ArrayStore::create(dict, "field", {50, 40, 70}, {16, 16, 16});
        for (std::thread& writer : writers)
            writer.join();
        if (!is_right(store, {0, 0, 0}, {50, 40, 70}) || !is_right(store, {7, 15, 30}, {33, 17, 65})) {
            std::cerr << "array_store: a part of the field is not what was written\n";
            return 1;
        }
        std::cout << "a field of 50 x 40 x 70 in " << dict.size() - 1 << " blocks\n";
    } catch (const std::exception& failure) {
        std::cerr << "array_store: " << failure.what() << '\n';
        return 1;
    }
}
