// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#include "tools/standard_streams.h"

#include <ddict/error.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace ddict::tools {
namespace {

/// Has another file as standard input for as long as it lives.
class InputFrom {
  public:
    explicit InputFrom(int fd) : before_(::dup(STDIN_FILENO)) {
        ::dup2(fd, STDIN_FILENO);
        ::close(fd);
    }
    InputFrom(const InputFrom&) = delete;
    InputFrom& operator=(const InputFrom&) = delete;
    ~InputFrom() {
        ::dup2(before_, STDIN_FILENO);
        ::close(before_);
    }

  private:
    int before_;
};

int opened(const char* path) {
    return ::open(path, O_RDONLY | O_CLOEXEC);
}

/// A file that has no name.
int file_of(std::uint64_t bytes) {
    std::FILE* const file = std::tmpfile();
    const int fd = ::dup(::fileno(file));
    std::fclose(file);
    EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(bytes)), 0);
    return fd;
}

Errc code_of_reading(std::uint64_t bytes_max) {
    try {
        static_cast<void>(read_input([&] { return bytes_max; }));
    } catch (const Exception& error) {
        return error.code();
    }
    return Errc{};
}

TEST(StandardStreams, SmallInputAsksForNoLimit) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_EQ(::write(ends[1], "a\0b\n", 4), 4);
    ::close(ends[1]);
    const InputFrom pipe(ends[0]);
    const std::string text = read_input([]() -> std::uint64_t {
        ADD_FAILURE();
        return 0;
    });
    EXPECT_EQ(text, std::string("a\0b\n", 4));
}

TEST(StandardStreams, LargeInputIsReadWhole) {
    constexpr std::uint64_t bytes = (5 << 20) + 1;
    const InputFrom file(file_of(bytes));
    int asked = 0;
    EXPECT_EQ(read_input([&] {
                  ++asked;
                  return bytes;
              }).size(),
              bytes);
    EXPECT_EQ(asked, 1);
}

TEST(StandardStreams, OnlyWhatIsLeftOfAFileCounts) {
    const InputFrom file(file_of(std::uint64_t{1} << 40));
    ASSERT_GT(::lseek(STDIN_FILENO, -5, SEEK_END), 0);
    EXPECT_EQ(read_input([] { return std::uint64_t{1}; }).size(), 5u);
}

TEST(StandardStreams, AFileThatIsTooLargeIsRefusedBeforeItIsRead) {
    const InputFrom file(file_of(std::uint64_t{1} << 40));
    EXPECT_EQ(code_of_reading(1 << 30), Errc::too_large);
    EXPECT_EQ(::lseek(STDIN_FILENO, 0, SEEK_CUR), 0);
}

TEST(StandardStreams, AnInputWithoutEndIsRefused) {
    const InputFrom zeros(opened("/dev/zero"));
    EXPECT_EQ(code_of_reading(3 << 20), Errc::too_large);
}

TEST(StandardStreams, WhatCannotBeReadIsNoEmptyValue) {
    const InputFrom folder(opened("/"));
    EXPECT_THROW(static_cast<void>(read_input([] { return std::uint64_t{1} << 30; })), std::runtime_error);
}

TEST(StandardStreams, WantOfMemoryIsToldInWords) {
    const auto starve = [] {
        ::dup2(opened("/dev/zero"), STDIN_FILENO);
        const rlimit little{std::uint64_t{1} << 29, std::uint64_t{1} << 29};
        ::setrlimit(RLIMIT_AS, &little);
        try {
            static_cast<void>(read_input([] { return std::uint64_t{1} << 40; }));
        } catch (const std::exception& error) {
            std::fputs(error.what(), stderr);
            std::_Exit(3);
        }
        std::_Exit(4);
    };
    EXPECT_EXIT(starve(), testing::ExitedWithCode(3), "not enough memory for the value: [0-9]{5,} bytes");
}

TEST(StandardStreams, AnOutputThatTakesNothingIsAnError) {
    const auto fill = [] {
        ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO);
        try {
            print("something");
            finish_output();
        } catch (const OutputError& error) {
            std::fputs(error.what(), stderr);
            std::_Exit(3);
        }
        std::_Exit(4);
    };
    EXPECT_EXIT(fill(), testing::ExitedWithCode(3),
                "cannot write to the standard output: No space left on device");
}

TEST(StandardStreams, ClosedOnesAreTakenByWhatCanNeitherBeReadNorWritten) {
    const auto reserve = [] {
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO})
            ::close(fd);
        reserve_standard_descriptors();
        const int next = ::open("/dev/null", O_RDWR);
        char byte = 0;
        const bool useless = ::read(STDIN_FILENO, &byte, 1) < 0 && ::write(STDOUT_FILENO, &byte, 1) < 0;
        std::_Exit(next > STDERR_FILENO && useless ? 3 : 4);
    };
    EXPECT_EXIT(reserve(), testing::ExitedWithCode(3), "");
}

}  // namespace
}  // namespace ddict::tools
