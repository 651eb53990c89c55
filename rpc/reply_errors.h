// SPDX-FileCopyrightText: The ddict authors
// SPDX-License-Identifier: Apache-2.0
//
// How the requester puts into words what has gone wrong with a request.
#pragma once

#include <string_view>

#include "rpc/requester.h"

namespace ddict {

/// What a manager answered, as an error. The codes that alone would not tell why have a text.
Error error_of(const wire::ReplyHeader& header, const Request& request);
/// Why nothing has come of an operation at its deadline.
std::string_view overdue_text(const Request& request, bool was_sent);

}  // namespace ddict
