// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The keys that a command is given, which may be many: its operands, and with --stdin those of the standard
// input.
#pragma once

#include <ddict/dictionary.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tools/arguments.h"
#include "tools/exit_status.h"
#include "tools/key_text.h"

namespace ddict::tools {

/// "--stdin", of the commands that take any number of keys.
Option stdin_option();
/// "--null" of those: what ends each key of the standard input, and of the output.
Option zeros_of_keys_option();

class NamedKeys {
  public:
    explicit NamedKeys(const Arguments& arguments);

    /// The next ones, in their order, up to `max`; none at the end. Throws UsageError, and std::runtime_error
    /// where the standard input cannot be read.
    std::vector<AnyKey> next(std::size_t max);
    /// Whether there may be more than one.
    bool are_many() const { return reads_input_ || arguments_.operands().size() > 1; }

  private:
    bool next_of_input(std::string& text);

    const Arguments& arguments_;
    bool reads_input_;
    bool ends_with_zero_;
    KeyReader reader_;
    std::size_t operand_ = 0;
    std::string buffer_;
    std::size_t at_ = 0;  // in the buffer
    bool input_ended_ = false;
};

std::vector<KeyBytes> views_of(std::span<const AnyKey> keys);

/// What came of many keys, batch by batch; names each on the standard error output with which it was not
/// done.
class ManyOutcomes {
  public:
    /// `does`: for Operation::erase, "del".
    ManyOutcomes(const Dictionary& dict, Operation operation, std::string_view does)
        : dict_(dict), operation_(operation), does_(does) {}

    /// `all`: the first error of a manager, in full.
    void add(std::span<const AnyKey> keys, std::span<const ItemStatus> statuses, const Result<void>& all) {
        add(keys, statuses, all, true);
    }
    /// The same, but does not name those that were not there.
    void add_quietly_if_absent(std::span<const AnyKey> keys, std::span<const ItemStatus> statuses,
                               const Result<void>& all) {
        add(keys, statuses, all, false);
    }
    /// no_such_key if nothing else is wrong than that some were not there; `partial` is for who should try
    /// again.
    ExitStatus status() const;

  private:
    void add(std::span<const AnyKey> keys, std::span<const ItemStatus> statuses, const Result<void>& all,
             bool names_absent);
    void tell(KeyBytes key, const ItemStatus& status, const Result<void>& all) const;

    const Dictionary& dict_;
    Operation operation_;
    std::string_view does_;
    std::size_t all_ = 0;
    std::size_t done_ = 0;
    std::size_t absent_ = 0;
    std::size_t no_keys_ = 0;  // as can be told without a manager: empty, too long
    Errc first_ = {};          // of the others
};

}  // namespace ddict::tools
