// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Whole programs under test: started with their output caught, waited for with a deadline, and at the end of
// each test nothing of them may be left.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "os/child_process.h"
#include "os/environment.h"
#include "os/file_descriptor.h"

namespace ddict::launcher::testing {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Longer when the programs are slowed down by a sanitizer or a busy machine.
inline constexpr seconds test_timeout{40};

/// A started program. What it prints is read whenever one of the waits runs.
class Program {
  public:
    Program(const std::vector<std::string>& argv, const os::Environment& environment,
            bool on_terminal = false);
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program();

    pid_t pid() const { return child_.pid(); }
    const std::string& out() const { return out_; }
    const std::string& err() const { return err_; }

    void signal(int number) const { child_.signal(number); }
    void close_stdin() { stdin_.reset(); }
    /// As if typed at its terminal.
    void type(const std::string& keys) const;

    /// False, with what the program has printed as the failure's text, if it does not come in time.
    ::testing::AssertionResult prints(const std::string& text, milliseconds timeout = test_timeout);
    ::testing::AssertionResult complains(const std::string& text, milliseconds timeout = test_timeout);
    /// Until somebody has made this file.
    ::testing::AssertionResult makes(const std::string& path, milliseconds timeout = test_timeout);
    /// Until nobody holds its output any more: what reads from it ends then.
    ::testing::AssertionResult lets_go(milliseconds timeout = test_timeout);
    /// As a shell shows it; -1, and a failure of the test, if it does not end in time.
    int wait(milliseconds timeout = test_timeout);

  private:
    ::testing::AssertionResult wait_until(const std::function<bool()>& done, milliseconds timeout,
                                          const std::string& what);
    void pump(milliseconds wait);

    os::ChildProcess child_;
    os::FileDescriptor stdin_;
    os::FileDescriptor out_end_;
    os::FileDescriptor err_end_;
    std::string out_;
    std::string err_;
    int status_ = -1;
};

/// A state folder and a mark in the environment for each test; afterwards both, and /dev/shm, must be without
/// traces.
class LauncherTest : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    /// ddict-launch with these arguments.
    std::vector<std::string> launch(const std::vector<std::string>& args) const;
    struct Ran {
        int status;
        std::string out;
        std::string err;
    };
    /// A program, until it has ended; and ddict-launch with these arguments.
    Ran ran(const std::vector<std::string>& argv) const {
        Program started(argv, environment());
        const int status = started.wait();
        return {status, started.out(), started.err()};
    }
    Ran run(const std::vector<std::string>& args) const { return ran(launch(args)); }
    const os::Environment& environment() const { return environment_; }
    void set(const std::string& name, const std::string& value) { environment_[name] = value; }
    const std::string& folder() const { return folder_; }
    /// The program of tests that behaves as its first argument says.
    static std::string odd_program();
    static std::string program(const std::string& name);

    /// Processes of this test with this argument in their command line.
    std::vector<pid_t> processes(const std::string& argument) const;
    ::testing::AssertionResult nothing_runs(milliseconds timeout = test_timeout) const;
    ::testing::AssertionResult nothing_in_shared_memory() const;

  private:
    os::Environment environment_;
    std::string folder_;
    std::string mark_;
    std::vector<std::string> segments_before_;
};

}  // namespace ddict::launcher::testing
