// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// What has gone wrong with a request, in words.
#pragma once

#include <string>
#include <string_view>

#include "rpc/connection_table.h"
#include "rpc/lost_managers.h"
#include "rpc/request.h"

namespace ddict {

/// What a manager answered, as an error. The codes that alone would not tell why have a text.
Error error_of(const wire::ReplyHeader& header, const Request& request);
/// Why nothing has come of an operation at its deadline.
std::string_view overdue_text(const Request& request, bool was_sent);
/// The same of one that its manager has let wait for something.
std::string overdue_text(const Request& request, const wire::AskAgain& awaited);
/// Why a manager refuses to change a pair, alone or in a batch, where the code does not say it; else empty.
std::string_view reason_of_refusal(Errc code) noexcept;

/// The error of a request over this connection, with its operation, key, manager and node. The loss of a
/// manager that is known to have ended with the dictionary becomes dictionary_gone. `lost` may be null.
Error with_context(Error error, const Request& request, const Connection& connection,
                   const ConnectionTable& connections, LostManagers* lost);

}  // namespace ddict
