// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "launcher/progress_line.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "launcher/output.h"

namespace ddict::launcher {
namespace {

constexpr std::string_view erase_line = "\r\033[K";
// For whoever is to read what this process says, and does not.
constexpr std::chrono::milliseconds reader_grace{1'000};

bool is_terminal(int fd) {
    const char* const kind = std::getenv("TERM");
    return isatty(fd) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

}  // namespace

ProgressLine::ProgressLine() : terminal_(is_terminal(STDERR_FILENO)) {}

void ProgressLine::show(const std::string& text) {
    if (!terminal_ || text == shown_ || standard_error().is_pending()) return;
    standard_error().add(std::string(erase_line) + text);
    shown_ = text;
}

void ProgressLine::clear() {
    if (!shown_.empty()) standard_error().add(erase_line);
    shown_.clear();
}

/// Of what others may have chosen (names, paths, variables), a terminal acts upon nothing.
void say(std::string_view text) {
    std::string line = "ddict-launch: ";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n' || c == '\r') {
            line += ' ';
        } else if (byte < 0x20 || byte == 0x7f) {
            std::array<char, 8> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
            line += escaped.data();
        } else {
            line += c;
        }
    }
    standard_error().add(line + "\n");
    standard_error().flush_within(reader_grace);
}

}  // namespace ddict::launcher
