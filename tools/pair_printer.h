// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Lists of keys and of pairs, as the options of a command want them: on lines, so that each field can be read
// back; with a zero byte after each field; or as JSON.
#pragma once

#include <ddict/key.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/arguments.h"
#include "tools/exit_status.h"
#include "tools/json_text.h"

namespace ddict::tools {

/// "--null" of a list; "--json"; "--sort".
Option zeros_option();
Option json_option();
Option sort_option();

class PairPrinter {
  public:
    /// Looks at --null, --json, --sort, --full, --type and --key-type. Throws UsageError.
    explicit PairPrinter(const Arguments& arguments);

    void print_key(KeyBytes key);
    void print_pair(KeyBytes key, std::span<const std::byte> value, std::uint16_t type);
    /// To be called after the last one. Success, unless a field held what stands between fields.
    ExitStatus finish();

  private:
    struct Kept {
        AnyKey key;
        bool has_value;
        std::uint16_t type;
        std::vector<std::byte> value;
    };
    void keep(KeyBytes key, std::span<const std::byte> value, std::uint16_t type, bool has_value);
    void print_sorted();
    void print_key_now(KeyBytes key);
    void print_pair_now(KeyBytes key, std::span<const std::byte> value, std::uint16_t type);
    std::string shown_value(std::span<const std::byte> value, std::uint16_t type) const;
    void print_fields(KeyBytes key, const std::vector<std::string_view>& more);
    void print_with_zeros(KeyBytes key, const std::vector<std::string_view>& more);
    void refuse(KeyBytes key, std::string_view why);
    void print_cut(KeyBytes key, std::span<const std::byte> bytes, std::uint16_t type,
                   const std::string& value) const;

    bool zero_;
    bool json_;
    bool sorts_;
    bool full_;
    bool type_;
    bool key_type_is_known_;
    std::size_t width_;  // of the terminal; 0 where nothing is cut
    bool ambiguous_ = false;
    JsonList list_;
    std::vector<Kept> kept_;
};

}  // namespace ddict::tools
