// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What can go wrong, as a value and as an exception.
//
// An Error is a plain record of fixed size: it is copied without allocating, so that a missing key costs no
// more than a present one. It names what was being done, to which key, on which manager and node, and how
// much space was needed and had. message() turns it into one line for people.
#pragma once

#if __cplusplus < 202002L
#error "ddict needs C++20: -std=c++20"
#endif

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace ddict {

class KeyBytes;

/// Why an operation failed. The comment says what the caller can do about it; docs/errors.md has the table of
/// what is known for sure with each.
enum class Errc : std::uint16_t {
    not_found = 1,     ///< no such key: an answer, not a fault
    no_space,          ///< the manager's pool is full: erase keys, or start with more memory
    too_large,         ///< key above the limit, or value above what a pool can ever hold: fix the call
    invalid_argument,  ///< the call itself is wrong (an empty key, an unknown option): fix the call
    wrong_type,        ///< the stored value is of another type than the one asked for: fix the call
    timeout,           ///< the deadline passed: Error::manager_state says whether the manager answered
    manager_lost,      ///< the manager has ended, or does not answer, or cannot be reached:
                       ///< Error::manager_state says which; the keys of other managers are not affected
    dictionary_gone,   ///< the dictionary has ended: attach to a new one
    not_attached,      ///< there is no dictionary in the environment, or it was detached: attach first
    bad_handle,        ///< the handle is damaged, truncated, or no handle at all: copy it again, whole
    incompatible,      ///< the other side speaks another version of ddict or UCX: use the same on both sides
    access_denied,     ///< the secret in the handle is not this dictionary's
    protocol,          ///< the other side sent something that makes no sense; its connection was dropped
    system,            ///< the operating system, PMIx, UCX or Slurm refused something: see the text
    frozen,            ///< the dictionary is frozen, and this would change it: unfreeze it first
    busy,  ///< a bound of the manager is reached (connections, waiting operations, large values on
           ///< their way): try again, or with fewer at once
    checkpoint_retired,  ///< the checkpoint is older than those that are kept: go on at a newer one
                         ///< (sync_to_newest_checkpoint)
};

inline constexpr std::uint16_t errc_last = static_cast<std::uint16_t>(Errc::checkpoint_retired);

/// What was being done when it failed.
enum class Operation : std::uint8_t {
    none = 0,
    create,
    attach,
    detach,
    destroy,
    put,
    get,
    contains,
    erase,
    size,
    clear,
    scan,  ///< keys, values, items
    stats,
    ping,
    directory,
    launch,
    pop,
    compare_and_swap,
    fetch_add,
    append,
    wait_for,
    batch_get,
    batch_put,
    batch_erase,
    broadcast_put,
    broadcast_get,
    broadcast_erase,
    freeze,
    view,  ///< of a frozen value
    type_and_size,
    count_prefix,
    erase_prefix,
    cancel_wait,  ///< of the keys of a wait_for_any that did not come first
    wait_for_any,
    restart,      ///< of a manager
    save,         ///< to disk
    load,         ///< from there
    checkpoints,  ///< asking for those that are kept in memory, or on disk
    persist,      ///< to the persist path
    restore,      ///< from there
    touch,        ///< giving a pair another time to live
    time_to_live,
};

/// What is known of the manager that an error is about.
enum class ManagerState : std::uint8_t {
    unknown = 0,  ///< it was not asked, or the error is not about one manager
    answered,     ///< the error is its own answer: it lives
    silent,       ///< it was asked and did not answer in time: it may live
    unreachable,  ///< no connection to it could be made or kept: it may live
    ended,        ///< it has ended: the kernel says so, or it has said goodbye itself
};

/// The name of a code as it is spelled above, for example "no_space".
std::string_view name(Errc code) noexcept;
std::string_view name(Operation operation) noexcept;
std::string_view name(ManagerState state) noexcept;
/// The code that is spelled so; Errc::system if there is none.
Errc errc_named(std::string_view name) noexcept;

/// One failure. Trivially copyable; never allocates; texts that do not fit are cut and end in "...".
struct Error {
    static constexpr std::uint32_t no_manager = UINT32_MAX;

    Errc code = Errc::system;
    Operation operation = Operation::none;
    std::uint8_t key_bytes_shown = 0;  ///< how much of `key` is used
    bool key_cut = false;              ///< the key is longer than what is shown
    bool in_doubt = false;  ///< a change was sent and its outcome is not known: it may have taken effect, or
                            ///< a part of it. If false, it has not.
    ManagerState manager_state = ManagerState::unknown;  ///< what is known of `manager`
    std::uint32_t manager = no_manager;                  ///< manager id
    std::uint16_t key_type = 0x0001;  ///< of the key, as KeyBytes::type(); text unless said otherwise
    std::uint64_t need_bytes = 0;     ///< no_space, too_large, a buffer that is too small: what is needed
    std::uint64_t have_bytes = 0;     ///< the same: what is free, the limit, the buffer's size
    std::array<char, 40> key;         ///< the first bytes of the key
    std::array<char, 65> node;        ///< NUL-terminated host name
    std::array<char, 192> detail;     ///< NUL-terminated: what is special about this case, and what to do

    Error() noexcept { node[0] = detail[0] = '\0'; }
    explicit Error(Errc c, std::string_view text = {}) noexcept : Error() {
        code = c;
        if (!text.empty()) set_detail(text);
    }

    Error& set_key(KeyBytes key) noexcept;
    Error& set_key(std::string_view text) noexcept;
    Error& set_node(std::string_view host) noexcept;
    Error& set_detail(std::string_view text) noexcept;
    Error& set_operation(Operation op) noexcept {
        operation = op;
        return *this;
    }
    Error& set_manager(std::uint32_t id) noexcept {
        manager = id;
        return *this;
    }
    Error& set_state(ManagerState state) noexcept {
        manager_state = state;
        return *this;
    }
    Error& set_bytes(std::uint64_t need, std::uint64_t have) noexcept {
        need_bytes = need;
        have_bytes = have;
        return *this;
    }

    /// One line for people, for example
    /// "put of key 'Hello' on manager 3 (n2): no_space: needs 8272 bytes, 128 are free; erase keys or ...".
    /// The key is shown as in_words() does it (<ddict/key_bytes.h>). Allocates.
    std::string message() const;
};

static_assert(std::is_trivially_copyable_v<Error>);

/// Thrown by Result::value() and by the calls of Dictionary that do not start with try_.
class Exception : public std::runtime_error {
  public:
    explicit Exception(const Error& error) : std::runtime_error(error.message()), error_(error) {}
    const Error& error() const noexcept { return error_; }
    Errc code() const noexcept { return error_.code; }

  private:
    Error error_;
};

}  // namespace ddict
