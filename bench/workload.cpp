// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/workload.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_set>

namespace ddict::bench {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

std::uint64_t mark_of(std::uint64_t pair) {
    return Random(pair).next();
}

}  // namespace

Workload::Workload(const WorkloadOptions& options)
    : pairs_(options.pairs),
      key_bytes_(options.key_bytes),
      popularity_(options.pairs, options.zipf_exponent) {
    Random random(options.seed);
    std::unordered_set<std::string> seen;
    letters_.reserve(static_cast<std::size_t>(pairs_) * key_bytes_);
    while (seen.size() < pairs_) {
        std::string key(key_bytes_, '\0');
        for (char& letter : key)
            letter = alphabet[static_cast<std::size_t>(random.below(alphabet.size()))];
        if (const auto [place, is_new] = seen.insert(std::move(key)); is_new) letters_ += *place;
    }
    broadcast_letters_ = letters_.substr(0, static_cast<std::size_t>(broadcast_pairs()) * key_bytes_);
    for (std::size_t at = 0; at < broadcast_letters_.size(); at += key_bytes_)
        broadcast_letters_[at] = static_cast<char>(broadcast_letters_[at] ^ '\x80');
}

std::uint64_t Workload::keys_possible(std::size_t key_bytes) {
    std::uint64_t keys = 1;
    for (std::size_t i = 0; i < key_bytes; ++i) {
        if (keys > UINT64_MAX / alphabet.size()) return UINT64_MAX;
        keys *= alphabet.size();
    }
    return keys;
}

std::vector<std::byte> Workload::value_letters(std::uint64_t bytes) {
    std::vector<std::byte> value(static_cast<std::size_t>(bytes));
    for (std::size_t i = 0; i < value.size(); ++i)
        value[i] = static_cast<std::byte>(alphabet[i % alphabet.size()]);
    return value;
}

void Workload::stamp(std::span<std::byte> value, std::uint64_t pair) {
    const std::uint64_t mark = mark_of(pair);
    std::memcpy(value.data(), &mark, std::min(value.size(), sizeof mark));
}

bool Workload::stamped(std::span<const std::byte> value, std::uint64_t pair) {
    const std::uint64_t mark = mark_of(pair);
    return std::memcmp(value.data(), &mark, std::min(value.size(), sizeof mark)) == 0;
}

}  // namespace ddict::bench
