// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/standard_streams.h"

#include <ddict/error.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <new>
#include <optional>

namespace ddict::tools {
namespace {

bool report_failed = false;  // what is left in the buffers of stdout cannot be printed

[[noreturn]] void fail_output() {
    throw OutputError(std::string("cannot write to the standard output: ") + std::strerror(errno));
}

[[noreturn]] void refuse_input(std::uint64_t bytes_max) {
    Error error(Errc::too_large, "the standard input has more bytes than the pool of the key's manager, " +
                                     std::to_string(bytes_max));
    throw Exception(error.set_operation(Operation::put));
}

/// How much is left of an input that is a file; nothing if it is none, or grows while it is read.
std::optional<std::uint64_t> size_of_input() {
    struct stat about {};
    if (::fstat(STDIN_FILENO, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size == 0)
        return std::nullopt;
    const off_t at = ::lseek(STDIN_FILENO, 0, SEEK_CUR);
    if (at < 0) return std::nullopt;
    return static_cast<std::uint64_t>(std::max<off_t>(about.st_size - at, 0));
}

}  // namespace

void reserve_standard_descriptors() {
    // The lowest free one is what open() takes: in this order it is the one that was closed.
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            static_cast<void>(::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY));
    }
}

/// UCX writes to the standard output while it is being loaded.
void keep_logs_from_output() {
    ::setenv("UCX_LOG_FILE", "stderr", 0);
}

void print(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_output();
}

void finish_output() {
    if (report_failed) return;
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) fail_output();
    // Some file systems tell only then that there was no space.
    const int copy = ::dup(STDOUT_FILENO);
    if (copy >= 0 && ::close(copy) != 0 && errno != EINTR) fail_output();
}

void report_done(std::string_view line) {
    try {
        print(line);
        finish_output();
    } catch (const OutputError& error) {
        report_failed = true;
        std::cerr << "ddict: " << line << "ddict: it is done, but that could not be printed: " << error.what()
                  << '\n';
    }
}

void ignore_closed_output() {
    std::signal(SIGPIPE, SIG_IGN);
}

bool output_is_terminal() {
    return ::isatty(STDOUT_FILENO) == 1;
}

std::size_t terminal_width() {
    constexpr std::size_t usual = 80;
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char* const columns = std::getenv("COLUMNS");
    std::size_t width = 0;
    if (columns != nullptr) std::from_chars(columns, columns + std::strlen(columns), width);
    return width > 0 && width <= 10'000 ? width : usual;
}

std::size_t read_input_some(char* to, std::size_t bytes) {
    for (;;) {
        const ssize_t got = ::read(STDIN_FILENO, to, bytes);
        if (got >= 0) return static_cast<std::size_t>(got);
        if (errno != EINTR)
            throw std::runtime_error(std::string("cannot read the standard input: ") + std::strerror(errno));
    }
}

std::string read_input(const std::function<std::uint64_t()>& bytes_max) {
    constexpr std::uint64_t asked_from = std::uint64_t{1} << 20;
    constexpr std::size_t piece_min = 65536;
    std::string input;
    std::size_t filled = 0;
    std::uint64_t allowed = asked_from;
    bool asked = false;
    const auto check = [&](std::uint64_t bytes) {
        if (bytes <= allowed) return;
        if (!asked) allowed = bytes_max();
        asked = true;
        if (bytes > allowed) refuse_input(allowed);
    };
    try {
        if (const auto size = size_of_input()) {
            check(*size);
            input.resize(*size + 1);  // one more, to see the end
        }
        for (;;) {
            if (filled == input.size()) input.resize(std::max(piece_min, 2 * filled));
            const std::size_t got = read_input_some(input.data() + filled, input.size() - filled);
            filled += got;
            if (got == 0) break;
            check(filled);
        }
    } catch (const std::bad_alloc&) {
        throw std::runtime_error("not enough memory for the value: " + std::to_string(filled) +
                                 " bytes of the standard input were read");
    }
    input.resize(filled);
    return input;
}

}  // namespace ddict::tools
