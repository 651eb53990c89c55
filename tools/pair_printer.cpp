// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/pair_printer.h"

#include <ddict/codec.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "tools/escapes.h"
#include "tools/key_text.h"
#include "tools/standard_streams.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

using Bytes = std::span<const std::byte>;

std::string_view text_of(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Texts first, in the order of their bytes; numbers of one type by what they are.
bool comes_before(KeyBytes a, KeyBytes b) {
    if (a.type() != b.type()) {
        if (a.type() == type_text || b.type() == type_text) return a.type() == type_text;
        return a.type() < b.type();
    }
    const auto as = [](KeyBytes key, auto number) {
        std::memcpy(&number, key.data(), sizeof number);
        return number;
    };
    if (a.type() == key_type_int64) return as(a, std::int64_t{}) < as(b, std::int64_t{});
    if (a.type() == key_type_uint64) return as(a, std::uint64_t{}) < as(b, std::uint64_t{});
    if (a.type() == key_type_float64) return as(a, double{}) < as(b, double{});
    return text_of(a.bytes()) < text_of(b.bytes());
}

}  // namespace

Option zeros_option() {
    return {.name = "--null",
            .letter = '0',
            .help =
                "each as it is, followed by a zero byte (for xargs -0); a pair that has a zero byte "
                "itself, or without --key-type a key that is no text, is left out, and named, and the exit "
                "status is 5"};
}

Option json_option() {
    return {.name = "--json", .help = "for programs; what JSON has not is in base64"};
}

Option sort_option() {
    return {.name = "--sort", .help = "in the order of the keys; nothing is printed before all are there"};
}

PairPrinter::PairPrinter(const Arguments& arguments)
    : zero_(arguments.has("--null")),
      json_(arguments.has("--json")),
      sorts_(arguments.has("--sort")),
      full_(arguments.has("--full")),
      type_(arguments.has("--type") || full_),
      key_type_is_known_(arguments.has("--key-type")),
      width_(!zero_ && !json_ && !full_ && output_is_terminal() ? terminal_width() : 0) {
    if (zero_ && json_) throw UsageError("a list is with -0 or with --json, not with both");
    // How wide characters are is the locale's to say.
    if (width_ > 0 && (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1))
        std::setlocale(LC_CTYPE, "C.UTF-8");
}

void PairPrinter::print_key(KeyBytes key) {
    sorts_ ? keep(key, {}, 0, false) : print_key_now(key);
}

void PairPrinter::print_pair(KeyBytes key, Bytes value, std::uint16_t type) {
    sorts_ ? keep(key, value, type, true) : print_pair_now(key, value, type);
}

ExitStatus PairPrinter::finish() {
    if (sorts_) print_sorted();
    if (json_) list_.end();
    return ambiguous_ ? partial : success;
}

void PairPrinter::keep(KeyBytes key, Bytes value, std::uint16_t type, bool has_value) {
    kept_.push_back({.key = AnyKey(key),
                     .has_value = has_value,
                     .type = type,
                     .value = std::vector<std::byte>(value.begin(), value.end())});
}

void PairPrinter::print_sorted() {
    std::sort(kept_.begin(), kept_.end(),
              [](const Kept& a, const Kept& b) { return comes_before(a.key.view(), b.key.view()); });
    for (const Kept& one : kept_) {
        if (one.has_value) {
            print_pair_now(one.key.view(), one.value, one.type);
        } else {
            print_key_now(one.key.view());
        }
    }
}

void PairPrinter::print_key_now(KeyBytes key) {
    if (json_) return list_.add(json_of_key(key));
    print_fields(key, {});
}

void PairPrinter::print_pair_now(KeyBytes key, Bytes value, std::uint16_t type) {
    if (json_) return list_.add(json_of_pair(key, value, type));
    const std::string shown = shown_value(value, type);
    if (width_ > 0) return print_cut(key, value, type, shown);
    const std::string type_name = type_in_words(type);
    std::vector<std::string_view> fields;
    if (type_) fields.push_back(type_name);
    fields.push_back(shown);
    print_fields(key, fields);
}

/// As bytes where fields are escaped when they are printed.
std::string PairPrinter::shown_value(Bytes value, std::uint16_t type) const {
    if (auto scalar = scalar_text(value, type)) return *std::move(scalar);
    if (zero_ || full_ || type == type_text) return std::string(text_of(value));
    return in_words(value, type);
}

void PairPrinter::print_fields(KeyBytes key, const std::vector<std::string_view>& more) {
    if (zero_) return print_with_zeros(key, more);
    std::string line = escaped_text(key, key_type_is_known_);
    for (const std::string_view field : more)
        line.append("\t").append(printable(field));
    print(line + "\n");
}

void PairPrinter::print_with_zeros(KeyBytes key, const std::vector<std::string_view>& more) {
    if (key.type() != type_text && !key_type_is_known_)
        return refuse(key, "it is no text; without -0, or with --key-type, it is printed");
    std::string fields = plain_text(key);
    fields += '\0';
    for (const std::string_view field : more)
        fields.append(field).push_back('\0');
    if (static_cast<std::size_t>(std::ranges::count(fields, '\0')) != more.size() + 1)
        return refuse(key, "it has a zero byte, at which it would be cut; without -0 it is printed");
    print(fields);
}

void PairPrinter::refuse(KeyBytes key, std::string_view why) {
    std::cerr << "ddict: incomplete: the pair of key " << shown_key(key) << " is left out: " << why << '\n';
    ambiguous_ = true;
}

/// On one line of the terminal; what does not fit is cut, and how much it is stands at the end.
void PairPrinter::print_cut(KeyBytes key_bytes, Bytes bytes, std::uint16_t type_number,
                            const std::string& value) const {
    constexpr std::string_view dots = "...";
    const std::string type = type_in_words(type_number);
    std::string key = escaped_text(key_bytes, key_type_is_known_);
    if (width_of(key) > width_ / 2)
        key = std::string(beginning_of(key, width_ / 2 - std::min(width_ / 2, dots.size()))).append(dots);
    std::string line = key + "  " + (type_ ? type + "  " : "");
    // Of a long value not more is looked at than could be shown.
    const bool is_text = type_number == type_text;
    const std::string shown =
        printable(std::string_view(value).substr(0, is_text ? 4 * width_ : value.size()));
    const std::size_t left = width_ - std::min(width_, width_of(line));
    const bool whole = value.size() <= 4 * width_ || !is_text;
    if (whole && width_of(shown) <= left) return print(line + shown + "\n");
    const std::string size = " (" + (type_ ? "" : type + ", ") + bytes_in_words(bytes.size()) + ")";
    const std::size_t taken = dots.size() + size.size();
    line.append(beginning_of(shown, left - std::min(left, taken))).append(dots).append(size);
    print(std::string(beginning_of(line, width_)) + "\n");
}

}  // namespace ddict::tools
