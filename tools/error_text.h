// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// Errors in the words of the command line.
#pragma once

#include <ddict/error.h>

#include <string>
#include <string_view>

namespace ddict::tools {

/// The error's message, with the command's name in place of the operation that it consists of: "keys on
/// manager 1 (n2): timeout: ...". Attaching, which all commands do, keeps its own. Keys are as shown_key()
/// has them.
std::string message_of(const Error& error, std::string_view command);

/// Why a manager did not answer, where its name stands beside it: "timeout: the manager did not answer in
/// time".
std::string reason_of(const Error& error);

}  // namespace ddict::tools
