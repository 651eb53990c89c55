// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/progress_line.h"

#include <unistd.h>

#include <cstdlib>

#include "launcher/file_descriptor.h"

namespace ddict::launcher {
namespace {

constexpr std::string_view erase_line = "\r\033[K";

bool is_terminal(int fd) {
    const char* const kind = std::getenv("TERM");
    return isatty(fd) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

}  // namespace

ProgressLine::ProgressLine(int fd) : fd_(fd), terminal_(is_terminal(fd)) {}

void ProgressLine::show(const std::string& text) {
    if (!terminal_ || text == shown_) return;
    write_fully(fd_, std::string(erase_line) + text);
    shown_ = text;
}

void ProgressLine::clear() {
    if (!shown_.empty()) write_fully(fd_, erase_line);
    shown_.clear();
}

void say(std::string_view text) {
    std::string line = "ddict-launch: " + std::string(text);
    for (char& c : line) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    write_fully(STDERR_FILENO, line + "\n");
}

}  // namespace ddict::launcher
