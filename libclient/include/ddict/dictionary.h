// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The dictionary of a job, as a program sees it.
//
//     #include <ddict/dictionary.h>
//
//     auto dict = ddict::Dictionary::attach();     // the one that ddict-launch has put into the environment
//     dict.put("Hello", "Dragon");
//     auto value = dict.get("Hello");              // std::string
//
// Errors. Every call exists twice: `put` throws ddict::Exception, `try_put` returns a ddict::Result. Both
// carry the same ddict::Error, which names the key, the manager, its node, and what to do. Every call ends by
// the dictionary's timeout (AttachOptions::timeout), or earlier when the manager it waits for is known to be
// gone; keys() may take that long for each message, of which there are as many as the keys need.
//
// Threads. One Dictionary may be used by many threads at once; each thread gets connections of its own when
// it first uses it (some milliseconds). Construction, move, detach, destroy and destruction are for one
// thread, when no other is inside a call. After fork() the child must attach again: its calls fail with
// Errc::not_attached.
//
// Cost. A call on one key is one message to its manager and one back. Connections are made at the first use
// of a manager. Values of up to 4 KiB travel with the message; larger ones are moved between the caller's
// memory and the manager's pool without a copy in between where the network can.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ddict/codec.h>
#include <ddict/error.h>
#include <ddict/result.h>
#include <ddict/stats.h>

namespace ddict {

struct AttachOptions {
    /// How long any call may take. Default: 30 s, or DDICT_OPERATION_TIMEOUT (seconds) in the environment.
    std::optional<std::chrono::milliseconds> timeout{};
    /// How long to attach may take.
    std::chrono::milliseconds attach_timeout{10'000};
};

/// What is left at 0 or empty is taken from the environment (DDICT_NODES, DDICT_TOTAL_MEM, DDICT_NAME), if it
/// is set.
struct CreateOptions {
    /// In a Slurm job: how many of its nodes to use; 0 means all. Elsewhere all managers are on this machine.
    std::uint32_t nodes = 0;
    std::uint32_t managers_per_node = 1;
    /// For the whole dictionary, in bytes; it is divided evenly among the managers. 0: 256 MiB.
    std::uint64_t total_mem = 0;
    /// Tells several dictionaries of one job apart, for people. May be empty.
    std::string name{};
    /// How long the managers may take to come up.
    std::chrono::milliseconds launch_timeout{60'000};
    AttachOptions attach{};
};

class Dictionary {
  public:
    /// Attaches to the dictionary whose handle is in the environment (DDICT_HANDLE).
    /// Errors: not_attached (there is none), bad_handle, incompatible, access_denied, dictionary_gone.
    static Dictionary attach(const AttachOptions& options = {}) { return try_attach(options).value(); }
    static Result<Dictionary> try_attach(const AttachOptions& options = {});

    /// Attaches to the dictionary of a handle (serialize(), ddict-launch start).
    static Dictionary attach(std::string_view handle, const AttachOptions& options = {}) {
        return try_attach(handle, options).value();
    }
    static Result<Dictionary> try_attach(std::string_view handle, const AttachOptions& options = {});

    /// Starts a new dictionary: places managers on the nodes of this Slurm job, or on this machine, waits
    /// until they are ready, and attaches. It lives until somebody calls destroy(), or until this process
    /// ends, however it ends. Needs the program ddict-launch: beside this program, beside the library, or in
    /// PATH (or DDICT_LAUNCH). Errors: no_space, invalid_argument (more nodes than the job has), timeout,
    /// system; each with the reason.
    static Dictionary create(const CreateOptions& options = {}) { return try_create(options).value(); }
    static Result<Dictionary> try_create(const CreateOptions& options = {});

    Dictionary(Dictionary&&) noexcept;
    Dictionary& operator=(Dictionary&&) noexcept;
    Dictionary(const Dictionary&) = delete;
    Dictionary& operator=(const Dictionary&) = delete;
    /// Detaches.
    ~Dictionary();

    /// The handle: with it any process of the same user that can reach the managers can attach. Contains a
    /// secret.
    std::string serialize() const;
    /// Gives up all connections. Other clients, and the dictionary, are not affected. Calls after it:
    /// not_attached.
    void detach();
    /// Ends the dictionary for everybody: managers stop, their memory is given back. Calls after it, by
    /// anyone, fail with dictionary_gone or manager_lost.
    void destroy() { try_destroy().value(); }
    Result<void> try_destroy();

    /// Stores a pair; a value that was there is replaced. Key: 1 to 1024 bytes; text, numbers, or bytes.
    /// Errors: invalid_argument (empty key), too_large, no_space (a value that was there stays),
    /// manager_lost, timeout.
    template <Encodable K, Encodable V>
    void put(const K& key, const V& value) {
        try_put(key, value).value();
    }
    template <Encodable K, Encodable V>
    Result<void> try_put(const K& key, const V& value) {
        return detail::with_bytes(key, [&](std::span<const std::byte> key_bytes) {
            return detail::with_bytes(value, [&](std::span<const std::byte> value_bytes) {
                return put_bytes(key_bytes, value_bytes, Codec<V>::type);
            });
        });
    }

    /// The value of a key, as a T. Errors: not_found, wrong_type, manager_lost, timeout.
    template <Decodable T = std::string, Encodable K>
    T get(const K& key) {
        return try_get<T>(key).value();
    }
    template <Decodable T = std::string, Encodable K>
    Result<T> try_get(const K& key) {
        detail::SinkFor<T> sink;
        const Result<void> got = detail::with_bytes(
            key, [&](std::span<const std::byte> key_bytes) { return get_bytes(key_bytes, sink); });
        if (!got) return got.error();
        return std::move(sink).take();
    }
    /// The same for programs in which a missing key is nothing special.
    template <Decodable T = std::string, Encodable K>
    std::optional<T> find(const K& key) {
        Result<T> value = try_get<T>(key);
        if (value) return *std::move(value);
        if (value.error().code != Errc::not_found) throw Exception(value.error());
        return std::nullopt;
    }
    template <Decodable T = std::string, Encodable K>
    T get_or(const K& key, T fallback) {
        std::optional<T> value = find<T>(key);
        return value ? *std::move(value) : std::move(fallback);
    }

    template <Encodable K>
    bool contains(const K& key) {
        return try_contains(key).value();
    }
    template <Encodable K>
    Result<bool> try_contains(const K& key) {
        return detail::with_bytes(key,
                                  [&](std::span<const std::byte> bytes) { return contains_bytes(bytes); });
    }

    /// Removes a pair; says whether there was one.
    template <Encodable K>
    bool erase(const K& key) {
        return try_erase(key).value();
    }
    template <Encodable K>
    Result<bool> try_erase(const K& key) {
        return detail::with_bytes(key, [&](std::span<const std::byte> bytes) { return erase_bytes(bytes); });
    }

    /// The number of pairs on all managers. Not a snapshot while others write. Cost: a message to every
    /// manager.
    std::uint64_t size() { return try_size().value(); }
    Result<std::uint64_t> try_size();
    /// Removes all pairs. Not atomic: a put of another client at the same time may stay.
    void clear() { try_clear().value(); }
    Result<void> try_clear();
    /// All keys, as bytes, in no particular order. A key that is there during the whole call is among them
    /// once.
    std::vector<std::string> keys() { return try_keys().value(); }
    Result<std::vector<std::string>> try_keys();

    /// What every manager says of itself, by manager id; a lost manager is an error.
    std::vector<ManagerStats> stats() { return try_stats().value(); }
    Result<std::vector<ManagerStats>> try_stats();
    Result<ManagerStats> try_stats(std::uint32_t manager);

    std::uint32_t manager_count() const;
    /// The manager that owns a key. A pure function of the key and manager_count(): no message.
    template <Encodable K>
    std::uint32_t which_manager(const K& key) const {
        return detail::with_bytes(key,
                                  [&](std::span<const std::byte> bytes) { return manager_of_bytes(bytes); });
    }

    // The same calls on bytes as they are; those above are made of these.
    Result<void> put_bytes(std::span<const std::byte> key, std::span<const std::byte> value,
                           std::uint16_t value_type = type_bytes);
    Result<void> get_bytes(std::span<const std::byte> key, ValueSink& sink);
    Result<bool> contains_bytes(std::span<const std::byte> key);
    Result<bool> erase_bytes(std::span<const std::byte> key);
    std::uint32_t manager_of_bytes(std::span<const std::byte> key) const;

  private:
    class Impl;
    explicit Dictionary(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace ddict
