// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "tools/top_page.h"

namespace ddict::tools {

enum class Key { none, quit, sort, up, down, page_up, page_down, first, last, redraw };

/// The terminal, whole, from construction to destruction; the only file that knows ncurses. At most one at a
/// time, one thread. A signal that would end the program (interrupt, terminate, hang-up) ends only waiting
/// meanwhile, and is told by signal().
class Screen {
  public:
    /// Throws std::runtime_error if the terminal is of a kind that nobody knows.
    Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;
    /// Gives the terminal back as it was.
    ~Screen();

    std::size_t width() const;
    std::size_t height() const;
    void show(const std::vector<Line>& lines);
    /// Waits for a key. none: there was none in time, or one that means nothing; quit also after a signal
    /// and when the terminal has gone.
    Key key(std::chrono::milliseconds timeout);
    /// The signal that asked for the end; 0: none.
    int signal() const;

  private:
    struct Terminal;
    std::unique_ptr<Terminal> terminal_;
};

}  // namespace ddict::tools
