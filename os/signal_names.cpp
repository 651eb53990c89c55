// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "os/signal_names.h"

#include <signal.h>

#include <charconv>

namespace ddict::os {
namespace {

struct Named {
    std::string_view name;
    int number;
};
constexpr Named names[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT}, {"BUS", SIGBUS},     {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},   {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT},   {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU}, {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"POLL", SIGPOLL}, {"PWR", SIGPWR},
    {"SYS", SIGSYS},
};

std::optional<int> number_in(std::string_view text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
    return number;
}

}  // namespace

std::optional<int> signal_number(std::string_view text) {
    if (text.starts_with("SIG")) text.remove_prefix(3);
    std::optional<int> number;
    if (text == "RTMIN" || text == "RTMAX") {
        number = text == "RTMIN" ? SIGRTMIN : SIGRTMAX;
    } else if (text.starts_with("RTMIN+") || text.starts_with("RTMAX-")) {
        const auto distance = number_in(text.substr(6));
        if (!distance || *distance > SIGRTMAX - SIGRTMIN) return std::nullopt;
        number = text.starts_with("RTMIN") ? SIGRTMIN + *distance : SIGRTMAX - *distance;
    } else {
        for (const Named& named : names) {
            if (named.name == text) number = named.number;
        }
        if (!number) number = number_in(text);
    }
    if (!number || *number < 1 || *number > SIGRTMAX) return std::nullopt;
    return number;
}

std::string signal_name(int number) {
    if (number >= SIGRTMIN && number <= SIGRTMAX)
        return number == SIGRTMIN ? "RTMIN" : "RTMIN+" + std::to_string(number - SIGRTMIN);
    for (const Named& named : names) {
        if (named.number == number) return std::string(named.name);
    }
    return std::to_string(number);
}

}  // namespace ddict::os
