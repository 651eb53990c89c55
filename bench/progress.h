// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace ddict::bench {

/// One line on a terminal that says what is going on; nothing in a log.
class Progress {
  public:
    Progress();
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    void show(const std::string& text);
    void clear();

  private:
    bool on_terminal_;
    bool shown_ = false;
};

}  // namespace ddict::bench
