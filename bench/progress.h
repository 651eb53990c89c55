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

    /// Calls once(i) for i from 1 to `repetitions`, and shows each: "`what`1 of 5".
    template <class Once>
    void repeat(const std::string& what, unsigned repetitions, Once&& once) {
        for (unsigned i = 1; i <= repetitions; ++i) {
            show(what + std::to_string(i) + " of " + std::to_string(repetitions));
            once(i);
        }
    }

  private:
    bool on_terminal_;
    bool shown_ = false;
};

}  // namespace ddict::bench
