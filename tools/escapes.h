// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Bytes as one line of text that no terminal acts upon, and back.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ddict::tools {

/// Valid UTF-8 that a terminal shows stays as it is. Everything else becomes \xNN, byte by byte: control
/// characters, what is not valid UTF-8, what is invisible or turns the direction of the text, backslashes,
/// a blank at either end, which shells strip, and a lone "-", which commands take for standard input.
/// unescaped() of it gives the same bytes again.
std::string printable(std::string_view bytes);
/// The same, but what a text is made of stays: line ends, tabs and backslashes. For people; it cannot be
/// undone.
std::string printable_text(std::string_view bytes);
/// The bytes that a text with \xNN stands for; nothing if there is a backslash that does not begin a \xNN.
std::optional<std::string> unescaped(std::string_view text);

/// How many columns of a terminal a printable text takes.
std::size_t width_of(std::string_view text);
/// The beginning of a printable text that fits into `columns`, which may be all of it. No \xNN is cut in two.
std::string_view beginning_of(std::string_view text, std::size_t columns);

}  // namespace ddict::tools
