// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/key_text.h"

#include <vector>

#include "tools/escapes.h"
#include "tools/usage_error.h"
#include "tools/value_text.h"

namespace ddict::tools {
namespace {

std::uint16_t type_of_key(const std::string& name) {
    const std::optional<std::uint16_t> type = type_named(name);
    if (!type) throw UsageError(no_such_type(name));
    return *type;
}

AnyKey key_of(std::uint16_t type, const std::string& text) {
    return AnyKey::of_type(value_of(type, text), type);
}

/// The bytes of a text with \xNN in it. Throws UsageError.
std::string unescaped_or_refused(const std::string& text) {
    std::optional<std::string> bytes = unescaped(text);
    if (!bytes)
        throw UsageError("a backslash that begins neither \\xNN nor \\TYPE: in '" + printable(text) +
                         "' (--escaped)");
    return *std::move(bytes);
}

}  // namespace

Option key_type_option() {
    return {.name = "--key-type",
            .value = "TYPE",
            .help =
                "KEY is of this type, not a text: int (any integer is an int64, or above that a uint64), "
                "double, bytes, ... as get --type prints it",
            .completes = {.kind = Completes::Kind::type}};
}

Option key_type_of_listing_option() {
    return {.name = "--key-type",
            .value = "TYPE",
            .help =
                "only keys of this type (int, double, text, bytes, ... as get --type prints it), which is "
                "then not printed with them; PREFIX is of this type too, and numbers have none",
            .completes = {.kind = Completes::Kind::type}};
}

std::optional<std::uint16_t> key_type_given(const Arguments& arguments) {
    const std::optional<std::string> name = arguments.value("--key-type");
    if (!name) return std::nullopt;
    const std::uint16_t type = type_of_key(*name);
    if (type == key_type_uint64) return type;  // only what is above int64
    constexpr unsigned element_kind = 0xfff0;
    const unsigned kind = type & element_kind;
    if (kind == (key_type_int64 & element_kind) || kind == (key_type_uint64 & element_kind))
        return key_type_int64;
    return kind == (key_type_float64 & element_kind) ? key_type_float64 : type;
}

AnyKey key_operand(const Arguments& arguments, std::size_t operand) {
    return KeyReader(arguments).key(arguments.operands().at(operand), arguments.has("--escaped"));
}

KeyReader::KeyReader(const Arguments& arguments) {
    if (const std::optional<std::string> name = arguments.value("--key-type")) type_ = type_of_key(*name);
}

AnyKey KeyReader::key(const std::string& given, bool is_escaped) {
    if (!is_escaped) return type_ ? key_of(*type_, given) : AnyKey(given);
    if (type_) return key_of(*type_, unescaped_or_refused(given));
    const std::size_t colon = given.find(':');
    if (given.starts_with('\\') && !given.starts_with("\\x") && colon != given.npos) {
        if (std::string name = given.substr(1, colon - 1); name != last_.first) {
            const std::uint16_t type = type_of_key(name);
            last_ = {std::move(name), type};
        }
        return key_of(last_.second, unescaped_or_refused(given.substr(colon + 1)));
    }
    return AnyKey(unescaped_or_refused(given));
}

std::string plain_text(KeyBytes key) {
    if (auto number = scalar_text(key.bytes(), key.type())) return *std::move(number);
    return std::string(reinterpret_cast<const char*>(key.data()), key.size());
}

std::string shown_key(KeyBytes key, bool is_cut) {
    const std::string text = escaped_text(key) + (is_cut ? "..." : "");
    return key.type() == type_text ? "'" + text + "'" : text;
}

std::string escaped_text(KeyBytes key, bool type_is_known) {
    const std::string text = printable(plain_text(key));
    return type_is_known || key.type() == type_text ? text : "\\" + type_in_words(key.type()) + ":" + text;
}

}  // namespace ddict::tools
