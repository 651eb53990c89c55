// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What ddict top shows, as lines of text: without a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/activity.h"

namespace ddict::tools {

/// How a piece of text looks. A terminal decides what that means.
enum class Tint { plain, faint, strong, heading, good, warning, alarm };

struct Span {
    std::string text;
    Tint tint = Tint::plain;
};

/// One line of the screen. Not wider than the page it is of.
using Line = std::vector<Span>;

/// The columns that a text takes, in UTF-8 or ASCII.
std::size_t columns_of(const std::string& text);
std::size_t columns_of(const Line& line);
/// Without tints, and without blanks at the end.
std::string plain_text(const Line& line);

enum class Order { manager, operations, memory };

struct PageOptions {
    std::size_t width = 80;  ///< columns; at least 60 are laid out, and then cut
    std::size_t height = 0;  ///< lines; 0: as many as there is to show
    std::size_t first = 0;   ///< how many managers to leave out at the top
    Order order = Order::manager;
    bool utf8 = true;  ///< bars of blocks; otherwise ASCII alone
    bool keys = true;  ///< the last line tells which keys there are
};

struct Page {
    std::vector<Line> lines;
    std::size_t managers_shown = 0;
    std::size_t first = 0;  ///< as was asked for, or less, so that the page is full
};

/// Lost managers come first, then the others in the order asked for.
Page page_of(const Activity& activity, const PageOptions& options);

}  // namespace ddict::tools
