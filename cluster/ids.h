// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Identities that are easily taken for each other: a shard, a process that serves it, and a node that
// managers run on. None converts into another, or into a number.
#pragma once

#include <compare>
#include <cstdint>

namespace ddict {

/// A part of the dictionary: what a key hashes to, for as long as the dictionary lives. The public API calls
/// shard i manager(i), and errors call it manager i.
enum class ShardId : std::uint32_t {};

/// For messages, texts and the public API.
constexpr std::uint32_t number_of(ShardId shard) noexcept {
    return static_cast<std::uint32_t>(shard);
}

/// A node of the dictionary, by its place among the node launchers; its host name is in the directory.
enum class NodeId : std::uint32_t {};

constexpr std::uint32_t number_of(NodeId node) noexcept {
    return static_cast<std::uint32_t>(node);
}

/// Of what a directory says of a shard: rises with each change. 0: nothing is known.
enum class Epoch : std::uint32_t {};

inline constexpr Epoch no_epoch{0};
inline constexpr Epoch first_epoch{1};
constexpr std::uint32_t number_of(Epoch epoch) noexcept {
    return static_cast<std::uint32_t>(epoch);
}
constexpr Epoch next(Epoch epoch) noexcept {
    return Epoch{number_of(epoch) + 1};
}

/// A process that serves a shard. Its incarnation is the epoch with which the directory first named it: one
/// that takes its place later has a higher one.
struct ManagerId {
    ShardId shard{};
    Epoch incarnation = first_epoch;

    friend constexpr auto operator<=>(const ManagerId&, const ManagerId&) = default;
};

}  // namespace ddict
