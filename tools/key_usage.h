// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Who holds how much: keys and bytes, added up by the beginnings of keys and by managers. Of bounded memory,
// however many keys there are.
#pragma once

#include <ddict/key.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ddict::tools {

struct UsageOptions {
    std::string separator = "/";
    std::size_t depth = 1;    // separators that a prefix has at the most
    std::size_t begins = 0;   // bytes of each key that are not looked at
    std::size_t largest = 5;  // keys that are told one by one
    std::size_t prefixes_max = 16'384;
};

class KeyUsage {
  public:
    struct Share {
        std::uint64_t keys = 0;
        std::uint64_t bytes = 0;  // of keys and values
        void add(std::uint64_t more) {
            ++keys;
            bytes += more;
        }
    };
    struct Prefix {
        std::string text;  // as keys prints it; empty: of the keys without a separator
        Share share{};
    };
    struct Large {
        AnyKey key{};
        std::uint64_t bytes = 0;  // of the value
        std::uint32_t manager = 0;
    };

    KeyUsage(UsageOptions options, std::uint32_t managers)
        : options_(std::move(options)), managers_(managers) {}

    void add(std::uint32_t manager, KeyBytes key, std::uint64_t value_bytes);

    const Share& all() const { return all_; }
    /// Each key counts in one of them; those with the most bytes first.
    std::vector<Prefix> prefixes() const;
    /// Of the prefixes that came when there were prefixes_max already.
    const Share& others() const { return others_; }
    /// The keys with the largest values, the largest first.
    std::vector<Large> largest() const;
    const std::vector<Share>& managers() const { return managers_; }
    /// What the fullest manager has of the mean of all; 0 if there is nothing.
    double imbalance() const;

  private:
    std::string prefix_of(KeyBytes key) const;
    void note_large(std::uint32_t manager, KeyBytes key, std::uint64_t value_bytes);

    const UsageOptions options_;
    Share all_;
    Share others_;
    std::unordered_map<std::string, Share> prefixes_;
    std::vector<Large> largest_;  // a heap, the smallest on top
    std::vector<Share> managers_;
};

}  // namespace ddict::tools
