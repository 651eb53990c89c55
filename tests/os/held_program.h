// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// A program that cannot be executed for a while, as on a file system that does not answer.
#pragma once

#include <fcntl.h>
#include <signal.h>

#include <filesystem>
#include <string>

#include "os/file_descriptor.h"

namespace ddict::os::testing {

/// A copy of a program. Whoever executes it waits until release(), for 45 s at the most: the kernel asks the
/// holder of a lease on the file first.
class HeldProgram {
  public:
    HeldProgram(const std::string& program, const std::string& path) : path_(path) {
        std::filesystem::copy_file(program, path);
        file_ = FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        before_ = ::signal(SIGIO, SIG_IGN);  // the kernel's question
        is_held_ = ::fcntl(file_.fd(), F_SETLEASE, F_WRLCK) == 0;
    }
    HeldProgram(const HeldProgram&) = delete;
    HeldProgram& operator=(const HeldProgram&) = delete;
    ~HeldProgram() {
        release();
        ::signal(SIGIO, before_);
    }

    const std::string& path() const { return path_; }
    bool is_held() const { return is_held_; }
    void release() {
        if (is_held_) ::fcntl(file_.fd(), F_SETLEASE, F_UNLCK);
        is_held_ = false;
    }

  private:
    const std::string path_;
    FileDescriptor file_;
    void (*before_)(int) = nullptr;
    bool is_held_ = false;
};

}  // namespace ddict::os::testing
