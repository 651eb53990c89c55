// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The standard input and output of a command: what cannot be read or written is an error, never less text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ddict::tools {

/// The standard output takes no more: it is full, closed, or nobody reads it.
struct OutputError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// To be called before anything is opened. Descriptors 0 to 2 that are closed are taken, so that nothing else
/// gets them, by what can neither be read (0) nor written (1 and 2).
void reserve_standard_descriptors();
/// To be called before anything else runs: what a library logs as its settings want goes to the standard
/// error output, unless they say where; the standard output is for values.
void keep_logs_from_output();

/// Appends to the standard output. Throws OutputError.
void print(std::string_view text);
/// To be called at the end: what was printed has arrived. Throws OutputError.
void finish_output();
/// Prints a line that tells of what has been done, as the last one. If it cannot be printed, that is said on
/// the standard error output, and what was done stays done: finish_output() does not fail after it.
void report_done(std::string_view line);
/// To be called before what report_done() is to tell of: nobody's having closed the standard output ends this
/// process.
void ignore_closed_output();

bool output_is_terminal();
/// Of the terminal that is the standard output.
std::size_t terminal_width();

/// Up to `bytes` of the standard input; 0 at its end. Throws std::runtime_error where it cannot be read.
std::size_t read_input_some(char* to, std::size_t bytes);
/// All of the standard input. `bytes_max` is asked once, when there is more than a mebibyte: what has more
/// than that is refused as too_large before it is read, or where its size is not known, as soon as it is
/// longer. Throws Exception (too_large), and std::runtime_error where it cannot be read.
std::string read_input(const std::function<std::uint64_t()>& bytes_max);

}  // namespace ddict::tools
