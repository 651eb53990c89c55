// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/progress.h"

#include <unistd.h>

#include <cstdio>

namespace ddict::bench {

Progress::Progress() : on_terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
    clear();
}

void Progress::show(const std::string& text) {
    if (!on_terminal_) return;
    std::fprintf(stderr, "\r\033[K%.78s", text.c_str());
    std::fflush(stderr);
    shown_ = true;
}

void Progress::clear() {
    if (!shown_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    shown_ = false;
}

}  // namespace ddict::bench
