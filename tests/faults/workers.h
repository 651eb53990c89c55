// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The processes of the soak, and what they tell the one that started them, through memory that all share.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace ddict::faults {

/// What a victim is doing; it is killed in any of these.
enum class Doing : std::uint32_t {
    starting,
    attaching,
    putting,
    getting,
    waiting,
    batching,
    putting_large,
    getting_large,
    detaching,
    ended
};
inline constexpr std::array<std::string_view, 10> doing_names{
    "starting", "attaching", "put",       "get",       "wait",
    "batches",  "large put", "large get", "detaching", "ended before"};

inline constexpr std::size_t plain_keys = 4;
inline constexpr std::size_t batch_keys = 12;
inline constexpr std::size_t keys_of_victim = plain_keys + 1 + batch_keys;
inline constexpr std::size_t large_key = plain_keys;

/// What a victim has begun to write, and what the managers have acknowledged.
struct VictimRecord {
    std::atomic<Doing> doing;
    std::atomic<bool> is_to_leave;
    std::array<std::atomic<std::uint64_t>, keys_of_victim> begun;
    std::array<std::atomic<std::uint64_t>, keys_of_victim> acknowledged;
};
std::string key_of_victim(std::uint64_t victim, std::size_t key);

/// Times of the steady clients: with others that come and go, and with others that are killed.
enum class Phase : std::uint32_t { undisturbed, kills, none };
struct Times {
    static constexpr std::size_t buckets = 1024;
    std::array<std::atomic<std::uint64_t>, buckets> counts;

    void add(std::uint64_t ns);
    std::uint64_t count() const;
    /// In microseconds; the upper end of its bucket.
    double quantile(double q) const;
};

struct SharedState {
    static constexpr std::size_t victims_at_once_max = 64;
    std::array<VictimRecord, victims_at_once_max> victims;
    std::array<Times, 2> times;
    std::atomic<Phase> phase;
    std::atomic<bool> stop;
    std::atomic<std::uint64_t> checked_operations;
    // Of a crowd: those that have come, those that were refused, and whether all may leave.
    std::atomic<std::uint64_t> members;
    std::atomic<std::uint64_t> refused;
    std::atomic<bool> crowd_leaves;
};

/// Attaches, and does all sorts of things until it is killed, or told to leave.
[[noreturn]] void run_victim(const std::string& handle, SharedState& shared, std::size_t slot,
                             std::uint64_t number, std::uint64_t seed);
/// Checks every answer until SharedState::stop. Exit status 0 if all were right.
[[noreturn]] void run_steady(const std::string& handle, SharedState& shared, unsigned number);
/// Attaches, puts, gets, and leaves. Exit status 0 if all was right.
[[noreturn]] void run_short_client(const std::string& handle, std::uint64_t number);
/// So many clients at once, which stay until SharedState::crowd_leaves. Who is refused must be told so, and
/// why, in time. Exit status 0 if all was right.
[[noreturn]] void run_members(const std::string& handle, SharedState& shared, std::uint64_t count,
                              std::chrono::milliseconds timeout);
/// So many threads, one after the other, of one client. Exit status 0 if all was right.
[[noreturn]] void run_threads(const std::string& handle, std::uint64_t count);
/// An attached process with several threads that forks so many children, which attach, or execute a
/// program, or just exit. Exit status 0 if all was right, and it is itself as before.
[[noreturn]] void run_forking_parent(const std::string& handle, std::uint64_t count);

}  // namespace ddict::faults
