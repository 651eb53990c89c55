// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A client that does all sorts of things to keys of its own and to shared counters, and checks each answer
// against what it has written down outside of the dictionary, in memory that outlives it: killed at any
// moment, it is followed by another one, which knows what must be there.
#pragma once

#include <ddict/dictionary.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/faults/checked_value.h"

namespace ddict::faults {

inline constexpr std::size_t shared_counters = 8;
inline constexpr std::size_t own_keys = 120;
std::string shared_counter_name(std::size_t number);

/// What the value of a key may be: one version (0: it is not there), or several while it is not known which
/// changes were made. Of a counter the lowest and the highest sum. All zeros: a key that is not used.
struct KnownKey {
    static constexpr std::uint32_t versions_max = 8;
    std::uint32_t life = 0;  // of the client that has made it; together with its number its name
    std::uint32_t number = 0;
    std::uint32_t is_counter = 0;
    std::uint32_t count = 0;
    std::array<std::uint64_t, versions_max> versions{};

    /// A key that is not there, or a counter to which nothing was added.
    void begin(std::uint32_t of_life, std::uint32_t its_number, bool counts) noexcept;
    void become(std::uint64_t version) noexcept;
    /// It may become that. True if it was not among what it may be already.
    bool may_become(std::uint64_t version) noexcept;
    void will_not_become_latest() noexcept { --count; }
    bool can_be(std::uint64_t version) const noexcept;
    bool can_be_there() const noexcept;
    bool takes_changes() const noexcept { return count < versions_max; }
};

/// In memory that is zero at first. One client writes it at a time.
struct ClientRecord {
    static constexpr std::size_t left_max = 4096;
    std::uint32_t lives = 0;
    std::uint64_t last_version = 0;
    std::array<KnownKey, own_keys> keys{};
    KnownKey sum{};
    std::array<std::uint64_t, shared_counters> added{};        // acknowledged
    std::array<std::uint64_t, shared_counters> maybe_added{};  // besides
    // Of earlier lives, what is not known for sure, or could not be checked: nobody changes it any more, save
    // what is on its way.
    std::uint64_t left_count = 0;
    std::array<KnownKey, left_max> left{};

    std::atomic<std::uint64_t> operations{0};
    std::atomic<std::uint64_t> refused{0};  // those that failed as they may
    std::atomic<std::uint64_t> longest_us{0};
    std::atomic<std::uint64_t> longest_refused_us{0};
};

class CheckedClient {
  public:
    struct Options {
        /// Whether an operation that began then may fail so. Otherwise none may.
        std::function<bool(const Error&, std::chrono::steady_clock::time_point)> may_fail{};
        /// Keys that are to be left alone for the moment.
        std::function<bool(const std::string&)> avoids{};
    };
    /// A life of the client of that name, on its record: what an earlier one has left is checked, and erased
    /// if it is known for sure. Both must outlive it. All throw std::runtime_error for what is wrong.
    CheckedClient(const Dictionary& dict, ClientRecord& record, std::string name, std::uint64_t seed,
                  Options options);

    /// One operation, or several in a batch.
    void step();
    /// That all keys are as they must be, and that there are no others.
    void check_all();

  private:
    std::uint64_t below(std::uint64_t end) { return random_() % end; }
    std::size_t any_size();
    std::string name_of(const KnownKey& key) const;
    void take_over();
    void take_over(KnownKey& key);
    bool is_allowed(const Error& error, const std::string& what);
    template <class T>
    bool succeeded(const Result<T>& result, const std::string& what);
    template <class T>
    bool changed(const Result<T>& result, KnownKey& key, bool is_new, const std::string& what);

    void put(KnownKey& key);
    void put_several();
    void get(KnownKey& key);
    bool erase(KnownKey& key);
    void pop(KnownKey& key);
    void add_own();
    void add_shared();
    void look_at_counter(const KnownKey& key);

    const Dictionary& dict_;
    ClientRecord& record_;
    const std::string name_;
    std::mt19937_64 random_;
    const Options options_;
    std::chrono::steady_clock::time_point begin_{};  // of the operation
    bool was_refused_ = false;
};

/// What the counters that all clients share must be.
void check_shared_counters(const Dictionary& dict, const std::vector<const ClientRecord*>& records,
                           const std::function<bool(const std::string&)>& avoids = {});

}  // namespace ddict::faults
