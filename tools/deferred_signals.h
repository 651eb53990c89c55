// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Signals that would end a command between a change of the dictionary and the output that tells of it.
#pragma once

#include <csignal>
#include <span>
#include <string>
#include <vector>

namespace ddict::tools {

/// While one exists, the process outlives what would end it: PIPE and XFSZ are left to the error of the write
/// that caused them, and the first of the signals that ask for an end (INT, TERM, HUP and their like) makes
/// all further output fail. The destructor ends the process by that signal. A second one ends it at once.
/// Signals that were ignored before stay so. Requires: one at a time, in the thread that writes.
class DeferredSignals {
  public:
    DeferredSignals();
    ~DeferredSignals();
    DeferredSignals(const DeferredSignals&) = delete;
    DeferredSignals& operator=(const DeferredSignals&) = delete;

    /// Throws OutputError; if a signal has come, says why on the standard error output and ends the process
    /// by it instead.
    [[noreturn]] void fail(const std::string& why) const;

  private:
    struct Changed {
        int number;
        struct sigaction before;
    };
    void handle(std::span<const int> numbers, const struct sigaction& action);
    void restore() const;

    std::vector<Changed> changed_;
};

}  // namespace ddict::tools
