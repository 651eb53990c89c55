// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <stdexcept>

namespace ddict::shm {

/// A child process that runs `body` and ends with what it returns as its exit status. It may report
/// progress to the number that it is given. Does not outlive this object.
class Child {
  public:
    explicit Child(const std::function<int(int progress)>& body) {
        if (::pipe2(pipe_, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("fork");
        if (pid_ == 0) {
            ::close(pipe_[0]);
            ::_exit(body(pipe_[1]));
        }
        ::close(pipe_[1]);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (pid_ > 0) kill();
        ::close(pipe_[0]);
    }
    static void report(int progress) {
        if (::write(progress, "x", 1) != 1) ::_exit(99);
    }
    /// Waits for that many reports; false if the child ended, or was silent for ten seconds.
    bool hear(std::uint64_t reports) {
        for (; reports > 0; --reports) {
            pollfd ready{.fd = pipe_[0], .events = POLLIN, .revents = 0};
            char byte = 0;
            if (::poll(&ready, 1, 10'000) != 1 || ::read(pipe_[0], &byte, 1) != 1) return false;
        }
        return true;
    }
    pid_t pid() const { return pid_; }
    void kill() {
        ::kill(pid_, SIGKILL);
        wait();
    }
    /// The exit status; -1 if a signal ended it.
    int wait() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

  private:
    int pipe_[2] = {-1, -1};
    pid_t pid_ = -1;
};

}  // namespace ddict::shm
