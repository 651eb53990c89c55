// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// The wrapper: a dictionary for as long as one command runs.
#pragma once

#include "launcher/options.h"
#include "os/environment.h"

namespace ddict::launcher {

/// Returns the exit status, which is the command's if it ran: see --help.
int run_command(const Options& options, const os::Environment& environment);

/// A dictionary for the program that started this one: "ready HANDLE" or "error CODE: REASON" on standard
/// output, CODE as in ddict/error.h; the end of standard input ends it. Returns 0 if it ended in good order.
int serve(const Options& options, const os::Environment& environment);
/// Says why the command cannot be run, by what errno has of that. Returns the exit status: 127 if there is
/// none.
int say_not_runnable(const std::string& command, int error);

/// Where the program ddict is: beside this one.
std::string ddict_program();

/// The latter of the two lines.
void say_cannot_serve(Errc code, const std::string& why);

}  // namespace ddict::launcher
