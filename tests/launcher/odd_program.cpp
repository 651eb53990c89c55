// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A program that behaves as the tests need it: as a command of the user by its first argument, or, started
// with the arguments of a manager, as a manager that goes wrong in the way that ODD_MANAGER says.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "wire/control.h"

namespace {

constexpr int control_fd = 3;

void send_packet(ddict::Control kind, std::string_view payload) {
    std::string packet(1, static_cast<char>(kind));
    packet += payload;
    if (send(control_fd, packet.data(), packet.size(), MSG_NOSIGNAL) < 0) std::exit(9);
}

/// Until the node launcher is gone.
int wait_for_end_of_control() {
    char packet[256];
    for (;;) {
        pollfd waiting{control_fd, POLLIN, 0};
        poll(&waiting, 1, -1);
        if (recv(control_fd, packet, sizeof packet, 0) <= 0) return 0;
    }
}

int be_manager(std::string_view how) {
    if (how == "fails") {
        send_packet(ddict::Control::failed, "out of sealing wax: order more");
        return 1;
    }
    if (how == "fails at length") {
        send_packet(ddict::Control::failed, std::string(500, 'l') + " end");
        return 1;
    }
    if (how == "talks nonsense") send_packet(ddict::Control::started, "nonsense");
    // Silent, and deaf to what it is told: ends only with its node launcher.
    return wait_for_end_of_control();
}

/// Says which signals come; ends with 15 on SIGTERM.
int report_signals() {
    sigset_t all;
    sigemptyset(&all);
    for (int number = 1; number <= SIGRTMAX; ++number) {
        const bool others = number == SIGCHLD || number == SIGCONT || number == SIGTSTP || number == SIGSEGV;
        if (!others) sigaddset(&all, number);
    }
    sigprocmask(SIG_BLOCK, &all, nullptr);
    std::puts("running");
    std::fflush(stdout);
    for (;;) {
        int number = 0;
        sigwait(&all, &number);
        std::printf("got %d\n", number);
        std::fflush(stdout);
        if (number == SIGTERM) return SIGTERM;
    }
}

/// Bit by bit, also those that glibc keeps to itself.
unsigned long long ignored_signals() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("SigIgn:")) return std::stoull(line.substr(7), nullptr, 16);
    std::abort();
}

/// Ignored signals, blocked ones, and closed descriptors, as this program was started with them.
int print_inherited() {
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, nullptr, &blocked);
    bool closed[3];
    for (int fd = 0; fd < 3; ++fd)
        closed[fd] = fcntl(fd, F_GETFD) < 0;
    std::string ignored_numbers, blocked_numbers, closed_numbers;
    const unsigned long long ignored = ignored_signals();
    for (int number = 1; number <= SIGRTMAX; ++number) {
        if ((ignored >> (number - 1) & 1) != 0) ignored_numbers += " " + std::to_string(number);
        if (sigismember(&blocked, number) == 1) blocked_numbers += " " + std::to_string(number);
    }
    for (int fd = 0; fd < 3; ++fd)
        if (closed[fd]) closed_numbers += " " + std::to_string(fd);
    std::printf("ignored:%s\nblocked:%s\nclosed:%s\n", ignored_numbers.c_str(), blocked_numbers.c_str(),
                closed_numbers.c_str());
    return 0;
}

/// What programs inherit.
void ignore_block_and_close() {
    for (const int number : {SIGHUP, SIGUSR1, SIGSEGV, SIGPIPE, SIGCHLD, 34})
        std::signal(number, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigaddset(&blocked, 35);
    sigprocmask(SIG_SETMASK, &blocked, nullptr);
    close(STDIN_FILENO);
}

/// Writes the numbers of the descriptors that are open to a file.
int list_descriptors(const char* path) {
    std::string text;
    for (int fd = 0; fd < 1024; ++fd) {
        if (fcntl(fd, F_GETFD) >= 0) text += std::to_string(fd) + " ";
    }
    std::FILE* const file = std::fopen(path, "we");
    if (file == nullptr) return 1;
    std::fputs(text.c_str(), file);
    return std::fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "--pool") {
        const char* const how = std::getenv("ODD_MANAGER");
        return be_manager(how != nullptr ? how : "");
    }
    if (verb == "report-signals") return report_signals();
    if (verb == "report-handle") {
        const char* const handle = std::getenv("DDICT_HANDLE");
        std::puts(handle != nullptr ? handle : "(not set)");
        return report_signals();
    }
    if (verb == "print-inherited") return print_inherited();
    if (verb == "ignoring" && argc > 2) {
        ignore_block_and_close();
        return execv(argv[2], argv + 2);
    }
    if (verb == "ignoring-children" && argc > 2) {
        std::signal(SIGCHLD, SIG_IGN);  // which programs inherit
        return execv(argv[2], argv + 2);
    }
    if (verb == "exit" && argc == 3) return std::atoi(argv[2]);
    if (verb == "open-descriptors" && argc == 3) return list_descriptors(argv[2]);
    if (verb == "raise" && argc == 3) return raise(std::atoi(argv[2]));
    if (verb == "print" && argc == 3) {
        const char* const value = std::getenv(argv[2]);
        std::puts(value != nullptr ? value : "(not set)");
        return 0;
    }
    std::fputs("odd_program: no such behaviour\n", stderr);
    return 99;
}
