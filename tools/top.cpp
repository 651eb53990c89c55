// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/top.h"

#include <langinfo.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "tools/activity.h"
#include "tools/standard_streams.h"
#include "tools/top_page.h"
#include "tools/top_screen.h"

namespace ddict::tools {
namespace {

using std::chrono::steady_clock;

/// A manager that hangs must not stop the picture for long.
std::chrono::milliseconds timeout_for(const TopOptions& options) {
    return std::clamp(options.interval, std::chrono::milliseconds(250), std::chrono::milliseconds(1000));
}

std::size_t width_of_output() {
    const char* columns = std::getenv("COLUMNS");
    const long width = columns == nullptr ? 0 : std::strtol(columns, nullptr, 10);
    return width >= 60 && width <= 500 ? static_cast<std::size_t>(width) : 80;
}

int print_once(const Dictionary& dict, const TopOptions& options, bool utf8) {
    ActivityLog log(dict.name());
    log.add(take_sample(dict, timeout_for(options)));
    std::this_thread::sleep_for(options.interval);
    Sample last = take_sample(dict, timeout_for(options));
    const ExitStatus status = status_of(last);
    log.add(std::move(last));
    for (const Line& line :
         page_of(log.activity(), {.width = width_of_output(), .utf8 = utf8, .keys = false}).lines)
        print(plain_text(line) + "\n");
    return status;
}

/// What the user looks at.
class Watch {
  public:
    Watch(const Dictionary& dict, const TopOptions& options, bool utf8)
        : dict_(dict), options_(options), log_(dict.name()) {
        page_options_.utf8 = utf8;
    }

    /// Until the user has seen enough.
    int run() {
        for (;;) {
            log_.add(take_sample(dict_, timeout_for(options_)));
            show();
            const auto next = steady_clock::now() + options_.interval;
            for (;;) {
                const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - steady_clock::now());
                if (left.count() <= 0) break;
                const Key key = screen_.key(left);
                if (key == Key::quit) return status();
                if (key == Key::none) continue;
                obey(key);
                show();
            }
        }
    }

  private:
    void show() {
        page_options_.width = screen_.width();
        page_options_.height = screen_.height();
        const Page page = page_of(log_.activity(), page_options_);
        page_options_.first = page.first;
        shown_ = std::max<std::size_t>(page.managers_shown, 1);
        screen_.show(page.lines);
    }

    /// A page that begins too late is put right when it is made.
    void obey(Key key) {
        std::size_t& first = page_options_.first;
        const std::size_t all = log_.activity().managers.size();
        if (key == Key::sort) {
            page_options_.order = page_options_.order == Order::memory
                                      ? Order::manager
                                      : static_cast<Order>(static_cast<int>(page_options_.order) + 1);
        }
        if (key == Key::up) first -= std::min<std::size_t>(first, 1);
        if (key == Key::down) ++first;
        if (key == Key::page_up) first -= std::min(first, shown_);
        if (key == Key::page_down) first += shown_;
        if (key == Key::first) first = 0;
        if (key == Key::last) first = all;
    }

    /// Ctrl-C is a way to say that one has seen enough.
    int status() const {
        const int signal = screen_.signal();
        return signal == 0 || signal == SIGINT ? 0 : 128 + signal;
    }

    const Dictionary& dict_;
    const TopOptions& options_;
    ActivityLog log_;
    PageOptions page_options_;
    std::size_t shown_ = 1;
    Screen screen_;
};

}  // namespace

int run_top(const Dictionary& dict, const TopOptions& options) {
    std::setlocale(LC_CTYPE, "");
    const bool utf8 = std::strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (options.once || isatty(STDOUT_FILENO) == 0 || isatty(STDIN_FILENO) == 0)
        return print_once(dict, options, utf8);
    return Watch(dict, options, utf8).run();
}

}  // namespace ddict::tools
