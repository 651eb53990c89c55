// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/top_screen.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <ncurses.h>  // without its macros: CMakeLists.txt

namespace ddict::tools {
namespace {

constexpr std::array ending_signals{SIGINT, SIGTERM, SIGHUP};
volatile sig_atomic_t signal_received = 0;

/// Nothing is done here: system calls end early, and that is enough.
void on_signal(int number) {
    signal_received = number;
}

constexpr short green = 1, yellow = 2, red = 3;

void set_tint(Tint tint) {
    const bool colours = has_colors();
    const auto coloured = [&](short pair, attr_t otherwise) {
        attr_set(colours ? A_NORMAL : otherwise, colours ? pair : short{0}, nullptr);
    };
    switch (tint) {
        case Tint::plain:
            return coloured(0, A_NORMAL);
        case Tint::faint:
            return static_cast<void>(attr_set(A_DIM, 0, nullptr));
        case Tint::strong:
            return static_cast<void>(attr_set(A_BOLD, 0, nullptr));
        case Tint::heading:
            return static_cast<void>(attr_set(A_REVERSE, 0, nullptr));
        case Tint::good:
            return coloured(green, A_NORMAL);
        case Tint::warning:
            return coloured(yellow, A_BOLD);
        case Tint::alarm:
            return static_cast<void>(
                attr_set(colours ? A_BOLD : A_REVERSE, colours ? red : short{0}, nullptr));
    }
}

Key meaning_of(int code) {
    switch (code) {
        case 'q':
        case 'Q':
        case 3:  // Ctrl-C, if the terminal makes no signal of it
            return Key::quit;
        case 's':
            return Key::sort;
        case KEY_UP:
        case 'k':
            return Key::up;
        case KEY_DOWN:
        case 'j':
            return Key::down;
        case KEY_PPAGE:
            return Key::page_up;
        case KEY_NPAGE:
        case ' ':
            return Key::page_down;
        case KEY_HOME:
            return Key::first;
        case KEY_END:
            return Key::last;
        case KEY_RESIZE:
        case 12:  // Ctrl-L
            return Key::redraw;
        default:
            return Key::none;
    }
}

}  // namespace

struct Screen::Terminal {
    SCREEN* screen = nullptr;
    std::array<struct sigaction, ending_signals.size()> before{};
};

Screen::Screen() : terminal_(std::make_unique<Terminal>()) {
    // Before ncurses sets its own, which end the program.
    signal_received = 0;
    struct sigaction noting {};
    noting.sa_handler = on_signal;
    for (std::size_t i = 0; i < ending_signals.size(); ++i)
        sigaction(ending_signals[i], &noting, &terminal_->before[i]);
    terminal_->screen = newterm(nullptr, stdout, stdin);
    if (terminal_->screen == nullptr) {
        for (std::size_t i = 0; i < ending_signals.size(); ++i)
            sigaction(ending_signals[i], &terminal_->before[i], nullptr);
        const char* kind = std::getenv("TERM");
        throw std::runtime_error("the terminal is of an unknown kind (TERM=" +
                                 std::string(kind == nullptr ? "" : kind) + "); try ddict top --once");
    }
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(green, COLOR_GREEN, -1);
        init_pair(yellow, COLOR_YELLOW, -1);
        init_pair(red, COLOR_RED, -1);
    }
}

Screen::~Screen() {
    endwin();
    delscreen(terminal_->screen);
    for (std::size_t i = 0; i < ending_signals.size(); ++i)
        sigaction(ending_signals[i], &terminal_->before[i], nullptr);
}

std::size_t Screen::width() const {
    return static_cast<std::size_t>(std::max(getmaxx(stdscr), 1));
}

std::size_t Screen::height() const {
    return static_cast<std::size_t>(std::max(getmaxy(stdscr), 1));
}

void Screen::show(const std::vector<Line>& lines) {
    erase();
    int y = 0;
    for (const Line& line : lines) {
        if (y >= getmaxy(stdscr) || move(y++, 0) == ERR) break;
        for (const Span& span : line) {
            set_tint(span.tint);
            addstr(span.text.c_str());
        }
    }
    attr_set(A_NORMAL, 0, nullptr);
    refresh();
}

Key Screen::key(std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (signal_received == 0) {
        // First: what a change of size leaves is no input.
        if (const int code = getch(); code != ERR) {
            if (code == 12) clearok(stdscr, TRUE);
            return meaning_of(code);
        }
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return Key::none;
        pollfd input{STDIN_FILENO, POLLIN, 0};
        if (poll(&input, 1, static_cast<int>(left.count())) < 0) {
            if (errno != EINTR) return Key::quit;
        } else if ((input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
            return Key::quit;
        }
    }
    return Key::quit;
}

int Screen::signal() const {
    return signal_received;
}

}  // namespace ddict::tools
