// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Puts that are collected in an object and stored together: View::batch().
//
//     auto batch = dict.batch();
//     for (const auto& [key, value] : pairs) batch.put(key, value);
//     batch.commit();
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <ddict/view.h>

namespace ddict {

/// Puts of one view, with copies of their keys and values. Nothing of them is sent before commit(), and one
/// that ends without it does nothing: nothing is stored. It is no transaction: what commit() has stored
/// before an error stays. What does not fit into memory is for View::update() and View::start_batch_put().
/// For one thread, the one that made it.
class Batch {
  public:
    Batch(Batch&& other) noexcept = default;
    Batch& operator=(Batch&& other) noexcept = default;
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch() = default;

    /// Adds a put. Errors: what no key can be (empty, too long); invalid_argument after commit(). All others
    /// come with commit().
    template <class K, class V>
    void put(const K& key, const V& value) {
        try_put(key, value).value();
    }
    template <class K, class V>
    Result<void> try_put(const K& key, const V& value) {
        return detail::with_both(key, value, [&](KeyBytes k, std::span<const std::byte> v) {
            return put_bytes(k, v, detail::type_of<V>());
        });
    }
    /// Adds a put on all managers.
    template <class K, class V>
    void bput(const K& key, const V& value) {
        try_bput(key, value).value();
    }
    template <class K, class V>
    Result<void> try_bput(const K& key, const V& value) {
        return detail::with_both(key, value, [&](KeyBytes k, std::span<const std::byte> v) {
            return broadcast_put_bytes(k, v, detail::type_of<V>());
        });
    }

    /// Stores all pairs and waits for it; once only. Throws if any put has failed, saying how many and the
    /// first one's key; what succeeded stays. May take as long as any call for each message. Cost: a message
    /// and its answer for some hundred small pairs of one manager, all at once; one for each value above 4
    /// KiB.
    void commit();
    /// The same, but tells of all failures, by key.
    Result<BatchReport> try_commit();

    /// The same of bytes as they are.
    Result<void> put_bytes(KeyBytes key, std::span<const std::byte> value, std::uint16_t value_type);
    Result<void> broadcast_put_bytes(KeyBytes key, std::span<const std::byte> value,
                                     std::uint16_t value_type);

  private:
    friend class View;
    explicit Batch(View view) : view_(std::move(view)) {}
    /// False once it is committed.
    struct Open {
        Open() = default;
        Open(Open&& other) noexcept : is(std::exchange(other.is, false)) {}
        Open& operator=(Open&& other) noexcept {
            is = std::exchange(other.is, false);
            return *this;
        }
        explicit operator bool() const { return is; }
        bool is = true;
    };

    View view_;  // which collects
    Open open_;
};

}  // namespace ddict
