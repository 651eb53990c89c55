// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What concerns all managers, where some of them cannot be asked: it is done on the others, and told.
#pragma once

#include <ddict/view.h>

#include <chrono>
#include <functional>
#include <string_view>
#include <vector>

#include "tools/exit_status.h"

namespace ddict::tools {

/// Which managers have answered, and why the others have not.
struct Answers {
    bool any = false;
    std::vector<Error> missing{};

    /// To be called when what the others said has been printed: names the missing ones on the standard error
    /// output, in the words of the command. Returns success if there are none, else partial. Throws
    /// Exception, with the first error, if none has answered.
    ExitStatus tell(std::string_view command) const;
};

/// How long all of a command may take, and how long a manager that says nothing is waited for before it is
/// asked whether it lives.
struct Waiting {
    std::chrono::milliseconds timeout;
    std::chrono::milliseconds silence{3'000};
};

/// Does `whole` on the dictionary; if that fails because of a manager, does `one` on each that is alive.
/// Throws Exception where it is not because of a manager.
Answers on_each_manager(const View& dict, const Waiting& waiting,
                        const std::function<Result<void>(const View&)>& whole,
                        const std::function<Result<void>(const View&)>& one);

/// Calls `visit` for every pair, manager by manager; goes on with the next where one fails. The timeout is
/// for a time in which nothing comes. Throws as on_each_manager, and what `visit` throws.
Answers walk_managers(const View& dict, const Waiting& waiting, const ScanOptions& options,
                      const std::function<void(const Cursor&)>& visit);

}  // namespace ddict::tools
