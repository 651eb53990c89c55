// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/escapes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cwchar>

namespace ddict::tools {
namespace {

/// One character of UTF-8, or one byte that is none.
struct Character {
    std::size_t bytes = 1;
    std::optional<std::uint32_t> code{};
};

/// Requires that the text is not empty. Follows the table of well-formed sequences of the Unicode standard:
/// no overlong forms, no surrogates, nothing above U+10FFFF.
Character character_at(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t first = at(0);
    if (first < 0x80) return {1, first};
    const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {};
    std::uint32_t code = first & (0xffU >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((at(i) & 0xc0) != 0x80) return {};
        code = code << 6 | (at(i) & 0x3fU);
    }
    constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    if (code < least.at(bytes) || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
    return {bytes, code};
}

struct Range {
    std::uint32_t first;
    std::uint32_t last;
};

/// Control characters, and formats that are invisible or change how the text around them is shown.
constexpr std::array unseen{
    Range{0x0000, 0x001f}, Range{0x007f, 0x009f},   Range{0x00ad, 0x00ad},   Range{0x034f, 0x034f},
    Range{0x061c, 0x061c}, Range{0x115f, 0x1160},   Range{0x17b4, 0x17b5},   Range{0x180b, 0x180f},
    Range{0x200b, 0x200f}, Range{0x2028, 0x202e},   Range{0x2060, 0x206f},   Range{0x3164, 0x3164},
    Range{0xfdd0, 0xfdef}, Range{0xfeff, 0xfeff},   Range{0xffa0, 0xffa0},   Range{0xfff0, 0xfffb},
    Range{0xfffe, 0xffff}, Range{0x1bca0, 0x1bca3}, Range{0x1d173, 0x1d17a}, Range{0xe0000, 0xe0fff},
};

bool is_seen(std::uint32_t code) {
    const auto* const range = std::lower_bound(unseen.begin(), unseen.end(), code,
                                               [](Range one, std::uint32_t c) { return one.last < c; });
    return (range == unseen.end() || code < range->first) && (code & 0xfffe) != 0xfffe;
}

void append_escaped(std::string& out, std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char c : bytes) {
        const auto byte = static_cast<std::uint8_t>(c);
        out += "\\x";
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
}

std::string printable(std::string_view bytes, std::string_view kept, std::string_view escaped) {
    std::string out;
    out.reserve(bytes.size());
    while (!bytes.empty()) {
        const Character next = character_at(bytes);
        const std::string_view character = bytes.substr(0, next.bytes);
        const bool stays = kept.find(bytes[0]) != kept.npos ||
                           (next.code && is_seen(*next.code) && escaped.find(bytes[0]) == escaped.npos);
        if (stays) {
            out += character;
        } else {
            append_escaped(out, character);
        }
        bytes.remove_prefix(next.bytes);
    }
    return out;
}

std::optional<std::uint8_t> digit(char c) {
    if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
    return std::nullopt;
}

/// Of a \xNN at the beginning of the text.
std::optional<std::uint8_t> escaped_byte(std::string_view text) {
    if (text.size() < 4 || text[0] != '\\' || text[1] != 'x') return std::nullopt;
    const auto upper = digit(text[2]);
    const auto lower = digit(text[3]);
    if (!upper || !lower) return std::nullopt;
    return static_cast<std::uint8_t>(*upper << 4 | *lower);
}

/// What is shown together, and how many columns that takes.
struct Piece {
    std::size_t bytes;
    std::size_t columns;
};

/// Requires that the text is not empty.
Piece piece_at(std::string_view text) {
    if (escaped_byte(text)) return {4, 4};
    const Character next = character_at(text);
    if (!next.code || *next.code < 0x80) return {1, 1};
    // A character that this locale does not know is taken for one of the usual width.
    const int width = ::wcwidth(static_cast<wchar_t>(*next.code));
    return {next.bytes, width < 0 ? 1 : static_cast<std::size_t>(width)};
}

}  // namespace

std::string printable(std::string_view bytes) {
    if (bytes == "-") return "\\x2d";
    std::string text = printable(bytes, "", "\\");
    constexpr std::string_view blank = "\\x20";
    if (text.starts_with(' ')) text.replace(0, 1, blank);
    if (text.ends_with(' ')) text.replace(text.size() - 1, 1, blank);
    return text;
}

std::string printable_text(std::string_view bytes) {
    return printable(bytes, "\n\t", "");
}

std::optional<std::string> unescaped(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size());
    while (!text.empty()) {
        if (text[0] != '\\') {
            bytes += text[0];
            text.remove_prefix(1);
            continue;
        }
        const std::optional<std::uint8_t> byte = escaped_byte(text);
        if (!byte) return std::nullopt;
        bytes += static_cast<char>(*byte);
        text.remove_prefix(4);
    }
    return bytes;
}

std::size_t width_of(std::string_view text) {
    std::size_t columns = 0;
    while (!text.empty()) {
        const Piece piece = piece_at(text);
        columns += piece.columns;
        text.remove_prefix(piece.bytes);
    }
    return columns;
}

std::string_view beginning_of(std::string_view text, std::size_t columns) {
    std::size_t bytes = 0;
    while (bytes < text.size()) {
        const Piece piece = piece_at(text.substr(bytes));
        if (piece.columns > columns) break;
        columns -= piece.columns;
        bytes += piece.bytes;
    }
    return text.substr(0, bytes);
}

}  // namespace ddict::tools
