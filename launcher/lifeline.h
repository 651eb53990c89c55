// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What the launcher tells node launchers: lines on their standard input, whose end ends them. Slurm gives
// each of them the same lines. Anything is a sign of life, an empty line as well.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "launcher/output.h"
#include "os/file_descriptor.h"

namespace ddict::launcher {

inline constexpr std::string_view sign_of_life = "\n";
/// The pools are to stay when the dictionary ends.
inline constexpr std::string_view order_to_keep = "keep";
/// A line of exchange.h begins with it.
inline constexpr std::string_view exchange_on_lifeline = "x ";

/// The launcher's end. Never waits: what does not fit into the pipe is kept until it does.
class LifelineWriter {
  public:
    static constexpr std::size_t waiting_bytes_max_default = std::size_t{2}
                                                             << 30;  // as much as exchanges can be
    /// What does not fit into that is left out.
    void open(os::FileDescriptor pipe, std::size_t waiting_bytes_max = waiting_bytes_max_default);
    bool is_open() const { return pipe_.is_open(); }
    /// Whole lines. Nothing happens once it has ended, or nobody is left who reads.
    void say(std::string_view lines);
    void flush();
    /// To be polled for output while something waits; -1 otherwise.
    int poll_fd() const { return output_ ? output_->poll_fd() : -1; }
    void end();

  private:
    os::FileDescriptor pipe_;
    std::optional<Output> output_;
};

/// Cuts what comes into lines of bounded length.
class LifelineReader {
  public:
    enum class State { open, ended };
    /// Reads what the descriptor has now, and calls take() for each line, without its newline. A line above
    /// limits::exchange_line_bytes_max is left out, and is_cut() says so.
    State read_from(int fd, const std::function<void(std::string_view)>& take);
    bool is_cut() const { return is_cut_; }

  private:
    void feed(std::string_view bytes, const std::function<void(std::string_view)>& take);

    std::string rest_;
    bool skipping_ = false;  // the rest of a line that is too long
    bool is_cut_ = false;
};

}  // namespace ddict::launcher
