// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What UCX does to the process that loads it, and what of that is undone.
#pragma once

#include <signal.h>

#include <functional>
#include <string_view>

#include <ddict/result.h>
#include <ucs/type/status.h>

namespace ddict::ucx {

/// Undoes what nobody has asked for by a variable, UCX_* or DDICT_UCX_*:
/// - handlers of signals (of faults, for a backtrace; of SIGHUP, which turns UCX's debug log on): the
///   program's own dispositions are restored, unless somebody has replaced UCX's since;
/// - the log: UCX's own level reports what callers get as an Error, so it is raised to "fatal", and what is
///   logged goes to standard error: standard output is the program's.
///
/// Done when the library is loaded; further calls do nothing. Threads: any.
void restrain_library();

/// Calls UCX. Where that says no more than that some parameter is invalid, it is called once more for what it
/// logs about it, which names the setting. `doing` is for the error: "starting UCX".
/// Threads: any; UCX's log level is another one meanwhile.
Result<void> call_ucx(std::string_view doing, const std::function<ucs_status_t()>& call);

/// While one lives, the calling thread blocks all signals, and so do threads that are created by it: those
/// of UCX must not run the handlers of the program, nor take the signals that it waits for.
class SignalsBlocked {
  public:
    SignalsBlocked() noexcept;
    ~SignalsBlocked();
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t before_;
};

}  // namespace ddict::ucx
