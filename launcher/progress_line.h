// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// One line on a terminal that is written over as things go on; nothing at all where it would fill a log.
#pragma once

#include <string>
#include <string_view>

namespace ddict::launcher {

class ProgressLine {
  public:
    /// On standard error.
    ProgressLine();
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    bool active() const { return terminal_; }
    void show(const std::string& text);
    /// Takes the line away; other output may follow.
    void clear();

  private:
    bool terminal_;
    std::string shown_;
};

/// "ddict-launch: " and the text, as one line on standard error. Waits a second at the most for its reader.
void say(std::string_view text);

}  // namespace ddict::launcher
